"""A waterworks with systems of its own, and parties who may or may not scan them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.scanning.authorisations import Authorisation
from clearhold.scanning.live_leases import LiveLeaseView
from clearhold.scanning.live_scope import Depth, make_live_scope
from clearhold.scanning.model import Mode
from clearhold.scanning.passports import Issued
from clearhold.wire import dsse, scan_consent

SOURCES = ("198.51.100.7",)


@dataclass
class LiveScene:
    """The hub, the owner with its key, a coordinator, and labs by name."""

    hub: Hub
    party_of: Callable[..., Actor]
    owner: Actor = field(init=False)
    coordinator: Actor = field(init=False)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    count: int = 0

    def __post_init__(self) -> None:
        self.owner = self.party_of(PartyKind.OPERATOR, "water")
        self.coordinator = self.party_of(PartyKind.COORDINATOR, "desk")
        hold(self.hub.parties, self.owner, self.key)
        for subject in ("water.example", "network:203.0.113.0/24", "network:2001:db8::/32"):
            self.stand(self.owner, subject)

    def stand(self, party: Actor, subject: str) -> None:
        self.hub.verification.confirm(self.coordinator, party.party, subject, reason="seen papers")

    def lab(self, name: str) -> Actor:
        return self.party_of(PartyKind.LAB, name)

    def consent(self, **changed: Any) -> scan_consent.ScanConsent:
        now = self.hub.clock.now()
        self.count += 1
        stated: dict[str, Any] = {
            "blackouts": (),
            "concurrency": 5,
            "contact": "soc@water.example",
            "depth": Depth.CHECKS,
            "holders": None,
            "nonce": f"nonce-{self.count:04}",
            "not_before": now - timedelta(hours=1),
            "party": self.owner.party,
            "requests_per_second": 20,
            "targets": ("domain:*.water.example", "network:203.0.113.0/24", "site:water/north"),
            "techniques": ("dynamic", "live-probing"),
            "until": now + timedelta(days=30),
        } | changed
        return scan_consent.ScanConsent(**stated)

    def envelope(self, **changed: Any) -> bytes:
        statement = scan_consent.write(self.consent(**changed))
        return dsse.sign(statement, scan_consent.PAYLOAD_TYPE, self.key)

    def allow(self, **changed: Any) -> Authorisation:
        return self.hub.live.authorisations.lodge(self.owner, self.envelope(**changed))

    def claim(
        self,
        actor: Actor,
        *targets: str,
        technique: Technique = Technique.DYNAMIC,
        depth: Depth = Depth.CHECKS,
        mode: Mode = Mode.EXCLUSIVE,
        hours: float = 4,
        key: str = "",
    ) -> LiveLeaseView:
        self.count += 1
        return self.hub.live.leases.claim(
            actor,
            make_live_scope(targets, technique=technique, depth=depth),
            mode=mode,
            window=timedelta(hours=hours),
            budget_s=60,
            key=key or f"key-{self.count}",
        )

    def passport(self, actor: Actor, held: LiveLeaseView, **given: Any) -> Issued:
        asked: dict[str, Any] = {"sources": SOURCES, "life": timedelta(hours=1)} | given
        return self.hub.live.passports.issue(actor, held.lease.id, fence=held.lease.fence, **asked)

    def beat(self, actor: Actor, held: LiveLeaseView) -> LiveLeaseView:
        return self.hub.live.leases.heartbeat(actor, held.lease.id, fence=held.lease.fence)

"""A lab and evaluators that agreed, for tests of what they then do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.evaluations import engagement_records as records
from clearhold.evaluations.engagement_records import StoredEvent
from clearhold.evaluations.engagement_rules import Body
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.model import Act, AgreementState, EngagementState
from clearhold.wire import dsse
from clearhold.wire import model_agreement as wire

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


class Desk:
    """A lab, evaluators, and others who have no part in it."""

    def __init__(self, hub: Hub, party_of: Callable[..., Actor]) -> None:
        self.hub = hub
        self.lab = party_of(PartyKind.LAB, "aurora")
        self.testers = party_of(PartyKind.EVALUATOR, "institute")
        self.strangers = [
            party_of(PartyKind.LAB, "rival"),
            party_of(PartyKind.EVALUATOR, "other-institute"),
            party_of(PartyKind.GOVERNMENT, "ministry"),
        ]
        self.keys = {}
        for actor in (self.lab, self.testers, *self.strangers):
            self.keys[actor.party] = Ed25519PrivateKey.generate()
            hold(hub.parties, actor, self.keys[actor.party])
        self.count = 0

    def now(self) -> datetime:
        return self.hub.clock.now()

    def terms(self, **changed: Any) -> wire.ModelAgreement:
        self.count += 1
        now = self.now()
        stated: dict[str, Any] = {
            "authority": "Executive Order 14409, section 3",
            "credits_outages": False,
            "departments": (),
            "destruction": "everything but the report",
            "developer": "aurora",
            "draft_days": 5,
            "evaluator": "institute",
            "evaluators": (evaluator_of(),),
            "findings": "maintainer-first",
            "handling": "on own machines",
            "nonce": f"nonce-{self.count:04}",
            "not_before": now - timedelta(minutes=1),
            "redaction": "trade secrets",
            "reply_days": 5,
            "report_to": "parties",
            "retention_days": 90,
            "until": now + 180 * DAY,
            "variants": (wire.Variant(commitment="", name="candidate", safeguards="release"),),
            "voluntary": wire.VOLUNTARY,
            "window_days": 20,
        }
        return wire.ModelAgreement(**(stated | changed))

    def signed(self, actor: Actor, statement: wire.ModelAgreement | wire.Change) -> bytes:
        kind = (
            wire.AGREEMENT_TYPE if isinstance(statement, wire.ModelAgreement) else wire.CHANGE_TYPE
        )
        return dsse.sign(wire.write(statement), kind, self.keys[actor.party])

    def agree(self, **changed: Any) -> str:
        terms = self.terms(**changed)
        register = self.hub.models.agreements
        offered = register.offer(self.testers, self.signed(self.testers, terms)).stored
        signed = register.sign(self.lab, offered.id, self.signed(self.lab, terms))
        assert signed.stored.state is AgreementState.IN_FORCE
        return signed.stored.id

    def propose(self, agreement: str, **given: Any) -> EngagementView:
        self.count += 1
        asked: dict[str, Any] = {
            "length": 10 * DAY,
            "release_at": None,
            "key": f"key-{self.count}",
        } | given
        variants = asked.pop("variants", ("candidate",))
        body = Body("aurora-9", variants, "cyber tests before release")
        return self.hub.models.engagements.propose(self.testers, agreement, body, **asked)

    def act(self, actor: Actor, view: EngagementView, act: Act) -> EngagementView:
        return self.hub.models.engagements.act(actor, view.stored.id, act)

    def testing(
        self, *, planned: Callable[[str], str] | None = None, **changed: Any
    ) -> EngagementView:
        """An engagement whose gateway has verified access; `planned` gives its plan's digest."""
        view = self.act(self.lab, self.propose(self.agree(**changed)), Act.ACCEPT)
        view = self.act(self.lab, view, Act.PROVISION)
        if planned is not None:
            identity = view.stored.id
            self.hub.models.reports.plan(self.testers, identity, planned(identity))
        with self.hub.sessions.transaction() as unit:
            number = records.next_number(unit, view.stored.id)
            verified = StoredEvent(view.stored.id, number, Act.VERIFY_ACCESS, "gateway", unit.now)
            records.note(unit, verified)
            records.change(unit, view.stored.id, state=EngagementState.ACCESS_VERIFIED)
        return self.act(self.testers, view, Act.BEGIN)

    def change(self, view: EngagementView, act: str, **changed: Any) -> wire.Change:
        self.count += 1
        stated: dict[str, Any] = {
            "act": act,
            "after": self.hub.models.engagements.get(self.lab, view.stored.id).happened[-1].number,
            "engagement": view.stored.id,
            "hours": 0,
            "nonce": f"change-{self.count:04}",
            "reason": "",
            "stops_clock": False,
            "until": None,
        }
        return wire.Change(**(stated | changed))

    def consent(self, actor: Actor, view: EngagementView, change: wire.Change) -> EngagementView:
        return self.hub.models.consents.consent(actor, view.stored.id, self.signed(actor, change))


def evaluator_of(**changed: Any) -> wire.Evaluator:
    stated: dict[str, Any] = {
        "attested": (),
        "department": "",
        "kinds": ("chat",),
        "name": "Ada",
        "tokens": 1000,
        "variants": ("candidate",),
    }
    return wire.Evaluator(**(stated | changed))

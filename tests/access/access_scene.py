"""A case with everyone who may stand in some relation to it, and requests in their names."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from agreeing import agree, hold
from clearhold.access.approvals import Act, Approval
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.model import Role
from clearhold.delivery.http.app import make_app
from clearhold.findings.intake import Format
from clearhold.findings.model import Match, Method, State
from clearhold.kernel.errors import ApprovalNeededError
from clearhold.kernel.ids import ApprovalId, CaseId, FindingId, PartyId, VulnerabilityId
from clearhold.parties import terms
from clearhold.wire import dsse, scan_consent
from in_process_http import client_of

TITLE = "Overflow-in-quux"
MESSAGE = "the boundless copy again"
PROOF = b"PROOF-BYTES"
LIFE = timedelta(days=30)
BOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "components": [
        {"type": "library", "name": "six", "version": "1.0", "purl": "pkg:pypi/six@1.0"}
    ],
}
COOKIE = "__Host-clearhold-session"
Ask = Callable[..., httpx.Response]


@dataclass
class Stage:
    """A hub with people who can be asked for by name."""

    hub: Hub
    engine: MemoryEngine
    clock: Any
    actors: dict[str, Actor] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    handles: dict[str, str] = field(default_factory=dict)
    app: FastAPI | None = None

    def coordinator(self, name: str) -> Actor:
        """A person of the hub's coordinator."""
        person = f"{name} {uuid.uuid4().hex}"  # several worlds may share one hub
        _, issued = self.hub.parties.found_hub(handle="hub", name="Hub", person=person, life=LIFE)
        self.handles[name] = "hub"
        return self._keep(name, issued.secret)

    def party(self, name: str, kind: PartyKind, sector: str | None = None) -> Actor:
        """A party of one's own, acting by its service account."""
        handle = f"{name}-{uuid.uuid4().hex[:6]}"
        made = self.hub.parties.register(
            self.actors["ada"], handle=handle, name=name.title(), kind=kind, sector=sector
        )
        self.handles[name] = handle
        token = self.hub.parties.issue_token(self.actors["ada"], made.id, life=LIFE)
        actor = self._keep(name, token.secret)
        agree(self.hub.parties, self.hub.agreements, actor, self.clock.now())
        return self._keep(name, token.secret)

    def act(self, name: str, act: terms.Act) -> None:
        """Suspend or resume the agreement of a party of one's own."""
        actor = self.actors[name]
        self.hub.agreements.act(actor, self.agreement(name), act)

    def agreement(self, name: str) -> str:
        """The agreement for a party's kind."""
        kind = self.actors[name].kind
        agreements = self.hub.agreements.list(self.actors[name])
        return next(each.name for each in agreements if kind in each.terms.kinds)

    def member(
        self, name: str, of: str, roles: Iterable[MemberRole] = (MemberRole.HANDLER,)
    ) -> Actor:
        """A person of a party, with a token of their own."""
        party = PartyId(self.actors[of].party)
        made = self.hub.parties.add_member(self.actors[of], party, name=name, roles=list(roles))
        self.handles[name] = self.handles[of]
        token = self.hub.parties.issue_token(self.actors[of], party, life=LIFE, member=made.id)
        return self._keep(name, token.secret)

    def submit(self, who: str, title: str = TITLE) -> FindingId:
        """A finding with a proof, reproduced."""
        document = {
            "schema": "clearhold-finding/1",
            "package": "pkg:pypi/quuxlib@1.0",
            "title": title,
            "description": "A boundless copy.",
            "target": "encode",
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(PROOF + uuid.uuid4().bytes).decode(),
            "attachments": [{"name": "build.txt", "content": "Y2MgLWc="}],
        }
        self.clock.advance(timedelta(seconds=1))
        receipt = self.hub.findings.submit(
            self.actors[who],
            json.dumps(document).encode(),
            form=Format.CLEARHOLD_JSON,
            key=uuid.uuid4().hex,
        )
        finding = FindingId(receipt.findings[0].finding)
        self.engine.run_due()
        with self.hub.sessions.transaction() as unit:
            self.hub.findings.set_verdict(
                unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
            )
        return finding

    def same(self, a: FindingId, b: FindingId) -> None:
        with self.hub.sessions.transaction() as unit:
            self.hub.findings.assert_match(
                unit, a, b, verdict=Match.SAME, method=Method.BEHAVIOUR, evidence={}, by="test"
            )
        self.engine.run_due()

    def open(self, who: str, finding: FindingId, title: str = TITLE) -> CaseId:
        self.clock.advance(timedelta(seconds=1))
        case = self.hub.cases.open(
            self.actors[who], VulnerabilityId(finding), title=title, key=uuid.uuid4().hex
        )
        return case.id

    def approve(
        self, act: Act, subject: str, particulars: Mapping[str, str], by: str, second: str
    ) -> Approval:
        proposed = self.hub.approvals.propose(
            self.actors[by], act, subject, particulars=particulars, reason="it is needed"
        )
        return self.hub.approvals.give(self.actors[second], ApprovalId(proposed.id))

    def read_in(self, case: CaseId, name: str, role: Role, tier: int, **options: Any) -> None:
        """Read in by Ada, with Grace's approval where it takes one."""

        def ask() -> None:
            self.hub.readers.read_in(
                self.actors["ada"],
                case,
                self.handles[name],
                role=role,
                tier=tier,
                reason="needs to know",
                **options,
            )

        try:
            ask()
        except ApprovalNeededError as needed:
            self.approve(
                Act(str(needed.facts["act"])),
                str(needed.facts["subject"]),
                needed.facts["particulars"],  # type: ignore[arg-type]
                "ada",
                "grace",
            )
            ask()

    def ask(
        self, name: str, method: str, path: str, body: Any = None, **more: str
    ) -> httpx.Response:
        """One HTTP request of somebody's, with more headers; of a name without a token, nobody's."""
        if self.app is None:
            self.app = make_app(self.hub)
        headers = {"Idempotency-Key": uuid.uuid4().hex, **more}
        if name in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[name]}"
        with client_of(self.app, headers) as client:
            return client.request(method, path, **({} if body is None else {"json": body}))

    def session(self, name: str) -> Ask:
        """How a person asks in a browser's session, confirmed just now."""
        person = self.actors[name].person
        assert person is not None
        with self.hub.sessions.transaction() as unit:
            cookie = self.hub.browsers.open(unit, person, agent=name, confirmed=True).cookie
            csrf = self.hub.browsers.authenticate(unit, cookie).csrf
        headers = {"Sec-Fetch-Site": "same-origin", "X-Clearhold-Csrf": csrf}
        return lambda method, path, body=None: self.ask(
            "", method, path, body, Cookie=f"{COOKIE}={cookie}", **headers
        )

    def _keep(self, name: str, token: str) -> Actor:
        self.tokens[name] = token
        self.actors[name] = self.hub.authenticate(token)
        return self.actors[name]


def staged(hub: Hub, engine: MemoryEngine, clock: Any) -> Stage:
    """A stage with three coordinators: Ada, who opens cases, Grace, who approves, and Linus."""
    engine.register(
        "on:finding.submitted", lambda ids: hub.validation.queue(FindingId(ids["finding"]))
    )
    engine.register("validation.run", lambda _ids: None)
    stage = Stage(hub, engine, clock)
    for name in ("ada", "grace", "linus"):
        stage.coordinator(name)
    return stage


def live_systems(stage: Stage) -> dict[str, str]:
    """A plant of the operator's, which the lab scans at two places, one of them stopped."""
    key, water = Ed25519PrivateKey.generate(), stage.actors["water"]
    hold(stage.hub.parties, water, key)
    now, plant = stage.clock.now(), f"site:{stage.handles['water']}/plant"
    consent = scan_consent.ScanConsent(
        blackouts=(),
        concurrency=9,
        contact="soc",
        depth="checks",
        holders=None,
        nonce="of-the-plant",
        not_before=now,
        party=water.party,
        requests_per_second=1,
        targets=(plant,),
        techniques=("dynamic",),
        until=now + timedelta(days=1),
    )
    envelope = dsse.sign(scan_consent.write(consent), scan_consent.PAYLOAD_TYPE, key)
    given = stage.ask("water", "POST", "/api/v1/scanning/authorisations", json.loads(envelope))
    assert given.is_success, given.text
    found = {"authorisation": given.json()["id"]}
    for zone in ("control", "safety"):
        scope = {"targets": [f"{plant}/{zone}"], "technique": "dynamic"}
        held = stage.ask("lab", "POST", "/api/v1/scanning/live/leases", scope).json()
        asked = {"fence": held["fence"], "sources": ["192.0.2.1"]}
        path = f"/api/v1/scanning/live/leases/{held['id']}/passports"
        found["passport"] = stage.ask("lab", "POST", path, asked).json()["id"]
        found["live_lease"] = held["id"]
    stop = {"targets": [f"{plant}/control"], "reason": "r"}
    found["stop"] = stage.ask("water", "POST", "/api/v1/scanning/live/stops", stop).json()["id"]
    (notice,) = stage.ask("lab", "GET", "/api/v1/scanning/live/notices").json()
    return found | {"notice": notice["id"]}

"""Publishing from a case of the hub's own, its embargo and its adopted fix."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.advisories.case_desk import CaseDesk
from clearhold.advisories.dossier import Dossiers
from clearhold.advisories.flows import Publication
from clearhold.advisories.records import State
from clearhold.advisories.service import PUBLISH, AdvisoryService
from clearhold.assembly.hub import Hub
from clearhold.cases import progress
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import ReportStep, Role
from clearhold.findings import model as findings
from clearhold.findings.intake import Format
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.ids import CaseId, FindingId, VulnerabilityId
from clearhold.patches import records as patches
from clearhold.patches.flows import Judging
from clearhold.patches.judging import Candidate, Delivery, Judgement, ProofOutcome
from clearhold.patches.records import Origin
from clearhold.patches.service import JUDGE, PatchService
from clearhold.ports.clock import Clock
from publication_road import ISSUER, RecordingPublisher, delivery, draft

DIFF = b"--- a/lib/x.c\n+++ b/lib/x.c\n@@ -1 +1 @@\n-reserve(1);\n+reserve(2);\n"


class Accepts:
    """A judge that has been convinced; what convinces the real one is tested where it lives."""

    def judge(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        stopped = tuple(ProofOutcome(each.finding, stopped=True) for each in candidate.proofs)
        said = "It stops every proof."
        return Judgement(patches.State.ACCEPTED, "accepted", said, stopped), delivery()


class RealCase:
    """A case of the hub with a reproduced finding, a maintainer and a coordinator."""

    def __init__(
        self, hub: Hub, engine: MemoryEngine, clock: Clock, party_of: Callable[..., Actor]
    ) -> None:
        self.hub, self.engine, self.clock = hub, engine, clock
        self.coordinator = party_of(PartyKind.COORDINATOR, "desk")
        self.maintainer = party_of(PartyKind.MAINTAINER, "ujson-team")
        self.lab = party_of(PartyKind.LAB, "lab-one")
        self.publisher = RecordingPublisher()
        material = CaseMaterial(hub.findings)
        self.patches = PatchService(
            hub.sessions, hub.vault, material, signing_key=Ed25519PrivateKey.generate()
        )
        judging = Judging(hub.sessions, hub.vault, material, Accepts())
        engine.register(JUDGE, judging.judge)
        # Nothing is built here: the test itself says what reproduced.
        engine.register("on:finding.submitted", lambda _ids: None)
        self.desk = CaseDesk(material, self.patches)
        dossiers = Dossiers(hub.vault, self.desk, ISSUER)
        self.advisories = AdvisoryService(hub.sessions, dossiers)
        self.publication = Publication(
            hub.sessions, dossiers, publisher=self.publisher, clock=clock
        )
        engine.register(PUBLISH, self.publication.publish)
        self.case = self._opened()

    def _opened(self) -> CaseId:
        document = {
            "schema": "clearhold-finding/1",
            "package": "pkg:pypi/ujson@5.1.0",
            "title": "Overflow",
            "description": "A buffer overflows.",
            "target": "encode",
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(b"[[[[").decode(),
        }
        receipt = self.hub.findings.submit(
            self.lab, json.dumps(document).encode(), form=Format.CLEARHOLD_JSON, key="k"
        )
        finding = FindingId(receipt.findings[0].finding)
        with self.hub.sessions.transaction() as unit:
            self.hub.findings.set_verdict(
                unit, finding, state=findings.State.REPRODUCED, verdict="reproduced", level=3
            )
        opened = self.hub.cases.open(
            self.coordinator, VulnerabilityId(finding), title="Overflow", key="k"
        )
        self.hub.readers.read_in(
            self.coordinator,
            opened.id,
            "ujson-team",
            role=Role.VENDOR,
            tier=1,
            reason="maintains it",
        )
        for step in (ReportStep.VALIDATE, ReportStep.ACCEPT):
            self.hub.cases.step(self.maintainer, opened.id, step)
        return opened.id

    def agree(self, term: timedelta) -> None:
        shown = self.hub.embargoes.propose(
            self.coordinator,
            self.case,
            until=self.clock.now() + term,
            operators_early_notice=True,
        )
        assert shown.proposal is not None
        self.hub.embargoes.accept(self.maintainer, self.case, shown.proposal.id)

    def fix(self) -> None:
        self.patches.submit(
            self.maintainer, self.case, DIFF, origin=Origin.MAINTAINER, note="", key="k"
        )
        self.engine.run_due()


@pytest.fixture
def real(hub: Hub, engine: MemoryEngine, clock: Clock, party_of: Callable[..., Actor]) -> RealCase:
    return RealCase(hub, engine, clock, party_of)


def test_a_real_case_is_published_when_its_embargo_ends(real: RealCase) -> None:
    drafted = real.advisories.draft(real.coordinator, real.case, draft(), key="k")
    with pytest.raises(ConflictError, match="No patch was accepted"):
        real.advisories.schedule(real.coordinator, drafted.id)
    real.fix()
    with pytest.raises(ConflictError, match="No embargo"):
        real.advisories.schedule(real.coordinator, drafted.id)
    real.agree(timedelta(days=7))
    scheduled = real.advisories.schedule(real.coordinator, drafted.id)
    assert scheduled.publish_at == real.clock.now() + timedelta(days=7)
    with pytest.raises(ConflictError, match="under embargo"):
        real.advisories.publish_now(real.coordinator, drafted.id, reason="impatience")
    real.clock.advance(timedelta(days=7))
    real.engine.run_due()
    assert real.advisories.get(real.coordinator, drafted.id).state is State.PUBLISHED
    with real.hub.sessions.transaction() as unit:
        term = progress.embargo_of(unit, real.case)
        assert term is not None
        assert not term.in_force
        assert "P" in {fact.letter for fact in progress.current(unit, real.case).world}


def test_a_revised_embargo_moves_a_real_publication(real: RealCase) -> None:
    drafted = real.advisories.draft(real.coordinator, real.case, draft(), key="k")
    real.fix()
    real.agree(timedelta(days=7))
    real.advisories.schedule(real.coordinator, drafted.id)
    real.agree(timedelta(days=9))
    real.clock.advance(timedelta(days=7))
    real.engine.run_due()
    assert real.publisher.released == {}
    real.clock.advance(timedelta(days=2))
    real.engine.run_due()
    assert real.advisories.get(real.coordinator, drafted.id).state is State.PUBLISHED


def test_a_terminated_embargo_frees_a_real_case(real: RealCase) -> None:
    drafted = real.advisories.draft(real.coordinator, real.case, draft(), key="k")
    real.agree(timedelta(days=7))
    real.hub.embargoes.terminate(real.maintainer, real.case)
    real.advisories.publish_now(real.coordinator, drafted.id, reason="it was posted in public")
    real.engine.run_due()
    assert real.advisories.get(real.coordinator, drafted.id).state is State.PUBLISHED
    assert not [path for path in real.publisher.released if path.startswith("patches/")]


def test_what_a_case_says_reaches_the_desk(real: RealCase) -> None:
    real.agree(timedelta(days=7))
    with real.hub.sessions.transaction() as unit:
        file = real.desk.visible(unit, real.coordinator, real.case)
    assert (file.level, file.early_notice) == (3, True)
    assert file.under_embargo(real.clock.now())
    stranger = real.maintainer
    with real.hub.sessions.transaction() as unit, pytest.raises(NotFoundError):
        real.desk.visible(unit, stranger, CaseId("00000000-0000-7000-8000-000000000000"))

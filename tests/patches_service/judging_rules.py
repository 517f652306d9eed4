"""A judge whose verdict follows from the diff's words, for tests of everything around judging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.findings.model import Match, Method
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import CaseId, FindingId
from clearhold.patches.flows import Judging
from clearhold.patches.judging import (
    Candidate,
    Delivery,
    Judgement,
    Manifest,
    Probe,
    ProofOutcome,
)
from clearhold.patches.records import Origin, State
from clearhold.patches.service import PatchView
from clearhold.wire.bundle import Ending

MAINTAINER = "quux-team"
FIX = b"--- a/q.c\n+++ b/q.c\nstops PROOF-ONE PROOF-TWO PROOF-THREE\n"
HIDES_ONE = b"--- a/q.c\n+++ b/q.c\nstops PROOF-ONE\n"
NEEDS_SANDBOX = b"--- a/q.c\n+++ b/q.c\nneeds a sandbox\n"


@dataclass
class RulingJudge:
    """Stops a proof when the diff names it; accepts a diff that names all of the case's."""

    seen: list[Candidate] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None

    def judge(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        self.seen.append(candidate)
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            happening()
        if b"needs a sandbox" in candidate.diff:
            raise UnavailableError("There is no sandbox.", next_step="Install bubblewrap.")
        outcomes = tuple(
            ProofOutcome(each.finding, each.proof in candidate.diff, "SECRET-FRAME")
            for each in candidate.proofs
        )
        if not all(each.stopped for each in outcomes):
            return (
                Judgement(State.REFUSED, "symptom_only", "A proof still works.", outcomes),
                None,
            )
        probe = Probe(
            argv=("{python}", "/in/run.py"),
            files={"/in/proof": candidate.proofs[0].proof},
            works=Ending(signals=(11,)),
            clean=Ending(exit_codes=(0,)),
        )
        manifest = Manifest("pkg:pypi/quuxlib", "1.0+clearhold.1", "quuxlib.whl", probe)
        judgement = Judgement(
            State.ACCEPTED,
            "accepted",
            "Every proof is stopped.",
            outcomes,
            tests="12 passed before and after",
            limits=("No proof shows that there is no other way in.",),
            facts={"recipe": "quux"},
        )
        return judgement, Delivery(manifest, b"WHEEL-BYTES")


@dataclass(frozen=True)
class Workbench:
    """Everyone of the case, the judge and the engine that runs it."""

    hub: Hub
    engine: MemoryEngine
    judge: RulingJudge
    judging: Judging
    case: CaseId
    coordinator: Actor
    maintainer: Actor
    lab: Actor
    finder: Actor
    stranger: Actor
    findings: tuple[FindingId, FindingId]

    def submit(
        self, actor: Actor, diff: bytes, *, key: str = "k", origin: Origin = Origin.MODEL
    ) -> PatchView:
        return self.hub.patches.submit(
            actor, self.case, diff, origin=origin, note="Bounds the copy.", key=key
        )

    def judged(self, actor: Actor, diff: bytes, *, key: str = "k") -> PatchView:
        """Submit, let the queue run, and look again."""
        submitted = self.submit(actor, diff, key=key)
        self.engine.run_due()
        return self.hub.patches.get(actor, submitted.id)


def join(hub: Hub, first: FindingId, other: FindingId) -> None:
    """Say that a finding is the same as one of a case, which it joins by that."""
    with hub.sessions.transaction() as unit:
        hub.findings.assert_match(
            unit, first, other, verdict=Match.SAME, method=Method.PERSON, evidence={}, by="test"
        )

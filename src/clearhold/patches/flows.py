"""Judging a queued candidate: the material in one transaction, the verdict in another.

A task that is cut off anywhere runs again from its start; what is decided stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from clearhold.cases import records as cases
from clearhold.cases.material import CaseMaterial
from clearhold.kernel.errors import ClearholdError, machine_error
from clearhold.kernel.events import Event
from clearhold.kernel.ids import PatchId
from clearhold.patches import records
from clearhold.patches.judging import Candidate, Delivery, Judgement, PatchJudge
from clearhold.patches.porting import locked, porting_task
from clearhold.patches.records import ENVIRONMENT_FAILURE, READER, PatchRecord, State, final
from clearhold.patches.service import (
    STANDS_BEHIND,
    judging_task,
    stand_behind,
    tell,
    verdict_place,
)
from clearhold.ports.engine import attempt_of, next_try
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault


class Judging:
    """Runs the queued task `patches.judge`; with `onward`, what is accepted goes to other versions."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        material: CaseMaterial,
        judge: PatchJudge,
        *,
        onward: bool = False,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._material = material
        self._judge = judge
        self._onward = onward

    def judge(self, arguments: Mapping[str, str]) -> None:
        """Judge the candidate `arguments["patch"]`, unless it is decided."""
        patch = PatchId(arguments["patch"])
        while (candidate := self._collect(patch)) is not None:
            judgement, delivery = self._judged(candidate)
            with self._sessions.transaction() as unit:
                known = locked(unit, patch)
                judged_by = {each.finding for each in candidate.proofs}
                if final(known):
                    return
                # A proof that joined the case meanwhile is judged by as well, in another round.
                if self._material.with_proof(unit, known.case) <= judged_by:
                    self._decide(unit, known, judgement, delivery)
                    if judgement.kind != ENVIRONMENT_FAILURE:
                        return
                    later = next_try(judging_task(patch, attempt=attempt_of(arguments)))
                    if later is not None:
                        unit.enqueue(later[0], delay=later[1])
                    return

    def _collect(self, patch: PatchId) -> Candidate | None:
        """Everything the judge needs, or None when the candidate is decided."""
        with self._sessions.transaction() as unit:
            known = locked(unit, patch)
            if final(known):
                return None
            records.change(unit, patch, state=State.JUDGING)
            return Candidate(
                diff=self._vault.fetch(unit, known.diff, reader=READER),
                proofs=self._material.proofs_of_case(unit, known.case, reader=READER),
                others=self._material.other_cases_proofs(unit, known.case, reader=READER),
            )

    def _judged(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        if not candidate.proofs:
            reason = "The case holds no proof that a fix could be judged by."
            return Judgement(State.UNDECIDED, "no_proof", reason), None
        try:
            return self._judge.judge(candidate)
        except (ClearholdError, OSError) as problem:
            # What the machine lacks is never held against whoever sent the fix.
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            reason = f"{error.message} {error.next_step}".strip()
            return Judgement(State.UNDECIDED, ENVIRONMENT_FAILURE, reason), None

    def _decide(
        self,
        unit: UnitOfWork,
        known: PatchRecord,
        judgement: Judgement,
        delivery: Delivery | None,
    ) -> None:
        values: dict[str, object] = {}
        if judgement.state is State.ACCEPTED and delivery is not None:
            values["wheel"] = self._vault.store(
                unit, known.compartment, content=delivery.wheel, media_type="application/zip"
            )
            values["delivery"] = self._vault.store(
                unit,
                known.compartment,
                content=delivery.manifest.to_bytes(),
                media_type="application/json",
            )
        records.change(
            unit,
            known.id,
            state=judgement.state,
            verdict=judgement.kind,
            sealed_verdict=self._vault.seal(
                unit,
                known.compartment,
                place=verdict_place(known.id),
                content=judgement.to_bytes(),
            ),
            decided_at=unit.now,
            **values,
        )
        tell(
            unit,
            known,
            "patches:candidate:judge",
            by=READER,
            state=judgement.state,
            kind=judgement.kind,
        )
        if judgement.state is State.ACCEPTED:
            self._material.compared_with_fix(unit, known.case, by=READER)
            everyone = cases.participants(unit, known.case)
            if any(p.party == known.party and p.role in STANDS_BEHIND for p in everyone):
                stand_behind(unit, known, party=known.party, by=READER)
            if self._onward:
                unit.enqueue(porting_task(known.id, lines=True))
        key = f"{known.id}:{to_microseconds(unit.now)}"  # one verdict can follow another
        unit.publish(Event("patch.judged", key, {"case": known.case, "patch": known.id}))

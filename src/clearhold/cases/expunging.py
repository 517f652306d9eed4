"""Expunging a case: destroying the keys of everything it holds, older copies included."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.access import grants
from clearhold.cases import progress, records
from clearhold.findings import records as findings
from clearhold.findings.known import records as known
from clearhold.kernel.ids import CaseId, CompartmentId
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.keeping import Guard, KeyKeeping

EXPUNGE = "expunge"


@dataclass(frozen=True, slots=True)
class Expunged:
    """What was destroyed: the case and how many keys it held."""

    case: CaseId
    keys: int


class Expunging:
    """Makes a case unreadable for good, in every copy that the key ring knows how to reach."""

    def __init__(self, sessions: Sessions, keeping: KeyKeeping) -> None:
        self._sessions = sessions
        self._keeping = keeping

    def expunge(self, case: CaseId, guard: Guard, *, by: str) -> Expunged:
        """Destroy the keys of a case, of the findings it links and of what they came in.

        A submission that also brought findings of other cases goes too, because the case's text
        stands in it; those findings have keys of their own and stay. The case then is as if it had
        never been, for its participants too. A repeated call, after a crash for instance, finishes
        what was begun and needs no further approval. Raises `NotFoundError` for a case there never
        was, and `UnavailableError`, with nothing destroyed, while a backup is out of reach.
        """
        self._keeping.ready()
        with self._sessions.transaction() as unit:
            held = records.held(unit, case)
            if held is None:
                raise progress.absent()
            doomed = _keys_of(unit, case, held.compartment)
            if not records.expunge(unit, held):
                return Expunged(case, len(doomed))
            guard(unit, EXPUNGE, case)
            for within in doomed:
                for who in grants.grantees_in(unit, within):
                    grants.read_out(unit, within, who, by=by)
            for linked in records.linked_to(unit, case):
                findings.drop_all_keys(unit, linked.finding)
                known.drop(unit, linked.finding)
            self._keeping.begin_expunging(unit, doomed, by=by)
        self._keeping.finish()
        return Expunged(case, len(doomed))


def _keys_of(unit: UnitOfWork, case: CaseId, own: CompartmentId) -> tuple[CompartmentId, ...]:
    """The compartments that this case alone holds."""
    linked = records.linked_to(unit, case)
    came_in = findings.submissions_with(unit, [each.finding for each in linked])
    return tuple(dict.fromkeys((own, *(each.compartment for each in linked), *came_in)))

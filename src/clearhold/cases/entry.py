"""The one way in: how a participant reaches a case it acts in."""

from __future__ import annotations

from clearhold.access.model import Actor
from clearhold.cases import progress, records
from clearhold.cases.records import CaseRecord, ParticipantRecord
from clearhold.cases.views import part_of
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import CaseId
from clearhold.store.unit_of_work import UnitOfWork


def seen(unit: UnitOfWork, actor: Actor, case: CaseId) -> CaseRecord:
    """A case the actor may see, as it stands now. Raises `NotFoundError`."""
    if not records.listing(unit, actor, case):
        raise progress.absent()
    return progress.current(unit, case)


def entered(unit: UnitOfWork, actor: Actor, case: CaseId) -> tuple[CaseRecord, ParticipantRecord]:
    """A case the actor may act in, locked, and the actor's own part.

    Raises `NotFoundError` for a case the actor may not see and `ConflictError` for a closed one.
    """
    held = seen(unit, actor, case)
    if held.closed_at is not None:
        raise ConflictError(
            "The case is closed.", next_step="Open a new case if something new has come up."
        )
    return held, part_of(records.participants(unit, case), actor.party)

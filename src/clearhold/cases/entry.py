"""The one way in: how a participant reaches a case it acts in."""

from __future__ import annotations

from clearhold.access import grants
from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.cases import progress, records
from clearhold.cases.model import Role
from clearhold.cases.records import CaseRecord, ParticipantRecord
from clearhold.cases.views import part_of
from clearhold.kernel.errors import ConflictError
from clearhold.kernel.ids import CaseId
from clearhold.store.unit_of_work import UnitOfWork


def seen(unit: UnitOfWork, actor: Actor, case: CaseId, *, tier: Tier) -> CaseRecord:
    """A case of which the actor may see what `tier` shows, as it stands now.

    Raises `NotFoundError`, the same for less than that as for a case that is not there.
    """
    if not records.seen(unit, actor, case, tier=tier):
        raise progress.absent()
    return progress.current(unit, case)


def entered(
    unit: UnitOfWork, actor: Actor, case: CaseId, *, tier: Tier = Tier.FIX
) -> tuple[CaseRecord, ParticipantRecord]:
    """A case the actor may act in, locked, and the actor's own part.

    Raises `NotFoundError` for a case of which the actor may not see what `tier` shows and
    `ConflictError` for a closed one.
    """
    held = seen(unit, actor, case, tier=tier)
    if held.closed_at is not None:
        raise ConflictError(
            "The case is closed.", next_step="Open a new case if something new has come up."
        )
    return held, part_of(records.participants(unit, case), actor.party)


def coordinated(unit: UnitOfWork, actor: Actor, case: CaseId) -> CaseRecord:
    """A case whose coordinator the actor is, open or closed.

    Raises `NotFoundError` for a case whose content the actor may not see, and `ConflictError` for
    who takes part otherwise.
    """
    held = seen(unit, actor, case, tier=Tier.CONTENT)
    need_role(part_of(records.participants(unit, case), actor.party), Role.COORDINATOR)
    return held


def looks_through_glass(unit: UnitOfWork, actor: Actor, case: CaseRecord) -> bool:
    """Whether the actor sees the content of a case through broken glass alone."""
    return not grants.decides(unit, actor, case.compartment)


def need_role(part: ParticipantRecord, role: Role) -> None:
    """Raise `ConflictError` for a participant in another role."""
    if part.role is not role:
        raise ConflictError(
            f"Only a {role} of the case may do this.", next_step="Ask the case's coordinator."
        )

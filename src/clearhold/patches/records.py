"""Queries on candidate fixes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.cases.records import visible_cases
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import ArtifactId, CaseId, CompartmentId, PartyId, PatchId
from clearhold.patches.tables import patch
from clearhold.store.unit_of_work import UnitOfWork


class State(StrEnum):
    """Where a candidate stands; undecided says that it could not be judged, which blames nobody."""

    RECEIVED = "received"
    JUDGING = "judging"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


class Origin(StrEnum):
    """Where a candidate came from."""

    FINDER = "finder"
    MAINTAINER = "maintainer"
    MODEL = "model"
    DISTRIBUTION = "distribution"
    BACKPORT = "backport"


ENVIRONMENT_FAILURE: Final = "environment_failure"
READER: Final = "service:patches"
"""Who opens what is sealed of a case for the service itself, as the ledger names it."""
_DECIDED: Final = frozenset({State.ACCEPTED, State.REFUSED, State.UNDECIDED})


@dataclass(frozen=True, slots=True)
class PatchRecord:
    """A candidate as stored; `sealed_` members are sealed, diff, wheel and delivery artefacts."""

    id: PatchId
    case: CaseId
    compartment: CompartmentId
    party: PartyId
    origin: Origin
    state: State
    verdict: str | None
    diff: ArtifactId
    sealed_note: bytes
    sealed_verdict: bytes | None
    sealed_backports: bytes | None
    wheel: ArtifactId | None
    delivery: ArtifactId | None
    submitted_at: datetime
    decided_at: datetime | None
    adopted_at: datetime | None
    request: bytes


def final(known: PatchRecord) -> bool:
    """Whether there is a verdict on the candidate, not on the machine that tried it."""
    return known.state in _DECIDED and known.verdict != ENVIRONMENT_FAILURE


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Who sees the content of a case sees its candidates; who prepares for the fix, the adopted one.

    Its submitter sees a candidate for as long as it sees the case, a finder too.
    """
    return or_(
        and_(
            patch.c.party == actor.party,
            patch.c.case.in_(visible_cases(actor, now, tier=Tier.FIX)),
        ),
        patch.c.compartment.in_(compartments_of(actor, now, tier=Tier.CONTENT)),
        and_(
            patch.c.adopted_at.is_not(None),
            patch.c.compartment.in_(compartments_of(actor, now, tier=Tier.FIX)),
        ),
    )


def add(unit: UnitOfWork, new: PatchRecord, *, key: str) -> None:
    """Insert a candidate."""
    unit.connection.execute(
        insert(patch).values(
            id=new.id,
            case=new.case,
            compartment=new.compartment,
            party=new.party,
            origin=new.origin,
            state=new.state,
            diff=new.diff,
            sealed_note=new.sealed_note,
            submitted_at=new.submitted_at,
            key=key,
            request=new.request,
        )
    )


def change(unit: UnitOfWork, identity: PatchId, **values: Any) -> None:
    """Write columns of a candidate."""
    unit.connection.execute(update(patch).where(patch.c.id == identity).values(**values))


def read(unit: UnitOfWork, identity: PatchId) -> PatchRecord | None:
    """A candidate, whoever asks: for services, never for an answer to a caller."""
    row = unit.connection.execute(select(patch).where(patch.c.id == identity)).one_or_none()
    return None if row is None else _record(row)


def held(unit: UnitOfWork, identity: PatchId) -> PatchRecord | None:
    """A candidate, its row locked until the transaction ends: for services."""
    row = unit.connection.execute(
        select(patch).where(patch.c.id == identity).with_for_update(key_share=True)
    ).one_or_none()
    return None if row is None else _record(row)


def seen(unit: UnitOfWork, actor: Actor, identity: PatchId) -> PatchRecord | None:
    """A candidate, if the actor may see it."""
    row = unit.connection.execute(
        select(patch).where(visible_to(actor, unit.now), patch.c.id == identity)
    ).one_or_none()
    return None if row is None else _record(row)


def listing(unit: UnitOfWork, actor: Actor, case: CaseId) -> tuple[PatchRecord, ...]:
    """The candidates of a case that the actor may see, oldest first."""
    rows = unit.connection.execute(
        select(patch)
        .where(visible_to(actor, unit.now), patch.c.case == case)
        .order_by(patch.c.submitted_at, patch.c.id)
    )
    return tuple(_record(row) for row in rows)


def by_key(unit: UnitOfWork, party: PartyId, key: str) -> PatchRecord | None:
    """The candidate a party submitted with that idempotency key."""
    with unit.as_service():
        row = unit.connection.execute(
            select(patch).where(patch.c.party == party, patch.c.key == key)
        ).one_or_none()
    return None if row is None else _record(row)


def found(patch: PatchRecord | None) -> PatchRecord:
    """The candidate, or the one answer for those that are not there or not the caller's."""
    if patch is None:
        raise NotFoundError("There is no such fix.", next_step="See `clearhold patch list`.")
    return patch


def adopted(unit: UnitOfWork, case: CaseId) -> PatchRecord | None:
    """The candidate that a case's vendor or coordinator stands behind: the last adopted."""
    row = unit.connection.execute(
        select(patch)
        .where(patch.c.case == case, patch.c.adopted_at.is_not(None))
        .order_by(patch.c.adopted_at.desc(), patch.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> PatchRecord:
    return PatchRecord(
        id=PatchId(row.id),
        case=CaseId(row.case),
        compartment=CompartmentId(row.compartment),
        party=PartyId(row.party),
        origin=Origin(row.origin),
        state=State(row.state),
        verdict=row.verdict,
        diff=ArtifactId(row.diff),
        sealed_note=bytes(row.sealed_note),
        sealed_verdict=None if row.sealed_verdict is None else bytes(row.sealed_verdict),
        sealed_backports=None if row.sealed_backports is None else bytes(row.sealed_backports),
        wheel=None if row.wheel is None else ArtifactId(row.wheel),
        delivery=None if row.delivery is None else ArtifactId(row.delivery),
        submitted_at=row.submitted_at,
        decided_at=row.decided_at,
        adopted_at=row.adopted_at,
        request=bytes(row.request),
    )

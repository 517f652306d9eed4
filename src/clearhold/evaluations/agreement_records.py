"""Queries on agreements about testing models; what was signed stays sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.evaluations.model import AgreementState, Side
from clearhold.evaluations.tables import model_agreement as agreement
from clearhold.kernel.ids import CompartmentId, ModelAgreementId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredAgreement:
    """An agreement with the envelopes in which each side signed it; None where it has not yet."""

    id: ModelAgreementId
    developer: PartyId
    evaluator: PartyId
    compartment: CompartmentId
    digest: bytes
    state: AgreementState
    offered_by: Side
    developer_suspends: bool
    evaluator_suspends: bool
    sealed_developer_envelope: bytes | None
    sealed_evaluator_envelope: bytes | None
    not_before: datetime
    until: datetime
    offered_at: datetime
    changed_at: datetime

    def side_of(self, party: PartyId) -> Side | None:
        """Which side a party is, if it is one of the two."""
        return {self.developer: Side.DEVELOPER, self.evaluator: Side.EVALUATOR}.get(party)

    @property
    def suspended_by(self) -> frozenset[Side]:
        """The sides that suspend it; it goes on when none does any more."""
        suspending = {
            Side.DEVELOPER: self.developer_suspends,
            Side.EVALUATOR: self.evaluator_suspends,
        }
        return frozenset(side for side, does in suspending.items() if does)

    @property
    def ends_at(self) -> datetime:
        """When it ends by its terms, or when a side ended it."""
        over = self.state in {AgreementState.REFUSED, AgreementState.ENDED}
        return min(self.until, self.changed_at) if over else self.until

    def stands_at(self, now: datetime) -> bool:
        """Whether engagements may be proposed and go on under it."""
        return self.state is AgreementState.IN_FORCE and self.not_before <= now < self.until


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return agreement.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add(unit: UnitOfWork, new: StoredAgreement) -> None:
    """Insert an agreement; the database refuses the same terms between the same two again."""
    unit.connection.execute(
        insert(agreement).values({each.name: getattr(new, each.name) for each in agreement.c})
    )


def change(unit: UnitOfWork, identity: ModelAgreementId, **values: Any) -> None:
    """Write how an agreement stands."""
    unit.connection.execute(update(agreement).where(agreement.c.id == identity).values(**values))


def of_digest(
    unit: UnitOfWork, developer: PartyId, evaluator: PartyId, digest: bytes
) -> StoredAgreement | None:
    """The agreement of these terms between these two, for the service's own work."""
    query = select(agreement).where(
        agreement.c.developer == developer,
        agreement.c.evaluator == evaluator,
        agreement.c.digest == digest,
    )
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else record(row)


def one(unit: UnitOfWork, identity: ModelAgreementId) -> StoredAgreement | None:
    """One agreement, whoever asks: for the service's own work."""
    row = unit.connection.execute(select(agreement).where(agreement.c.id == identity)).one_or_none()
    return None if row is None else record(row)


def open_offers(unit: UnitOfWork, side: Side, party: PartyId) -> int:
    """How many offers of a party wait for the other side."""
    query = select(func.count()).where(
        agreement.c[side] == party,
        agreement.c.offered_by == side,
        agreement.c.state == AgreementState.OFFERED,
    )
    found: int = unit.connection.execute(query).scalar_one()
    return found


def hold(unit: UnitOfWork, identity: ModelAgreementId) -> StoredAgreement:
    """An agreement whoever asks, locked, for the service's own work."""
    query = select(agreement).where(agreement.c.id == identity).with_for_update()
    return record(unit.connection.execute(query).one())


def one_seen_by(
    unit: UnitOfWork, actor: Actor, identity: str, *, lock: bool = False
) -> StoredAgreement | None:
    """One agreement, if the actor may see it."""
    query = select(agreement).where(visible_to(actor, unit.now), agreement.c.id == identity)
    row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else record(row)


def seen_by(
    unit: UnitOfWork, actor: Actor, *, after: str | None, limit: int
) -> tuple[StoredAgreement, ...]:
    """The agreements the actor may see, in the order they were offered, after one of them."""
    query = select(agreement).where(visible_to(actor, unit.now))
    if after is not None:
        query = query.where(agreement.c.id > after)
    rows = unit.connection.execute(query.order_by(agreement.c.id).limit(limit))
    return tuple(record(row) for row in rows)


def record(row: Any) -> StoredAgreement:
    """An agreement from what stands in its row."""
    return StoredAgreement(
        id=ModelAgreementId(row.id),
        developer=PartyId(row.developer),
        evaluator=PartyId(row.evaluator),
        compartment=CompartmentId(row.compartment),
        digest=bytes(row.digest),
        state=AgreementState(row.state),
        offered_by=Side(row.offered_by),
        developer_suspends=row.developer_suspends,
        evaluator_suspends=row.evaluator_suspends,
        sealed_developer_envelope=_bytes(row.sealed_developer_envelope),
        sealed_evaluator_envelope=_bytes(row.sealed_evaluator_envelope),
        not_before=row.not_before,
        until=row.until,
        offered_at=row.offered_at,
        changed_at=row.changed_at,
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)

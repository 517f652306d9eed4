"""Queries on engagements, on what happened in them and on the changes both sides sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.evaluations.clock import Window
from clearhold.evaluations.model import EngagementState
from clearhold.evaluations.tables import engagement, engagement_change, engagement_event
from clearhold.kernel.ids import CompartmentId, EngagementId, ModelAgreementId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredEngagement:
    """An engagement; what it is about is sealed."""

    id: EngagementId
    agreement: ModelAgreementId
    compartment: CompartmentId
    sealed_body: bytes
    state: EngagementState
    length_s: int
    release_at: datetime | None
    credits_outages: bool
    proposed_at: datetime
    changed_at: datetime
    idempotency_key: str

    @property
    def window(self) -> Window:
        """What was agreed about its time."""
        return Window(timedelta(seconds=self.length_s), self.release_at, self.credits_outages)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """Something that happened in an engagement; `side` is whose doing it was, or `both` or `clock`.

    `until`, `length_s` and `stops_clock` are what a pause, an extension or a moved release say.
    """

    engagement: EngagementId
    number: int
    act: str
    side: str
    at: datetime
    until: datetime | None = None
    length_s: int | None = None
    stops_clock: bool | None = None
    sealed_detail: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change that one side or both have signed; it counts from `signed_at`."""

    id: str
    engagement: EngagementId
    digest: bytes
    sealed_developer_envelope: bytes | None
    sealed_evaluator_envelope: bytes | None
    made_at: datetime
    signed_at: datetime | None


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return engagement.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add(unit: UnitOfWork, new: StoredEngagement) -> None:
    """Insert an engagement; the database refuses a second one of that agreement and key."""
    unit.connection.execute(
        insert(engagement).values({each.name: getattr(new, each.name) for each in engagement.c})
    )


def change(unit: UnitOfWork, identity: EngagementId, **values: Any) -> None:
    """Write how far an engagement has come."""
    unit.connection.execute(update(engagement).where(engagement.c.id == identity).values(**values))


def of_key(unit: UnitOfWork, agreement: ModelAgreementId, key: str) -> StoredEngagement | None:
    """The engagement proposed with this key under an agreement."""
    query = select(engagement).where(
        engagement.c.agreement == agreement, engagement.c.idempotency_key == key
    )
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else record(row)


def one(unit: UnitOfWork, identity: EngagementId, *, lock: bool = False) -> StoredEngagement | None:
    """One engagement, whoever asks: for the service's own work."""
    query = select(engagement).where(engagement.c.id == identity)
    row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else record(row)


def steady(unit: UnitOfWork, identity: EngagementId) -> None:
    """Let nobody change how an engagement stands until the transaction ends; others may hold it too."""
    query = select(engagement.c.id).where(engagement.c.id == identity)
    unit.connection.execute(query.with_for_update(read=True, key_share=True))


def under(unit: UnitOfWork, agreement: ModelAgreementId) -> tuple[StoredEngagement, ...]:
    """All engagements under an agreement, for the service's own work."""
    rows = unit.connection.execute(select(engagement).where(engagement.c.agreement == agreement))
    return tuple(record(row) for row in rows)


def one_seen_by(
    unit: UnitOfWork, actor: Actor, identity: str, *, lock: bool = False
) -> StoredEngagement | None:
    """One engagement, if the actor may see it."""
    query = select(engagement).where(visible_to(actor, unit.now), engagement.c.id == identity)
    row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else record(row)


def hold(unit: UnitOfWork, identity: str) -> StoredEngagement | None:
    """An engagement whoever asks, locked, for the service's own work."""
    query = select(engagement).where(engagement.c.id == identity).with_for_update()
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else record(row)


def seen_by(
    unit: UnitOfWork, actor: Actor, *, after: str | None, limit: int
) -> tuple[StoredEngagement, ...]:
    """The engagements the actor may see, in the order they were proposed, after one of them."""
    query = select(engagement).where(visible_to(actor, unit.now))
    if after is not None:
        query = query.where(engagement.c.id > after)
    rows = unit.connection.execute(query.order_by(engagement.c.id).limit(limit))
    return tuple(record(row) for row in rows)


def happened(unit: UnitOfWork, of: EngagementId) -> tuple[StoredEvent, ...]:
    """What happened in an engagement, in order."""
    query = select(engagement_event).where(engagement_event.c.engagement == of)
    return tuple(map(event, unit.connection.execute(query.order_by(engagement_event.c.number))))


def event(row: Any) -> StoredEvent:
    """An event from what stands in its row."""
    return StoredEvent(
        engagement=EngagementId(row.engagement),
        number=row.number,
        act=row.act,
        side=row.side,
        at=row.at,
        until=row.until,
        length_s=row.length_s,
        stops_clock=row.stops_clock,
        sealed_detail=None if row.sealed_detail is None else bytes(row.sealed_detail),
    )


def next_number(unit: UnitOfWork, of: EngagementId) -> int:
    """The number of the next event; whoever asks holds the engagement's row."""
    query = select(func.coalesce(func.max(engagement_event.c.number), 0) + 1)
    found: int = unit.connection.execute(
        query.where(engagement_event.c.engagement == of)
    ).scalar_one()
    return found


def note(unit: UnitOfWork, new: StoredEvent) -> None:
    """Insert what happened."""
    unit.connection.execute(
        insert(engagement_event).values(
            {each.name: getattr(new, each.name) for each in engagement_event.c}
        )
    )


def lengthen(unit: UnitOfWork, of: EngagementId, number: int, *, until: datetime) -> None:
    """Write that what is still going on has lasted until now."""
    unit.connection.execute(
        update(engagement_event)
        .where(engagement_event.c.engagement == of, engagement_event.c.number == number)
        .values(until=until)
    )


def change_of_digest(unit: UnitOfWork, of: EngagementId, digest: bytes) -> StoredChange | None:
    """The change of an engagement with these terms."""
    query = select(engagement_change).where(
        engagement_change.c.engagement == of, engagement_change.c.digest == digest
    )
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else _change(row)


def add_change(unit: UnitOfWork, new: StoredChange) -> None:
    """Insert a change that one side has signed."""
    unit.connection.execute(
        insert(engagement_change).values(
            {each.name: getattr(new, each.name) for each in engagement_change.c}
        )
    )


def sign_change(unit: UnitOfWork, identity: str, **values: Any) -> None:
    """Write what the other side has signed."""
    unit.connection.execute(
        update(engagement_change).where(engagement_change.c.id == identity).values(**values)
    )


def forget_change(unit: UnitOfWork, identity: str) -> None:
    """Delete a change that only one side has signed."""
    unit.connection.execute(
        delete(engagement_change).where(
            engagement_change.c.id == identity, engagement_change.c.signed_at.is_(None)
        )
    )


def waiting(unit: UnitOfWork, of: EngagementId) -> tuple[StoredChange, ...]:
    """The changes of an engagement that wait for one side's signature, the newest first."""
    query = select(engagement_change).where(
        engagement_change.c.engagement == of, engagement_change.c.signed_at.is_(None)
    )
    rows = unit.connection.execute(query.order_by(engagement_change.c.made_at.desc()).limit(20))
    return tuple(_change(row) for row in rows)


def _change(row: Row[Any]) -> StoredChange:
    developer, evaluator = row.sealed_developer_envelope, row.sealed_evaluator_envelope
    return StoredChange(
        id=row.id,
        engagement=EngagementId(row.engagement),
        digest=bytes(row.digest),
        sealed_developer_envelope=None if developer is None else bytes(developer),
        sealed_evaluator_envelope=None if evaluator is None else bytes(evaluator),
        made_at=row.made_at,
        signed_at=row.signed_at,
    )


def record(row: Any) -> StoredEngagement:
    """An engagement from what stands in its row."""
    return StoredEngagement(
        id=EngagementId(row.id),
        agreement=ModelAgreementId(row.agreement),
        compartment=CompartmentId(row.compartment),
        sealed_body=bytes(row.sealed_body),
        state=EngagementState(row.state),
        length_s=row.length_s,
        release_at=row.release_at,
        credits_outages=row.credits_outages,
        proposed_at=row.proposed_at,
        changed_at=row.changed_at,
        idempotency_key=row.idempotency_key,
    )

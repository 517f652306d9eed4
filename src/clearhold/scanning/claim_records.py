"""Queries on what parties asked, who waits, and who was introduced; content stays sealed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.scanning.limits import DAY
from clearhold.scanning.model import Mode
from clearhold.scanning.tables import scan_attempt as attempt
from clearhold.scanning.tables import scan_introduction as introduction
from clearhold.scanning.tables import scan_waiting as waiting
from clearhold.store.unit_of_work import UnitOfWork


class Kind(StrEnum):
    """What was asked: a lease now, a place in the queue, or a lease on live systems."""

    CLAIM = "claim"
    WAIT = "wait"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A question about a lane that was answered.

    `told` says that the answer told of others there, or may have by being a narrower question;
    `advised` that it named free scopes. `scope` is sealed for the lane, and so is `answer`, what a
    refused claim is answered when it is sent again with its key.
    """

    id: str
    party: PartyId
    lane: bytes
    asked_at: datetime
    kind: Kind
    told: bool
    advised: bool
    scope: bytes | None
    introduce: bytes | None = None
    idempotency_key: str | None = None
    request: bytes | None = None
    answer: bytes | None = None


class Waits(StrEnum):
    """Where a place in a queue stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class StoredWait:
    """A place in the queue of a lane; tickets grow, and the lower one is served first."""

    id: str
    party: PartyId
    compartment: CompartmentId
    lane: bytes
    ticket: int
    mode: Mode
    window: timedelta
    budget_s: int
    state: Waits
    joined_at: datetime
    lease: LeaseId | None
    scope: bytes
    in_lane: bytes | None
    idempotency_key: str
    request: bytes


@dataclass(frozen=True, slots=True)
class StoredIntroduction:
    """Two parties that learned of each other; `body` is sealed."""

    id: str
    compartment: CompartmentId
    made_at: datetime
    body: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A place in a queue is seen by its party."""
    return waiting.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def introduction_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """An introduction is seen by the two it introduced."""
    return introduction.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add_attempt(unit: UnitOfWork, new: Attempt) -> None:
    """Insert an attempt."""
    unit.connection.execute(
        insert(attempt).values(
            id=new.id,
            party=new.party,
            lane=new.lane,
            asked_at=new.asked_at,
            kind=new.kind,
            told=new.told,
            advised=new.advised,
            scope=new.scope,
            introduce=new.introduce,
            idempotency_key=new.idempotency_key,
            request=new.request,
            answer=new.answer,
        )
    )


def refused_before(
    unit: UnitOfWork, party: PartyId, key: str, request: bytes, *, since: datetime
) -> Attempt | None:
    """The latest refusal of this very claim of a party."""
    with unit.as_service():
        row = unit.connection.execute(
            select(attempt)
            .where(
                attempt.c.party == party,
                attempt.c.idempotency_key == key,
                attempt.c.request == request,
                attempt.c.answer.is_not(None),
                attempt.c.asked_at > since,
            )
            .order_by(attempt.c.id.desc())
            .limit(1)
        ).one_or_none()
    return None if row is None else _attempt(row)


def attempts_since(
    unit: UnitOfWork, party: PartyId, since: datetime, *, lane: bytes
) -> tuple[Attempt, ...]:
    """What a party asked about a lane, the oldest first."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(attempt)
            .where(attempt.c.party == party, attempt.c.asked_at > since, attempt.c.lane == lane)
            .order_by(attempt.c.asked_at, attempt.c.id)
        ).all()
    return tuple(_attempt(row) for row in rows)


def waits_since(unit: UnitOfWork, party: PartyId, since: datetime) -> int:
    """How many places in queues a party has taken."""
    with unit.as_service():
        count: int = unit.connection.execute(
            select(func.count())
            .select_from(attempt)
            .where(
                attempt.c.party == party,
                attempt.c.asked_at > since,
                attempt.c.kind == Kind.WAIT,
            )
        ).scalar_one()
    return count


def how_many_since(
    unit: UnitOfWork, party: PartyId, since: datetime, *, advised: bool = False
) -> int:
    """How many questions about software were answered, or how many of the answers advised."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(attempt.c.advised, func.count())
            .where(
                attempt.c.party == party,
                attempt.c.asked_at > since,
                attempt.c.kind != Kind.LIVE,
            )
            .group_by(attempt.c.advised)
        ).all()
    return sum(count for flag, count in rows if flag or not advised)


def forget_attempts(unit: UnitOfWork, lane: bytes, before: datetime) -> None:
    """Drop the scopes of what was asked about a lane long ago."""
    with unit.as_service():
        unit.connection.execute(
            update(attempt)
            .where(
                attempt.c.lane == lane, attempt.c.asked_at <= before, attempt.c.scope.is_not(None)
            )
            .values(scope=None, introduce=None, answer=None)
        )


def attempt_of(unit: UnitOfWork, party: PartyId, identity: str) -> Attempt | None:
    """A party's own attempt of the last day."""
    with unit.as_service():
        row = unit.connection.execute(
            select(attempt).where(
                attempt.c.party == party, attempt.c.id == identity, _of_today(unit)
            )
        ).one_or_none()
    return None if row is None else _attempt(row)


def set_introduce(unit: UnitOfWork, identity: str, sealed: bytes | None) -> None:
    """Keep what an asker would tell whoever is introduced, or that it would not be."""
    with unit.as_service():
        unit.connection.execute(
            update(attempt).where(attempt.c.id == identity).values(introduce=sealed)
        )


def open_to_introduction(unit: UnitOfWork, lane: bytes, *, besides: PartyId) -> tuple[Attempt, ...]:
    """What others asked about a lane who would be introduced: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(attempt).where(
                attempt.c.lane == lane,
                attempt.c.party != besides,
                attempt.c.introduce.is_not(None),
                attempt.c.scope.is_not(None),
                _of_today(unit),
            )
        ).all()
    return tuple(_attempt(row) for row in rows)


def _of_today(unit: UnitOfWork) -> ColumnElement[bool]:
    """An attempt leads to an introduction for a day."""
    return attempt.c.asked_at > unit.now - DAY


def add_wait(unit: UnitOfWork, new: StoredWait) -> None:
    """Insert a place in a queue; the database refuses a second one of that party and key."""
    unit.connection.execute(
        insert(waiting).values(
            id=new.id,
            party=new.party,
            compartment=new.compartment,
            lane=new.lane,
            ticket=new.ticket,
            mode=new.mode,
            window_s=int(new.window.total_seconds()),
            budget_s=new.budget_s,
            state=new.state,
            joined_at=new.joined_at,
            lease=new.lease,
            scope=new.scope,
            in_lane=new.in_lane,
            idempotency_key=new.idempotency_key,
            request=new.request,
        )
    )


def wait_by_key(unit: UnitOfWork, party: PartyId, key: str) -> StoredWait | None:
    """A party's own earlier place under an idempotency key."""
    return _wait_or_none(unit, waiting.c.party == party, waiting.c.idempotency_key == key)


def wait_seen(unit: UnitOfWork, actor: Actor, identity: str) -> StoredWait | None:
    """One place, if the actor may see it."""
    return _wait_or_none(unit, visible_to(actor, unit.now), waiting.c.id == identity)


def waits(unit: UnitOfWork, actor: Actor, *, limit: int) -> tuple[StoredWait, ...]:
    """The places the actor may see, the newest first."""
    rows = unit.connection.execute(
        select(waiting)
        .where(visible_to(actor, unit.now))
        .order_by(waiting.c.id.desc())
        .limit(limit)
    )
    return tuple(_wait(row) for row in rows)


def queue(unit: UnitOfWork, lane: bytes, *, limit: int) -> tuple[StoredWait, ...]:
    """Who waits in a lane, in the order of service: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(waiting)
            .where(waiting.c.lane == lane, waiting.c.state == Waits.WAITING)
            .order_by(waiting.c.ticket)
            .limit(limit)
        ).all()
    return tuple(_wait(row) for row in rows)


def with_queues(unit: UnitOfWork, lanes: Iterable[bytes]) -> frozenset[bytes]:
    """Those of some lanes in which somebody waits: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(waiting.c.lane)
            .distinct()
            .where(waiting.c.lane.in_(tuple(lanes)), waiting.c.state == Waits.WAITING)
        ).scalars()
        return frozenset(map(bytes, rows))


def end_wait(
    unit: UnitOfWork, identity: str, *, state: Waits, lease_id: LeaseId | None = None
) -> None:
    """Write that somebody no longer waits, and the lease that came of it."""
    with unit.as_service():
        unit.connection.execute(
            update(waiting)
            .where(waiting.c.id == identity)
            .values(state=state, lease=lease_id, in_lane=None)
        )


def add_introduction(
    unit: UnitOfWork, new: StoredIntroduction, *, lease_id: LeaseId, attempt_id: str
) -> None:
    """Insert an introduction."""
    with unit.as_service():
        unit.connection.execute(
            insert(introduction).values(
                id=new.id,
                compartment=new.compartment,
                lease=lease_id,
                attempt=attempt_id,
                made_at=new.made_at,
                body=new.body,
            )
        )


def introduced(unit: UnitOfWork, lease_id: LeaseId, attempt_id: str) -> bool:
    """Whether these two were introduced already: for services alone."""
    with unit.as_service():
        return (
            unit.connection.execute(
                select(introduction.c.id).where(
                    introduction.c.lease == lease_id, introduction.c.attempt == attempt_id
                )
            ).first()
            is not None
        )


def introductions(unit: UnitOfWork, actor: Actor, *, limit: int) -> Sequence[StoredIntroduction]:
    """The introductions the actor may see, the newest first."""
    rows = unit.connection.execute(
        select(introduction)
        .where(introduction_visible_to(actor, unit.now))
        .order_by(introduction.c.id.desc())
        .limit(limit)
    )
    return tuple(
        StoredIntroduction(row.id, CompartmentId(row.compartment), row.made_at, bytes(row.body))
        for row in rows
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        party=PartyId(row.party),
        lane=bytes(row.lane),
        asked_at=row.asked_at,
        kind=Kind(row.kind),
        told=row.told,
        advised=row.advised,
        scope=None if row.scope is None else bytes(row.scope),
        introduce=None if row.introduce is None else bytes(row.introduce),
        idempotency_key=row.idempotency_key,
        request=None if row.request is None else bytes(row.request),
        answer=None if row.answer is None else bytes(row.answer),
    )


def _wait_or_none(unit: UnitOfWork, *conditions: ColumnElement[bool]) -> StoredWait | None:
    row = unit.connection.execute(select(waiting).where(*conditions)).one_or_none()
    return None if row is None else _wait(row)


def _wait(row: Row[Any]) -> StoredWait:
    return StoredWait(
        id=row.id,
        party=PartyId(row.party),
        compartment=CompartmentId(row.compartment),
        lane=bytes(row.lane),
        ticket=row.ticket,
        mode=Mode(row.mode),
        window=timedelta(seconds=row.window_s),
        budget_s=row.budget_s,
        state=Waits(row.state),
        joined_at=row.joined_at,
        lease=None if row.lease is None else LeaseId(row.lease),
        scope=bytes(row.scope),
        in_lane=None if row.in_lane is None else bytes(row.in_lane),
        idempotency_key=row.idempotency_key,
        request=bytes(row.request),
    )

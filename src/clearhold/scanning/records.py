"""Queries on lanes and leases; scopes stay sealed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.allowances import open_now
from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.scanning.model import Lease, Mode, State, StopReason
from clearhold.scanning.tables import scan_lane as lane
from clearhold.scanning.tables import scan_lease as lease
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane under its keyed name, its last fencing token, and where its scopes are sealed."""

    package: bytes
    fence: int
    compartment: CompartmentId | None


@dataclass(frozen=True, slots=True)
class StoredLease:
    """A lease with its lane, its sealed scope and the request that made it.

    `in_lane` is its scope sealed for the lane, None once it is over; `introduce` what its holder
    would tell whoever is introduced, sealed, None without the wish to be.
    """

    lease: Lease
    lane: bytes
    scope: bytes
    idempotency_key: str
    request: bytes
    in_lane: bytes | None = None
    introduce: bytes | None = None


@dataclass(frozen=True, slots=True)
class InLane:
    """What a lane's index takes in of a lease."""

    lease: LeaseId
    fence: int
    mode: Mode
    sealed: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A lease is seen by the party read in to its compartment: its holder."""
    return lease.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def advance_lane(unit: UnitOfWork, package: bytes) -> Lane:
    """Take a package's next fencing token and hold its lane until this transaction ends.

    Claims on one package therefore happen one after the other, on either database.
    """
    insertion = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    row = unit.connection.execute(
        insertion(lane)
        .values(package=package, fence=1)
        .on_conflict_do_update(index_elements=["package"], set_={"fence": lane.c.fence + 1})
        .returning(*lane.c)
    ).one()
    return _lane(row)


def hold_lane(unit: UnitOfWork, package: bytes) -> None:
    """Hold an existing lane until this transaction ends, without taking a token."""
    unit.connection.execute(select(lane.c.fence).where(lane.c.package == package).with_for_update())


def lanes(unit: UnitOfWork, packages: Iterable[bytes]) -> tuple[Lane, ...]:
    """The lanes of some packages, without holding them."""
    rows = unit.connection.execute(select(lane).where(lane.c.package.in_(tuple(packages))))
    return tuple(_lane(row) for row in rows)


def set_compartment(unit: UnitOfWork, package: bytes, compartment: CompartmentId) -> None:
    """Note where a lane's scopes are sealed."""
    unit.connection.execute(
        update(lane).where(lane.c.package == package).values(compartment=compartment)
    )


def lapse_overdue(unit: UnitOfWork, package: bytes) -> int:
    """Write down as expired what has expired in a lane; how many leases that were.

    Another machine's clock may be behind; what is written cannot be brought back by its heartbeat.
    """
    with unit.as_service():
        return unit.connection.execute(
            update(lease)
            .where(
                lease.c.lane == package,
                lease.c.in_lane.is_not(None),
                lease.c.expires_at <= unit.now,
            )
            .values(state=State.EXPIRED, in_lane=None)
        ).rowcount


def in_lane_after(unit: UnitOfWork, package: bytes, fence: int) -> tuple[InLane, ...]:
    """What was leased in a lane after a fencing token and is not known to be over: for services."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease.c.id, lease.c.fence, lease.c.mode, lease.c.in_lane)
            .where(lease.c.lane == package, lease.c.fence > fence, lease.c.in_lane.is_not(None))
            .order_by(lease.c.fence)
        ).all()
    return tuple(
        InLane(LeaseId(row.id), row.fence, Mode(row.mode), bytes(row.in_lane)) for row in rows
    )


def fences_in(
    unit: UnitOfWork, package: bytes, among: Sequence[int] | None = None
) -> frozenset[int]:
    """The fencing tokens of what is leased in a lane, of all or `among` some: for services alone."""
    wanted = true() if among is None else lease.c.fence.in_(among)
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease.c.fence).where(
                lease.c.lane == package, lease.c.in_lane.is_not(None), wanted
            )
        )
        return frozenset(rows.scalars())


def standing(
    unit: UnitOfWork, package: bytes, fences: Sequence[int]
) -> tuple[tuple[StoredLease, bool], ...]:
    """Those of a lane's leases that are in force, whoever holds them: for services alone.

    With each comes whether its holder may still hold leases, which a suspended party may not.
    """
    heeded = open_now(lease.c.party, Permission.SCANNING_CLAIM, unit.now)
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease, heeded.label("heeded")).where(
                lease.c.lane == package, lease.c.fence.in_(fences), *_in_force(unit.now)
            )
        ).all()
    return tuple((_lease(row), bool(row.heeded)) for row in rows)


def live_in(unit: UnitOfWork, packages: Iterable[bytes]) -> tuple[StoredLease, ...]:
    """The leases in force in some lanes, whoever holds them: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease)
            .where(lease.c.lane.in_(tuple(packages)), *_in_force(unit.now))
            .order_by(lease.c.fence)
        ).all()
    return tuple(_lease(row) for row in rows)


def of_party_in(unit: UnitOfWork, party: PartyId, package: bytes) -> tuple[StoredLease, ...]:
    """A party's own leases in force in a lane."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease).where(
                lease.c.party == party, lease.c.lane == package, *_in_force(unit.now)
            )
        ).all()
    return tuple(_lease(row) for row in rows)


def how_many_of(unit: UnitOfWork, party: PartyId, mode: Mode) -> int:
    """How many leases of a mode a party has in force, in all lanes."""
    with unit.as_service():
        count: int = unit.connection.execute(
            select(func.count())
            .select_from(lease)
            .where(lease.c.party == party, lease.c.mode == mode, *_in_force(unit.now))
        ).scalar_one()
    return count


def busy_lanes(unit: UnitOfWork) -> tuple[bytes, ...]:
    """The packages on which there are leases in force, in one order for everybody."""
    rows = unit.connection.execute(
        select(lease.c.lane).where(*_in_force(unit.now)).distinct().order_by(lease.c.lane)
    )
    return tuple(bytes(name) for name in rows.scalars())


def add(unit: UnitOfWork, new: StoredLease) -> None:
    """Insert a lease; the database refuses a second one of that party and key."""
    unit.connection.execute(
        insert(lease).values(
            id=new.lease.id,
            party=new.lease.party,
            compartment=new.lease.compartment,
            lane=new.lane,
            mode=new.lease.mode,
            state=new.lease.state,
            fence=new.lease.fence,
            scope=new.scope,
            budget_s=new.lease.budget_s,
            granted_at=new.lease.granted_at,
            expires_at=new.lease.expires_at,
            window_ends_at=new.lease.window_ends_at,
            idempotency_key=new.idempotency_key,
            request=new.request,
            in_lane=new.in_lane,
        )
    )


def by_key(unit: UnitOfWork, party: PartyId, key: str) -> StoredLease | None:
    """A party's own earlier lease under an idempotency key."""
    return _one(unit, lease.c.party == party, lease.c.idempotency_key == key)


def seen(unit: UnitOfWork, actor: Actor, identity: LeaseId) -> StoredLease | None:
    """One lease, if the actor may see it."""
    return _one(unit, visible_to(actor, unit.now), lease.c.id == identity)


def of_party(unit: UnitOfWork, party: PartyId, identity: LeaseId) -> StoredLease | None:
    """One lease of a party that may hold leases, as a suspended one may not; for services alone."""
    heeded = open_now(lease.c.party, Permission.SCANNING_CLAIM, unit.now)
    with unit.as_service():
        return _one(unit, lease.c.party == party, lease.c.id == identity, heeded)


def by_id(unit: UnitOfWork, identity: LeaseId) -> StoredLease | None:
    """One lease, whoever holds it: for services alone."""
    with unit.as_service():
        return _one(unit, lease.c.id == identity)


def lane_of(unit: UnitOfWork, identity: LeaseId) -> bytes:
    """In which lane a lease lies: for services alone."""
    with unit.as_service():
        name = unit.connection.execute(select(lease.c.lane).where(lease.c.id == identity))
        return bytes(name.scalar_one())


def listing(unit: UnitOfWork, actor: Actor, *, limit: int) -> tuple[StoredLease, ...]:
    """The leases the actor may see, the newest first."""
    rows = unit.connection.execute(
        select(lease).where(visible_to(actor, unit.now)).order_by(lease.c.id.desc()).limit(limit)
    )
    return tuple(_lease(row) for row in rows)


def keep(unit: UnitOfWork, identity: LeaseId, *, expires_at: datetime) -> None:
    """Write that a lease was heard of and when it lapses otherwise."""
    unit.connection.execute(
        update(lease)
        .where(lease.c.id == identity)
        .values(state=State.ACTIVE, expires_at=expires_at)
    )


def end(
    unit: UnitOfWork, identity: LeaseId, *, state: State, reason: StopReason | None = None
) -> None:
    """Write that a lease is over, and why."""
    with unit.as_service():  # a coordinator ends leases of others
        unit.connection.execute(
            update(lease)
            .where(lease.c.id == identity)
            .values(state=state, end_reason=reason, in_lane=None)
        )


def set_introduce(unit: UnitOfWork, identity: LeaseId, sealed: bytes | None) -> None:
    """Keep what a holder would tell whoever is introduced, or that it would not be."""
    unit.connection.execute(update(lease).where(lease.c.id == identity).values(introduce=sealed))


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (lease.c.in_lane.is_not(None), lease.c.expires_at > now)


def _one(unit: UnitOfWork, *conditions: ColumnElement[bool]) -> StoredLease | None:
    row = unit.connection.execute(select(lease).where(*conditions)).one_or_none()
    return None if row is None else _lease(row)


def _lane(row: Row[Any]) -> Lane:
    return Lane(
        package=bytes(row.package),
        fence=row.fence,
        compartment=None if row.compartment is None else CompartmentId(row.compartment),
    )


def _lease(row: Row[Any]) -> StoredLease:
    return StoredLease(
        lease=Lease(
            id=LeaseId(row.id),
            party=PartyId(row.party),
            compartment=CompartmentId(row.compartment),
            mode=Mode(row.mode),
            state=State(row.state),
            fence=row.fence,
            granted_at=row.granted_at,
            expires_at=row.expires_at,
            window_ends_at=row.window_ends_at,
            budget_s=row.budget_s,
            end_reason=None if row.end_reason is None else StopReason(row.end_reason),
        ),
        lane=bytes(row.lane),
        scope=bytes(row.scope),
        idempotency_key=row.idempotency_key,
        request=bytes(row.request),
        in_lane=None if row.in_lane is None else bytes(row.in_lane),
        introduce=None if row.introduce is None else bytes(row.introduce),
    )

"""Queries on coverage: sealed records, sealed maps, parties' choices, exposure classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, and_, delete, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.model import Actor
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.scanning.coverage_model import Sharing
from clearhold.scanning.coverage_tables import coverage_map as register
from clearhold.scanning.coverage_tables import coverage_sharing as choice
from clearhold.scanning.coverage_tables import scan_exposure as exposure
from clearhold.scanning.coverage_tables import scan_suggestion as suggestion
from clearhold.scanning.next_scan import Operators
from clearhold.scanning.records import visible_to as lease_visible_to
from clearhold.scanning.tables import scan_coverage as coverage
from clearhold.scanning.tables import scan_lease as lease
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredCoverage:
    """A coverage record, sealed in its lease's compartment."""

    id: str
    lease: LeaseId
    compartment: CompartmentId
    recorded_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredMap:
    """A package's coverage map, sealed in a compartment nobody is read in to."""

    package: bytes
    compartment: CompartmentId
    register: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Coverage is seen by whoever sees its lease."""
    return and_(coverage.c.lease == lease.c.id, lease_visible_to(actor, now))


def add(unit: UnitOfWork, identity: str, within: LeaseId, *, body: bytes) -> None:
    """Insert a sealed coverage record."""
    unit.connection.execute(
        insert(coverage).values(id=identity, lease=within, recorded_at=unit.now, body=body)
    )


def replace_body(unit: UnitOfWork, identity: str, *, body: bytes) -> None:
    """Write a record's sealed body anew."""
    unit.connection.execute(update(coverage).where(coverage.c.id == identity).values(body=body))


def listing(
    unit: UnitOfWork, actor: Actor, *, limit: int, identity: str | None = None
) -> tuple[StoredCoverage, ...]:
    """Coverage the actor may see, one record or the newest first."""
    wanted = true() if identity is None else coverage.c.id == identity
    rows = unit.connection.execute(
        select(coverage, lease.c.compartment)
        .join(lease, lease.c.id == coverage.c.lease)
        .where(visible_to(actor, unit.now), wanted)
        .order_by(coverage.c.id.desc())
        .limit(limit)
    )
    return tuple(
        StoredCoverage(
            row.id,
            LeaseId(row.lease),
            CompartmentId(row.compartment),
            row.recorded_at,
            bytes(row.body),
        )
        for row in rows
    )


def maps(unit: UnitOfWork, packages: Iterable[bytes]) -> tuple[StoredMap, ...]:
    """The maps of some packages."""
    rows = unit.connection.execute(
        select(register).where(register.c.package.in_(tuple(packages))).order_by(register.c.package)
    )
    return tuple(
        StoredMap(bytes(row.package), CompartmentId(row.compartment), bytes(row.register))
        for row in rows
    )


def hold_map(unit: UnitOfWork, package: bytes) -> StoredMap | None:
    """A package's map, held until this transaction ends."""
    unit.connection.execute(
        select(register.c.package).where(register.c.package == package).with_for_update()
    ).all()
    return next(iter(maps(unit, (package,))), None)


def make_map(unit: UnitOfWork, new: StoredMap) -> bool:
    """Insert a package's map; False when somebody else just has."""
    made = unit.connection.execute(
        _insert(unit)(register)
        .values(package=new.package, compartment=new.compartment, register=new.register)
        .on_conflict_do_nothing()
        .returning(register.c.package)
    )
    return made.one_or_none() is not None


def write_map(unit: UnitOfWork, package: bytes, *, content: bytes) -> None:
    """Replace a map that is held."""
    unit.connection.execute(
        update(register).where(register.c.package == package).values(register=content)
    )


def sharing_of(unit: UnitOfWork, party: PartyId) -> Sharing:
    """What a party chose once for all its coverage; private until it says otherwise."""
    with unit.as_service():
        found = unit.connection.execute(
            select(choice.c.sharing).where(choice.c.party == party)
        ).scalar_one_or_none()
    return Sharing.PRIVATE if found is None else Sharing(found)


def choose(unit: UnitOfWork, party: PartyId, sharing: Sharing) -> None:
    """Write a party's standing choice."""
    values = {"sharing": sharing, "since": unit.now}
    unit.connection.execute(
        _insert(unit)(choice)
        .values(party=party, **values)
        .on_conflict_do_update(index_elements=["party"], set_=values)
    )


def count_question(unit: UnitOfWork, party: PartyId, day: int) -> int:
    """Count a question for suggestions; returns how many it is of that day."""
    unit.connection.execute(
        delete(suggestion).where(suggestion.c.party == party, suggestion.c.day < day)
    )
    asked: int = unit.connection.execute(
        _insert(unit)(suggestion)
        .values(party=party, day=day, asked=1)
        .on_conflict_do_update(
            index_elements=["party", "day"], set_={"asked": suggestion.c.asked + 1}
        )
        .returning(suggestion.c.asked)
    ).scalar_one()
    return asked


def put_exposure(unit: UnitOfWork, classes: Mapping[bytes, Operators]) -> None:
    """Replace all exposure classes."""
    unit.connection.execute(delete(exposure))
    rows = [{"package": key, "operators": each} for key, each in sorted(classes.items())]
    if rows:
        unit.connection.execute(insert(exposure), rows)


def exposures(unit: UnitOfWork) -> dict[bytes, Operators]:
    """The exposure class of every package that has one."""
    rows = unit.connection.execute(select(exposure))
    return {bytes(row.package): Operators(row.operators) for row in rows}


def _insert(unit: UnitOfWork) -> Callable[[Table], postgresql.Insert | sqlite.Insert]:
    return sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert

"""Queries on the catalogue."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, func, select, true
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.model import Actor
from clearhold.catalogue.model import KnownVulnerability, Target, Technique
from clearhold.catalogue.tables import catalogue_target as target
from clearhold.catalogue.tables import catalogue_vulnerability as vulnerability
from clearhold.kernel.ids import PartyId
from clearhold.kernel.matching import Affected, Range
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Everyone sees the whole catalogue: it holds public knowledge only."""
    del actor, now
    return true()


def put_target(unit: UnitOfWork, new: Target, *, by: PartyId) -> None:
    """Insert a target, or replace the one of that package."""
    values = {
        "versions": new.versions,
        "techniques": new.techniques,
        "paths": new.paths,
        "added_by": by,
        "added_at": new.added_at,
    }
    _upsert(unit, target, {"package": str(new.package)}, values)


def put_known(unit: UnitOfWork, new: KnownVulnerability) -> None:
    """Insert a public vulnerability, or replace the one of that package and id."""
    values = {
        "aliases": new.aliases,
        "ranges": [
            [each.introduced, each.fixed, each.last_affected] for each in new.affected.ranges
        ],
        "versions": new.affected.versions,
        "recorded_at": new.recorded_at,
    }
    _upsert(unit, vulnerability, {"package": str(new.package), "id": new.id}, values)


def _upsert(
    unit: UnitOfWork, table: Table, key: dict[str, object], values: dict[str, object]
) -> None:
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    unit.connection.execute(
        insert(table)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=values)
    )


def targets(unit: UnitOfWork, actor: Actor, package: Purl | None = None) -> tuple[Target, ...]:
    """The targets the actor may see, one or all, by package."""
    wanted = true() if package is None else target.c.package == str(package)
    rows = unit.connection.execute(
        select(target).where(visible_to(actor, unit.now), wanted).order_by(target.c.package)
    )
    return tuple(_target(row) for row in rows)


def known_in(unit: UnitOfWork, package: Purl) -> tuple[KnownVulnerability, ...]:
    """What the public knows of one package, by id."""
    rows = unit.connection.execute(
        select(vulnerability)
        .where(vulnerability.c.package == str(package))
        .order_by(vulnerability.c.id)
    )
    return tuple(_known(row) for row in rows)


def known_in_all(
    unit: UnitOfWork, packages: Collection[Purl]
) -> dict[Purl, tuple[KnownVulnerability, ...]]:
    """What the public knows of each of these packages, by id, in one query."""
    found: dict[str, list[KnownVulnerability]] = {}
    rows = unit.connection.execute(
        select(vulnerability)
        .where(vulnerability.c.package.in_({str(package) for package in packages}))
        .order_by(vulnerability.c.id)
    )
    for row in rows:
        found.setdefault(row.package, []).append(_known(row))
    return {package: tuple(found.get(str(package), ())) for package in packages}


def known_counts(unit: UnitOfWork) -> dict[str, int]:
    """How many vulnerabilities the public knows of each target of which it knows any."""
    rows = unit.connection.execute(
        select(vulnerability.c.package, func.count().label("known"))
        .where(vulnerability.c.package.in_(select(target.c.package)))
        .group_by(vulnerability.c.package)
    )
    return {row.package: row.known for row in rows}


def packages(unit: UnitOfWork) -> tuple[str, ...]:
    """The package URLs of all targets."""
    return tuple(unit.connection.execute(select(target.c.package)).scalars())


def _target(row: Row[Any]) -> Target:
    return Target(
        package=Purl.parse(row.package),
        versions=tuple(row.versions),
        techniques=tuple(Technique(name) for name in row.techniques),
        paths=tuple(row.paths),
        added_at=row.added_at,
    )


def _known(row: Row[Any]) -> KnownVulnerability:
    package = Purl.parse(row.package)
    ranges = tuple(Range(*bounds) for bounds in row.ranges)
    return KnownVulnerability(
        id=row.id,
        package=package,
        aliases=tuple(row.aliases),
        affected=Affected(package.type, ranges, tuple(row.versions)),
        recorded_at=row.recorded_at,
    )

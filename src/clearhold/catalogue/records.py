"""Queries on the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, delete, func, select, true
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.model import Actor
from clearhold.catalogue.likeness import Terms
from clearhold.catalogue.model import KnownVulnerability, Target, Technique
from clearhold.catalogue.tables import catalogue_exploited as exploited
from clearhold.catalogue.tables import catalogue_target as target
from clearhold.catalogue.tables import catalogue_vulnerability as vulnerability
from clearhold.kernel.ids import PartyId
from clearhold.kernel.matching import Affected, Range
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.wire.public_flaw import Exploited

_AT_ONCE: Final = 10_000


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
    _upsert(unit, target, ("package",), [{"package": str(new.package), **values}])


def put_known(unit: UnitOfWork, new: Iterable[KnownVulnerability]) -> None:
    """Insert public vulnerabilities, or replace those of the same package and id."""
    rows = [
        {
            "package": str(each.package),
            "id": each.id,
            "aliases": each.aliases,
            "ranges": [
                [one.introduced, one.fixed, one.last_affected] for one in each.affected.ranges
            ],
            "versions": each.affected.versions,
            "source": each.source,
            "summary": each.summary,
            "terms": asdict(each.terms),
            "recorded_at": each.recorded_at,
        }
        for each in new
    ]
    _upsert(unit, vulnerability, ("package", "id"), rows)


def drop_known(unit: UnitOfWork, ids: Iterable[tuple[str, str]]) -> None:
    """Take out what records of these sources and ids said, of whatever package.

    What another source says under the same id stays.
    """
    by_source: dict[str, list[str]] = {}
    for source, identity in ids:
        by_source.setdefault(source, []).append(identity)
    for source, named in by_source.items():
        unit.connection.execute(
            delete(vulnerability).where(
                vulnerability.c.id.in_(named), vulnerability.c.source == source
            )
        )


def put_exploited(unit: UnitOfWork, entries: Iterable[Exploited]) -> None:
    """Replace what is held of the catalogue of known exploited vulnerabilities."""
    unit.connection.execute(delete(exploited))
    rows = [
        {"cve": each.cve, "added": each.added.isoformat(), "ransomware": each.ransomware}
        for each in entries
    ]
    _upsert(unit, exploited, ("cve",), rows)


def exploited_among(unit: UnitOfWork, names: Iterable[str]) -> dict[str, Exploited]:
    """Those of these identifiers that are known to be exploited, with what is known."""
    wanted = [each for each in names if each.startswith("CVE-")]
    found: dict[str, Exploited] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        for row in unit.connection.execute(select(exploited).where(exploited.c.cve.in_(part))):
            found[row.cve] = Exploited(row.cve, date.fromisoformat(row.added), row.ransomware)
    return found


def _upsert(
    unit: UnitOfWork, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> None:
    if not rows:
        return
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    made = insert(table)
    values = {name: made.excluded[name] for name in rows[0] if name not in key}
    unit.connection.execute(made.on_conflict_do_update(index_elements=key, set_=values), rows)


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
    return tuple(_known(row, package) for row in rows)


def known_in_all(
    unit: UnitOfWork, packages: Collection[Purl]
) -> dict[Purl, tuple[KnownVulnerability, ...]]:
    """What the public knows of each of these packages, by id, in one query."""
    wanted = {str(package): package for package in packages}
    found: dict[Purl, list[KnownVulnerability]] = {package: [] for package in packages}
    rows = unit.connection.execute(
        select(vulnerability)
        .where(vulnerability.c.package.in_(wanted))
        .order_by(vulnerability.c.id)
    )
    for row in rows:
        package = wanted[row.package]
        found[package].append(_known(row, package))
    return {package: tuple(each) for package, each in found.items()}


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


def _known(row: Row[Any], package: Purl) -> KnownVulnerability:
    ranges = tuple(Range(*bounds) for bounds in row.ranges)
    return KnownVulnerability(
        id=row.id,
        package=package,
        aliases=tuple(row.aliases),
        affected=Affected(package.type, ranges, tuple(row.versions)),
        recorded_at=row.recorded_at,
        source=row.source,
        summary=row.summary,
        terms=Terms(**{name: tuple(each) for name, each in row.terms.items()}),
    )

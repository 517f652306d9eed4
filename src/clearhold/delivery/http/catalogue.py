"""Routes of the catalogue."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.catalogue.model import KnownVulnerability, Target, Technique
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.matching import Range

router = APIRouter(prefix="/catalogue", tags=["catalogue"])


class NewTarget(BaseModel):
    """A package to list, as a package URL without version."""

    package: str
    versions: tuple[str, ...]
    techniques: tuple[Technique, ...]
    paths: tuple[str, ...] = ()


class TargetView(NewTarget):
    """A package that may be scanned."""

    added_at: datetime


class VersionRange(BaseModel):
    """Versions from `introduced` to before `fixed`, or to `last_affected` inclusive."""

    introduced: str = "0"
    fixed: str | None = None
    last_affected: str | None = None


class NewVulnerability(BaseModel):
    """A vulnerability the public knows."""

    package: str
    id: str
    aliases: tuple[str, ...] = ()
    ranges: tuple[VersionRange, ...] = ()
    versions: tuple[str, ...] = ()


class VulnerabilityView(NewVulnerability):
    """A vulnerability the public knows, as recorded."""

    summary: str
    recorded_at: datetime


class PublicRecords(BaseModel):
    """Published OSV and CVE records, each as the text of its JSON document."""

    records: tuple[str, ...]


class RefusedRecord(BaseModel):
    """A record that was not taken: its place in the list, from 0, and why."""

    place: int
    reason: str


class ImportView(BaseModel):
    """What became of published records; `rows` counts one for each package it names."""

    taken: int
    withdrawn: int
    rows: int
    refused: tuple[RefusedRecord, ...]


class ExploitedCatalogue(BaseModel):
    """The catalogue of known exploited vulnerabilities, as the text of its JSON document."""

    catalogue: str


class ExploitedView(BaseModel):
    """How many entries the catalogue has."""

    entries: int


def _target(target: Target) -> TargetView:
    return TargetView(
        package=str(target.package),
        versions=target.versions,
        techniques=target.techniques,
        paths=target.paths,
        added_at=target.added_at,
    )


def _vulnerability(known: KnownVulnerability) -> VulnerabilityView:
    return VulnerabilityView(
        package=str(known.package),
        id=known.id,
        aliases=known.aliases,
        ranges=tuple(
            VersionRange(
                introduced=each.introduced, fixed=each.fixed, last_affected=each.last_affected
            )
            for each in known.affected.ranges
        ),
        versions=known.affected.versions,
        summary=known.summary,
        recorded_at=known.recorded_at,
    )


@router.post("/targets", status_code=201, **requires(Permission.CATALOGUE_WRITE))
def add(hub: HubDep, actor: ActorDep, new: NewTarget) -> TargetView:
    """List a package as a target, or replace what was said of it."""
    return _target(
        hub.catalogue.add(
            actor,
            new.package,
            versions=new.versions,
            techniques=new.techniques,
            paths=new.paths,
        )
    )


@router.get("/targets", **requires(Permission.CATALOGUE_READ))
def listing(hub: HubDep, actor: ActorDep, package: str | None = None) -> list[TargetView]:
    """The packages that may be scanned, all or one."""
    if package is not None:
        return [_target(hub.catalogue.get(actor, package))]
    return [_target(target) for target in hub.catalogue.list(actor)]


@router.post("/vulnerabilities", status_code=201, **requires(Permission.CATALOGUE_WRITE))
def record_known(hub: HubDep, actor: ActorDep, new: NewVulnerability) -> VulnerabilityView:
    """Record a vulnerability the public knows, or replace it."""
    return _vulnerability(
        hub.catalogue.record_known(
            actor,
            new.package,
            new.id,
            aliases=new.aliases,
            ranges=tuple(
                Range(each.introduced, each.fixed, each.last_affected) for each in new.ranges
            ),
            versions=new.versions,
        )
    )


@router.get("/vulnerabilities", **requires(Permission.CATALOGUE_READ))
def known(hub: HubDep, actor: ActorDep, package: str) -> list[VulnerabilityView]:
    """What the public knows of a package."""
    return [_vulnerability(each) for each in hub.catalogue.known(actor, package)]


@router.post("/public", **requires(Permission.CATALOGUE_WRITE))
def import_public(hub: HubDep, actor: ActorDep, given: PublicRecords) -> ImportView:
    """Take in published OSV and CVE records; what cannot be taken is refused alone."""
    done = hub.catalogue.import_public(actor, given.records)
    return ImportView(
        taken=done.taken,
        withdrawn=done.withdrawn,
        rows=done.rows,
        refused=tuple(RefusedRecord(place=at, reason=why) for at, why in done.refused),
    )


@router.post("/exploited", **requires(Permission.CATALOGUE_WRITE))
def import_exploited(hub: HubDep, actor: ActorDep, given: ExploitedCatalogue) -> ExploitedView:
    """Replace the catalogue of known exploited vulnerabilities (CISA's KEV)."""
    return ExploitedView(entries=hub.catalogue.import_exploited(actor, given.catalogue))

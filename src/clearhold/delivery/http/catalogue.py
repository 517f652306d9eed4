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

    recorded_at: datetime


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

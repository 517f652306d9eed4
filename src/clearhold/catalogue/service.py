"""Keeping the catalogue: coordinators write, everyone reads."""

from __future__ import annotations

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue import records
from clearhold.catalogue.model import (
    KnownVulnerability,
    Target,
    Technique,
    bare,
    make_known,
    make_target,
)
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.matching import Affected, Range
from clearhold.store.unit_of_work import Sessions


class CatalogueService:
    """The register of packages that may be scanned and of what the public knows of them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add(
        self,
        actor: Actor,
        package: str,
        *,
        versions: tuple[str, ...],
        techniques: tuple[Technique, ...],
        paths: tuple[str, ...] = (),
    ) -> Target:
        """List a package as a target; listing it again replaces what was said of it.

        Raises `InvalidError` for a package, version or path that cannot be read.
        """
        actor.need(Permission.CATALOGUE_WRITE)
        with self._sessions.transaction() as unit:
            target = make_target(
                package, versions=versions, techniques=techniques, paths=paths, now=unit.now
            )
            records.put_target(unit, target, by=actor.party)
            unit.record("catalogue:target:add", actor=actor.principal, subject=str(target.package))
            return target

    def list(self, actor: Actor) -> tuple[Target, ...]:
        """Every target, by package."""
        actor.need(Permission.CATALOGUE_READ)
        with self._sessions.transaction() as unit:
            return records.targets(unit, actor)

    def get(self, actor: Actor, package: str) -> Target:
        """The target of one package. Raises `NotFoundError` when it is not listed."""
        actor.need(Permission.CATALOGUE_READ)
        wanted = bare(package)
        with self._sessions.transaction() as unit:
            found = records.targets(unit, actor, wanted)
        if not found:
            raise NotFoundError(
                "The catalogue does not list that package.",
                next_step="See `clearhold catalogue list`, or ask your coordinator to add it.",
            )
        return found[0]

    def record_known(
        self,
        actor: Actor,
        package: str,
        identity: str,
        *,
        aliases: tuple[str, ...] = (),
        ranges: tuple[Range, ...] = (),
        versions: tuple[str, ...] = (),
    ) -> KnownVulnerability:
        """Record a vulnerability the public knows; recording it again replaces it.

        Raises `InvalidError` for what cannot be read.
        """
        actor.need(Permission.CATALOGUE_WRITE)
        with self._sessions.transaction() as unit:
            known = make_known(
                package,
                identity,
                aliases=aliases,
                affected=Affected(bare(package).type, ranges, versions),
                now=unit.now,
            )
            records.put_known(unit, known)
            unit.record("catalogue:vulnerability:record", actor=actor.principal, subject=known.id)
            return known

    def known(self, actor: Actor, package: str) -> tuple[KnownVulnerability, ...]:
        """What the public knows of a package, by id."""
        actor.need(Permission.CATALOGUE_READ)
        with self._sessions.transaction() as unit:
            return records.known_in(unit, bare(package))

"""Keeping the catalogue: coordinators write, everyone reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue import records
from clearhold.catalogue.model import (
    KnownVulnerability,
    Target,
    Technique,
    bare,
    known_from,
    make_known,
    make_target,
)
from clearhold.kernel.errors import ClearholdError, NotFoundError, TooLargeError
from clearhold.kernel.matching import Affected, Range
from clearhold.store.unit_of_work import Sessions
from clearhold.wire import public_flaw
from clearhold.wire.public_flaw import PublicFlaw

MOST_RECORDS: Final = 500


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of published records: numbers, and by their place which were refused and why.

    `rows` counts a record once for each package it names.
    """

    taken: int
    withdrawn: int
    rows: int
    refused: tuple[tuple[int, str], ...]


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
            records.put_known(unit, [known])
            unit.record("catalogue:vulnerability:record", actor=actor.principal, subject=known.id)
            return known

    def import_public(self, actor: Actor, texts: Sequence[str]) -> Imported:
        """Take in published OSV and CVE records; what cannot be taken is refused alone.

        A record that came before is replaced, one that was withdrawn is taken out. Raises
        `TooLargeError` for more than `MOST_RECORDS`.
        """
        actor.need(Permission.CATALOGUE_WRITE)
        if len(texts) > MOST_RECORDS:
            raise TooLargeError(
                f"There are {len(texts)} records; at most {MOST_RECORDS} are taken at once.",
                next_step="Send them in parts; `clearhold catalogue import` does.",
            )
        flaws: dict[tuple[str, str], PublicFlaw] = {}
        refused = []
        for number, each in enumerate(texts):
            try:
                flaw = public_flaw.read(each.encode("utf-8", "surrogatepass"))
                flaws[flaw.source, flaw.id] = flaw
            except ClearholdError as problem:
                refused.append((number, f"{problem.message} {problem.next_step}".strip()))
        with self._sessions.transaction() as unit:
            known = [one for each in flaws.values() for one in known_from(each, unit.now)]
            records.drop_known(unit, flaws.keys())
            records.put_known(unit, known)
            unit.record(
                "catalogue:vulnerability:import",
                actor=actor.principal,
                subject="public records",
                detail={"records": str(len(flaws)), "rows": str(len(known))},
            )
        withdrawn = sum(each.claims is None for each in flaws.values())
        return Imported(len(flaws) - withdrawn, withdrawn, len(known), tuple(refused))

    def import_exploited(self, actor: Actor, text: str) -> int:
        """Replace the catalogue of known exploited vulnerabilities; returns how many it has.

        Raises `InvalidError` and `TooLargeError`, and then nothing is replaced.
        """
        actor.need(Permission.CATALOGUE_WRITE)
        entries = public_flaw.read_exploited(text.encode("utf-8", "surrogatepass"))
        with self._sessions.transaction() as unit:
            records.put_exploited(unit, entries)
            unit.record(
                "catalogue:exploited:import",
                actor=actor.principal,
                subject="known exploited vulnerabilities",
                detail={"entries": str(len(entries))},
            )
        return len(entries)

    def known(self, actor: Actor, package: str) -> tuple[KnownVulnerability, ...]:
        """What the public knows of a package, by id."""
        actor.need(Permission.CATALOGUE_READ)
        with self._sessions.transaction() as unit:
            return records.known_in(unit, bare(package))

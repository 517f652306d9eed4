"""The next best scan for whoever asks.

Owners' wishes come first: what is not to be scanned, or whose owner wants no contact so that a
finding could not be brought to it, is left out before anything is computed. What is leased is left
out last, without a word. The score is computed from what everybody may know and from the asker's
own scans alone, so an answer tells of leases no more than a refused claim would: one cannot ask
about a package of one's choice, and a party has a number of questions a day.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue import records as catalogue
from clearhold.catalogue.model import Target, Technique
from clearhold.kernel.errors import LimitError
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.scanning import coverage_records as records
from clearhold.scanning.coverage import CoverageMaps, CoverageService
from clearhold.scanning.coverage_model import (
    Coverage,
    Entry,
    areas_of,
    monday_of,
    shown,
    week_of,
)
from clearhold.scanning.lanes import Lanes, Sight
from clearhold.scanning.model import Mode, Outcome, SoftwareScope, Versions, collide
from clearhold.scanning.next_scan import Candidate, Known, Operators, candidates, rank, rough
from clearhold.scanning.paths import EVERYTHING
from clearhold.store.schema import EPOCH
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MOST_SUGGESTED: Final = 5
MOST_IN_PACKAGE: Final = 2
MOST_LOOKED_AT: Final = 48
MOST_PARTS: Final = 8
MOST_ASKED_A_DAY: Final = 24
_OWN_LOOKED_AT: Final = 50


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A scope that can be claimed, and the candidate it comes from with its terms."""

    scope: SoftwareScope
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What is most worth scanning, best first, as the coverage maps stood on `as_of`, a Monday."""

    as_of: date
    scans: tuple[Suggestion, ...]
    questions_left: int


class SuggestionService:
    """Suggests scans, and takes in the exposure that operators share."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, lanes: Lanes, coverage: CoverageService
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._lanes = lanes
        self._coverage = coverage
        self._maps = CoverageMaps(vault)

    def next(self, actor: Actor, *, technique: Technique | None = None) -> Suggestions:
        """What the actor's party had best scan next. Raises `LimitError` when it asked too often."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            asked = records.count_question(unit, actor.party, (unit.now - EPOCH).days)
            if asked > MOST_ASKED_A_DAY:
                raise LimitError(
                    f"A party may ask {MOST_ASKED_A_DAY} times a day what to scan next.",
                    next_step="Scan what was suggested, and ask again tomorrow.",
                )
            week = week_of(unit.now)
            known = self._known(unit, actor, week=week, technique=technique)
            found = itertools.chain.from_iterable(
                candidates(each, this_week=week, technique=technique) for each in known
            )
            order = self._order(actor, week)
            ranked = rank(found, order)
            scans = tuple(itertools.islice(self._free(unit, ranked), MOST_SUGGESTED))
            unit.record("scanning:suggestion:ask", actor=actor.principal, subject=actor.party)
            return Suggestions(monday_of(week), scans, MOST_ASKED_A_DAY - asked)

    def rank(
        self, unit: UnitOfWork, actor: Actor, scopes: Sequence[SoftwareScope]
    ) -> Sequence[SoftwareScope]:
        """Scopes that were found free, the most worth scanning first; `suggest.Ranking`."""
        wanted = {each.package: each for each in scopes}
        week = week_of(unit.now)
        listed = [each for each in self._listed(unit, actor) if each.target.package in wanted]
        known = self._with_maps(unit, listed, week=week, mine={})
        found = [each for one in known for each in candidates(one, this_week=week)]
        places = {
            each.key: place for place, each in enumerate(rank(found, self._order(actor, week)))
        }
        return sorted(
            scopes,
            key=lambda each: places.get(
                f"{each.package}\0{each.versions.exact}\0{each.technique}", len(places)
            ),
        )

    def expose(self, unit: UnitOfWork, classes: Mapping[str, Operators]) -> None:
        """Replace what is known of exposure: for `remediation`, from what operators share."""
        records.put_exposure(
            unit,
            {
                self._exposure_key(Purl.parse(each)): operators
                for each, operators in classes.items()
            },
        )

    def _known(
        self, unit: UnitOfWork, actor: Actor, *, week: int, technique: Technique | None
    ) -> list[Known]:
        # Maps are opened for some of many; what is left out has its turn in another week.
        order = self._order(actor, week)
        listed = sorted(
            (
                each
                for each in self._listed(unit, actor)
                if technique is None or technique in each.target.techniques
            ),
            key=lambda each: (-rough(each), order(str(each.target.package))),
        )
        wished = wishes.any_stand(unit)
        willing = (each for each in listed if not wished or _willing(unit, each.target))
        chosen = list(itertools.islice(willing, MOST_LOOKED_AT))
        return self._with_maps(unit, chosen, week=week, mine=self._mine(unit, actor))

    def _listed(self, unit: UnitOfWork, actor: Actor) -> list[Known]:
        exposed = records.exposures(unit)
        flaws = catalogue.known_counts(unit)
        return [
            Known(
                each,
                (),
                exposed.get(self._exposure_key(each.package)),
                flaws.get(str(each.package), 0),
            )
            for each in catalogue.targets(unit, actor)
        ]

    def _with_maps(
        self,
        unit: UnitOfWork,
        chosen: Sequence[Known],
        *,
        week: int,
        mine: Mapping[str, Sequence[Entry]],
    ) -> list[Known]:
        maps = self._maps.read(unit, [each.target.package for each in chosen])
        return [
            replace(
                each,
                entries=(
                    *shown(maps.get(each.target.package, ()), this_week=week),
                    *mine.get(str(each.target.package), ()),
                ),
            )
            for each in chosen
        ]

    def _mine(self, unit: UnitOfWork, actor: Actor) -> dict[str, list[Entry]]:
        """The asker's own scans, private ones and this week's too, as if they were in the maps."""
        mine: dict[str, list[Entry]] = {}
        for each in self._coverage.own(unit, actor, limit=_OWN_LOOKED_AT):
            if each.package and each.state:
                mine.setdefault(each.package, []).append(_entry(each))
        return mine

    def _free(self, unit: UnitOfWork, ranked: Sequence[Candidate]) -> Iterator[Suggestion]:
        sights: dict[Purl, Sight] = {}
        given: dict[Purl, int] = {}
        for candidate in ranked:
            package = candidate.target.package
            if given.get(package, 0) == MOST_IN_PACKAGE:
                continue
            for paths in _parts(candidate.target):
                scope = SoftwareScope(
                    package, Versions(exact=candidate.version), paths, candidate.technique
                )
                if package not in sights:
                    sights[package] = self._lanes.look(unit, self._lanes.of(scope))
                if _is_free(unit, sights[package], scope):
                    given[package] = given.get(package, 0) + 1
                    yield Suggestion(scope, candidate)
                    break

    def _order(self, actor: Actor, week: int) -> Callable[[str], bytes]:
        return lambda key: self._vault.matching_hash("order", f"{actor.party}\0{week}\0{key}")

    def _exposure_key(self, package: Purl) -> bytes:
        return self._vault.matching_hash("scan-exposure", str(package.package))


def _willing(unit: UnitOfWork, target: Target) -> bool:
    wished = wishes.for_package(unit, target.package)
    return not (wished.do_not_scan or wished.do_not_contact)


def _parts(target: Target) -> tuple[tuple[str, ...], ...]:
    """The whole package, or else one of some paths of interest."""
    return ((EVERYTHING,), *((path,) for path in target.paths[:MOST_PARTS]))


def _is_free(unit: UnitOfWork, sight: Sight, scope: SoftwareScope) -> bool:
    against = sight.first(unit, scope, among=lambda entry: collide(Mode.EXCLUSIVE, entry.mode))
    return against is None


def _entry(each: Coverage) -> Entry:
    return Entry(
        token=each.id,
        who="",
        state=each.state,
        technique=each.technique,
        areas=areas_of(each.paths),
        depth=each.depth,
        week=week_of(each.recorded_at),
        completed=each.outcome is not Outcome.ABORTED,
    )

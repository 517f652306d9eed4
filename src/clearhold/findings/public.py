"""Recognising what the public knows in a report: by name, and by what the texts have in common.

Only public records and the report itself are compared, so that the answer tells nothing of what
anybody else has sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from clearhold.catalogue import records
from clearhold.catalogue.likeness import Known, Likeness, Terms, terms_of
from clearhold.catalogue.model import KnownVulnerability
from clearhold.findings.model import PublicFlawSeen
from clearhold.findings.report import Report
from clearhold.findings.signals import MOST_FRAMES
from clearhold.kernel.matching import Verdict
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.wire.public_flaw import Exploited

MOST_NAMED: Final = 100
MOST_PERHAPS: Final = 20
MOST_JUDGED: Final = 500
"""How many of the likeliest flaws are looked at for whether they affect the version reported."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """Public flaws that affect the version reported.

    `named` the report names itself, the likeliest first; `perhaps` are the likeliest of the others,
    in that order; `seen` says of those that resemble the report, or are exploited, what is known.
    """

    named: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    seen: tuple[PublicFlawSeen, ...] = ()


class PublicKnowledge:
    """What the public knows of some packages, in two queries."""

    def __init__(self, unit: UnitOfWork, packages: Collection[Purl]) -> None:
        self._known = records.known_in_all(unit, packages) if packages else {}
        names = {name for every in self._known.values() for each in every for name in each.names}
        self._exploited = records.exploited_among(unit, sorted(names)) if names else {}
        self._packages = {package: _Package(every) for package, every in self._known.items()}

    def recognise(self, report: Report) -> Recognised:
        """The public flaws of the report's package and version, the likeliest first."""
        package = self._packages.get(report.document.package.package)
        if package is None or not package.known:
            return Recognised()
        version = report.document.package.version or ""
        known, names = package.known, report.names
        alike = package.index.likeness(_terms(report))
        calls = package.called(names)
        ranked = sorted(calls, key=lambda place: package.rank(alike, place))
        affecting = (place for place in ranked if package.affects(place, version))
        named = list(islice(affecting, MOST_NAMED))
        likeliest = (place for place in package.likeliest(alike) if place not in calls)
        judged = islice(likeliest, MOST_JUDGED)
        others = islice(
            (place for place in judged if package.affects(place, version)), MOST_PERHAPS
        )
        perhaps = list(others)
        seen = (
            _seen(known[place], alike.get(place), self._exploitation(known[place]))
            for place in (*named, *perhaps)
        )
        return Recognised(
            tuple(known[place].id for place in named),
            tuple(known[place].id for place in perhaps),
            tuple(each for each in seen if each.signs or each.exploited or each.id in names),
        )

    def _exploitation(self, known: KnownVulnerability) -> Exploited | None:
        return next(
            (self._exploited[name] for name in sorted(known.names) if name in self._exploited), None
        )


def _terms(report: Report) -> Terms:
    document = report.document
    places = [part for each in report.locations for part in each.replace(":", " ").split()]
    return terms_of(
        f"{document.title}\n{document.description}\n{report.trace}",
        names=(*document.claim.signature[:MOST_FRAMES], *places[: 3 * MOST_FRAMES]),
        weaknesses=(document.weakness,),
    )


@dataclass(slots=True)
class _Package:
    """What is known of one package, with what is worked out of it once for all findings."""

    known: tuple[KnownVulnerability, ...]
    index: Known = field(init=False)
    _by_id: list[int] = field(init=False)
    _by_name: dict[str, list[int]] = field(init=False)
    _judged: dict[tuple[str, int], bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the flaws."""
        self.index = Known([each.terms for each in self.known])
        self._by_id = sorted(range(len(self.known)), key=lambda place: self.known[place].id)
        self._by_name = {}
        for place, each in enumerate(self.known):
            for name in each.names:
                self._by_name.setdefault(name, []).append(place)

    def called(self, names: frozenset[str]) -> frozenset[int]:
        """The flaws that go by one of these names."""
        return frozenset(place for name in names for place in self._by_name.get(name, ()))

    def rank(self, alike: dict[int, Likeness], place: int) -> tuple[float, str]:
        """What to sort by, the likeliest first."""
        return (-alike[place].score if place in alike else 0.0, self.known[place].id)

    def likeliest(self, alike: dict[int, Likeness]) -> Iterator[int]:
        """Every flaw, the likeliest first."""
        others = (place for place in self._by_id if place not in alike)
        return chain(sorted(alike, key=lambda place: self.rank(alike, place)), others)

    def affects(self, place: int, version: str) -> bool:
        """Whether a flaw affects a version, or may."""
        if (version, place) not in self._judged:
            verdict = self.known[place].affects(version).verdict
            self._judged[version, place] = verdict is not Verdict.NOT_AFFECTED
        return self._judged[version, place]


def _seen(
    known: KnownVulnerability, likeness: Likeness | None, exploited: Exploited | None
) -> PublicFlawSeen:
    return PublicFlawSeen(
        id=known.id,
        aliases=known.aliases,
        summary=known.summary,
        signs=likeness.signs if likeness else (),
        exploited=exploited.added.isoformat() if exploited else "",
        ransomware=exploited is not None and exploited.ransomware,
    )

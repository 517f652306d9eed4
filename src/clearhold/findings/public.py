"""Recognising what the public knows in a report: by name, and by what the texts have in common.

Only public records and the report itself are compared, so that the answer tells nothing of what
anybody else has sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
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

MOST_PERHAPS: Final = 20


@dataclass(frozen=True, slots=True)
class Recognised:
    """Public flaws that affect the version reported.

    `named` the report names itself; `perhaps` are the likeliest of the others, in that order;
    `seen` says of those that resemble the report, or are exploited, what is known.
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
        self._indexes: dict[Purl, Known] = {}
        self._affecting: dict[Purl, tuple[int, ...]] = {}

    def recognise(self, report: Report) -> Recognised:
        """The public flaws of the report's package and version, the likeliest first."""
        package = report.document.package.package
        known = self._known.get(package, ())
        affecting = self._of_version(report.document.package, known)
        if not affecting:
            return Recognised()
        alike = self._index(package, known).likeness(_terms(report))
        names = report.names
        named = [place for place in affecting if known[place].names & names]
        others = sorted(
            (place for place in affecting if place not in named),
            key=lambda place: (-_score(alike, place), known[place].id),
        )[:MOST_PERHAPS]
        seen = (
            _seen(known[place], alike.get(place), self._exploitation(known[place]))
            for place in (*named, *others)
        )
        return Recognised(
            tuple(known[place].id for place in named),
            tuple(known[place].id for place in others),
            tuple(each for each in seen if each.signs or each.exploited or each.id in names),
        )

    def _of_version(self, purl: Purl, known: tuple[KnownVulnerability, ...]) -> tuple[int, ...]:
        if purl not in self._affecting:
            version = purl.version or ""
            self._affecting[purl] = tuple(
                place
                for place, each in enumerate(known)
                if each.affects(version).verdict is not Verdict.NOT_AFFECTED
            )
        return self._affecting[purl]

    def _index(self, package: Purl, known: tuple[KnownVulnerability, ...]) -> Known:
        if package not in self._indexes:
            self._indexes[package] = Known([each.terms for each in known])
        return self._indexes[package]

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


def _score(alike: dict[int, Likeness], place: int) -> float:
    return alike[place].score if place in alike else 0.0


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

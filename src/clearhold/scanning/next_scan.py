"""Which scan is worth most next: a sum of terms, each with its points and its reason.

It is computed from what everybody may know (the catalogue, the coverage map, exposure classes) and
from the asker's own scans. Scores within one step count as equal, and among equals every party has
an order of its own that changes weekly, so that not everybody is sent to one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.catalogue.model import Target, Technique
from clearhold.scanning.coverage_model import Entry
from clearhold.scanning.model import Depth

STEP: Final = 5
FEWEST_OPERATORS: Final = 3
NEWEST_LOOKED_AT: Final = 3
_NEW: Final = (10, 4, 0)


class Operators(StrEnum):
    """How many operators who agreed to share run a package: a class, and none below three."""

    SOME = "3+"
    MANY = "10+"
    VERY_MANY = "30+"


_EXPOSED: Final = {Operators.SOME: 8, Operators.MANY: 14, Operators.VERY_MANY: 20}


def class_of(operators: int) -> Operators | None:
    """The class of a number of operators; None where it could point at one of them."""
    if operators < FEWEST_OPERATORS:
        return None
    if operators < 10:
        return Operators.SOME
    return Operators.MANY if operators < 30 else Operators.VERY_MANY


@dataclass(frozen=True, slots=True)
class Term:
    """One reason and its points; all that a score is made of is shown."""

    name: str
    points: int
    why: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version of a package and a technique, and what speaks for scanning it."""

    target: Target
    version: str
    technique: Technique
    terms: tuple[Term, ...]

    @property
    def score(self) -> int:
        """The sum of the points."""
        return sum(term.points for term in self.terms)

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.target.package}\0{self.version}\0{self.technique}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one listed package: shown entries of its map, exposure, public flaws."""

    target: Target
    entries: tuple[Entry, ...]
    operators: Operators | None
    public_flaws: int


def candidates(
    known: Known, *, this_week: int, technique: Technique | None = None
) -> tuple[Candidate, ...]:
    """Every scan of a package's newest listed versions, by the fitting techniques, with its terms."""
    newest = tuple(reversed(known.target.versions))[:NEWEST_LOOKED_AT]
    return tuple(
        Candidate(
            known.target,
            version,
            each,
            (
                _staleness(known, version, this_week),
                _gap(known, version, each, this_week),
                *_constant(known),
                _newness(place, version),
            ),
        )
        for place, version in enumerate(newest)
        for each in known.target.techniques
        if technique in {None, each}
    )


def rank(found: Iterable[Candidate], order: Callable[[str], bytes]) -> tuple[Candidate, ...]:
    """The candidates, best first; `order` is the asker's own among equals."""
    return tuple(sorted(found, key=lambda each: (-(each.score // STEP), order(each.key), each.key)))


def rough(known: Known) -> int:
    """How much speaks for a package before its map is opened."""
    return sum(term.points for term in _constant(known))


def _staleness(known: Known, version: str, this_week: int) -> Term:
    here = [each.week for each in known.entries if each.state == version]
    if here:
        weeks = max(0, this_week - max(here))
        return Term("staleness", min(40, 2 * weeks), f"last scanned {_ago(weeks)}")
    if known.entries:
        return Term("staleness", 35, "scanned in other versions, not yet in this one")
    return Term("staleness", 40, "no scan of it is known")


def _gap(known: Known, version: str, technique: Technique, this_week: int) -> Term:
    name = "technique gap"
    by_it = [each for each in known.entries if each.technique is technique]
    here = [each for each in by_it if each.state == version]
    if not by_it:
        return Term(name, 30, f"no {technique} of it is known")
    if not here:
        return Term(name, 20, f"{technique} is known of other versions only")
    if all(each.depth is Depth.SHALLOW or not each.completed for each in here):
        return Term(name, 15, f"{technique} was shallow or aborted")
    weeks = max(0, this_week - max(each.week for each in here))
    return Term(name, min(10, weeks // 4), f"last {technique} {_ago(weeks)}")


def _constant(known: Known) -> tuple[Term, Term]:
    if known.operators is None:
        exposed = Term("exposure", 0, "fewer than three operators share that they run it")
    else:
        points = _EXPOSED[known.operators]
        exposed = Term("exposure", points, f"{known.operators} operators share that they run it")
    flaws = known.public_flaws
    history = Term(
        "history", min(15, 3 * flaws), f"{flaws} public flaws of it are in the catalogue"
    )
    return exposed, history


def _newness(place: int, version: str) -> Term:
    why = "the newest version listed" if place == 0 else f"{place} newer listed than {version}"
    return Term("newness", _NEW[place], why)


def _ago(weeks: int) -> str:
    return "this week" if weeks == 0 else f"{weeks} week{'s' if weeks > 1 else ''} ago"

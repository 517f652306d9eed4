"""How a report resembles what the public knows of its package, on public text alone.

Both sides are reduced to the same terms: names out of code, the files they stand in, words, and the
weakness. What few of the package's flaws have in common weighs more (inverse document frequency,
Spärck Jones 1972).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_NAMES: Final = 64
MOST_WORDS: Final = 96
MOST_WEAKNESSES: Final = 16
MOST_SHARING: Final = 500
"""A term that more flaws of a package have in common tells none of them, and is passed over."""
_MOST_TEXT: Final = 20_000
_SHOWN: Final = 5
_ENOUGH: Final = 0.4
_FEW: Final = 2
_FENCED: Final = re.compile(r"`{1,3}([^`]{1,2000})`{1,3}")
_CODE: Final = re.compile(
    r"\b[\w+-]{1,80}\.(?:c|cc|cpp|cxx|h|hpp|py|js|ts|go|rs|java|php|rb|cs|swift|m|pyx)\b|"
    r"\b[A-Za-z_]\w{0,80}(?:(?:::|\.|->)~?[A-Za-z_]\w{0,80}){0,8}\(\)|"  # name()
    r"\b\w{1,80}(?:::\w{1,80}){1,8}|"  # a::b
    r"\b[A-Za-z0-9]{1,80}(?:_[A-Za-z0-9]{1,80}){1,12}\b|"  # with_underscores
    r"\b[a-z0-9]{1,80}[A-Z]\w{1,80}"  # camelCase
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][\w+-]{2,80}(?:(?:::|\.|->)[A-Za-z_]\w{0,80}){0,8}")
_WORD: Final = re.compile(r"[a-z][a-z0-9]{2,30}")
_LINK: Final = re.compile(r"https?://\S{1,2000}")
_COMMON: Final = frozenset(
    re.findall(
        r"\w+",
        """
        the and for with from that this which when are was were not has have had can could may
        might will would should been being its into than then there their them they but any all
        also via by use used using user users attacker attackers allow allows allowed issue
        issues vulnerability vulnerabilities vulnerable affected version versions before after
        prior through cve report fixed fix patched patch advisory security found discovered lead
        leads cause causes caused remote arbitrary due impact workaround workarounds references
        upgrade
        """,
    )
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a text is reduced to: names out of code, words, and weaknesses as CWE numbers."""

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    weaknesses: tuple[str, ...] = ()


NOTHING: Final = Terms()


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a report and a public flaw are; `signs` says in words why, empty when they are not."""

    score: float
    signs: tuple[str, ...]


def terms_of(text: str, *, names: Iterable[str] = (), weaknesses: Iterable[str] = ()) -> Terms:
    """The terms of `text`, of the functions and files in `names`, and of CWE numbers."""
    plain = _LINK.sub(" ", text[:_MOST_TEXT])
    given = [name for each in _FENCED.findall(plain) for name in _IDENTIFIER.findall(each)]
    found: dict[str, None] = {}
    for each in (*names, *_CODE.findall(plain), *given):
        for form in _forms(each):
            found[form] = None
    words = (each for each in _WORD.findall(plain.lower()) if each not in _COMMON)
    return Terms(
        tuple(found)[:MOST_NAMES],
        tuple(dict.fromkeys(words))[:MOST_WORDS],
        tuple(dict.fromkeys(each for each in weaknesses if each))[:MOST_WEAKNESSES],
    )


def _forms(name: str) -> tuple[str, ...]:
    """A name as it stands and its last part, in lower case, without what calls it."""
    whole = name.removesuffix("()").strip("`.:").lower()
    if "/" in whole:
        whole = whole.rsplit("/", 1)[1]
    last = re.split(r"::|\.(?!(?:c|cc|cpp|cxx|h|hpp|py|js|ts|go|rs|java|php|rb)$)|->", whole)[-1]
    return tuple(each for each in dict.fromkeys((whole, last)) if 3 <= len(each) <= 120)


@dataclass(slots=True)
class Known:
    """The flaws the public knows of one package, by what they say; `terms` by place."""

    terms: Sequence[Terms]
    _names: _Postings = field(init=False)
    _words: _Postings = field(init=False)
    _weaknesses: _Postings = field(init=False)
    _lengths: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Index the terms."""
        self._names = _Postings.of([each.names for each in self.terms])
        self._words = _Postings.of([each.words for each in self.terms])
        self._weaknesses = _Postings.of([each.weaknesses for each in self.terms])
        self._lengths = [self._words.length(each.words) for each in self.terms]

    def likeness(self, report: Terms) -> dict[int, Likeness]:
        """Of each flaw that has a name, words or the weakness in common with a report, how alike.

        What it costs is bounded by the terms of the report, not by how many flaws are known.
        """
        shared = self._names.shared(report.names)
        weak = self._weaknesses.shared(report.weaknesses)
        products: dict[int, float] = defaultdict(float)
        for word in report.words:
            weight = self._words.rarity(word) ** 2
            for place in self._words.places(word):
                products[place] += weight
        length = self._words.length(report.words)
        weaknesses = frozenset(report.weaknesses)
        found = {}
        for place in shared.keys() | weak.keys() | products.keys():
            terms = self.terms[place]
            names = shared.get(place, [])
            words = products.get(place, 0.0) / ((length * self._lengths[place]) or 1.0)
            same = weaknesses.intersection(terms.weaknesses)
            score = sum(self._names.rarity(name) for name in names) + 3 * words + len(same)
            if score:
                found[place] = Likeness(score, self._signs(report, terms, names, same, words))
        return found

    def _signs(
        self,
        report: Terms,
        terms: Terms,
        names: Sequence[str],
        weak: frozenset[str],
        words: float,
    ) -> tuple[str, ...]:
        signs = []
        few = max(_FEW, len(self.terms) // 50)
        rare = [each for each in names if len(self._names.places(each)) <= few]
        if rare:
            signs.append(f"names {', '.join(rare[:_SHOWN])}")
        if words >= _ENOUGH:
            common = frozenset(report.words).intersection(terms.words)
            by_rarity = sorted(common, key=lambda word: (-self._words.rarity(word), word))
            signs.append(f"words {', '.join(by_rarity[:_SHOWN])}")
        if weak and signs:
            signs.append(f"weakness {', '.join(sorted(weak))}")
        return tuple(signs)


@dataclass(frozen=True, slots=True)
class _Postings:
    """In which flaws each term stands, and how rare that makes it; of common terms, nothing."""

    _places: Mapping[str, list[int]]
    _rarities: Mapping[str, float]
    _unheard: float

    @classmethod
    def of(cls, terms: Sequence[Sequence[str]]) -> _Postings:
        places: dict[str, list[int]] = {}
        for place, each in enumerate(terms):
            for term in each:
                places.setdefault(term, []).append(place)
        common = [term for term, each in places.items() if len(each) > MOST_SHARING]
        for term in common:
            del places[term]
        total = len(terms) + 1
        rarities = {term: math.log(total / (len(each) + 0.5)) for term, each in places.items()}
        return cls(places, rarities | dict.fromkeys(common, 0.0), math.log(total / 0.5))

    def places(self, term: str) -> Sequence[int]:
        return self._places.get(term, ())

    def rarity(self, term: str) -> float:
        return self._rarities.get(term, self._unheard)

    def length(self, terms: Sequence[str]) -> float:
        """The length of a vector of these terms."""
        return math.sqrt(sum([self.rarity(each) ** 2 for each in terms]))

    def shared(self, terms: Sequence[str]) -> dict[int, list[str]]:
        """Which of the terms stand in a flaw, by its place."""
        found: dict[int, list[str]] = {}
        for term in terms:
            for place in self.places(term):
                found.setdefault(place, []).append(term)
        return found

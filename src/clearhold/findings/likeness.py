"""How alike two findings of one package are: features on keyed values, for the ranking model.

Words and frames weigh by how rare they are in the pool, the findings of that package that are
compared: what every report has in common says nothing (Lerch and Mezini, Finding Duplicates of Your
Yet Unwritten Bug Report, 2013; Vasiliev et al., TraceSim, 2020, for weights by depth).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from clearhold.findings.sketches import Sketch

FEATURES: Final = (
    "frames_cosine",
    "words_cosine",
    "places_cosine",
    "aligned",
    "top",
    "top_in",
    "bottom",
    "frames_rarest",
    "words_rarest",
    "places_rarest",
    "words_shared",
    "frames_shared",
    "family",
    "wider",
    "access",
    "size",
    "kind",
    "kind_rarity",
    "fault_rarity",
    "top_words",
    "bottom_words",
    "likeness",
    "likeness_rank",
    "pool",
)
TIME_FEATURES: Final = ("hours_apart", "time_rank", "time_rank_back")
_DEEPER: Final = tuple(math.exp(-0.3 * step) for step in range(8))


@dataclass(frozen=True, slots=True)
class Held:
    """A finding of the pool; `day` is when it was reported, in days since 1970."""

    sketch: Sketch
    day: float


class Pool:
    """The findings of one package that are compared with each other.

    `held` says how many the package has when not all of them are here.
    """

    def __init__(self, members: Sequence[Held], *, held: int | None = None) -> None:
        self.members = members
        self.size = max(held or 0, len(members))
        self._frames = [frozenset(each.sketch.frames) for each in members]
        self._words = [each.sketch.all_words for each in members]
        self._places = [frozenset(each.sketch.places) for each in members]
        self._idf_frames = self._rarity(self._frames)
        self._idf_words = self._rarity(self._words)
        self._idf_places = self._rarity(self._places)
        self._norms = [
            (
                _norm(self._frames[n], self._idf_frames),
                _norm(self._words[n], self._idf_words),
                _norm(self._places[n], self._idf_places),
            )
            for n in range(len(members))
        ]
        self._ends = [
            (self._end(words[0]), self._end(words[-1]))
            for words in (each.sketch.words or ((),) for each in members)
        ]
        self._kinds = Counter(each.sketch.kind for each in members)
        self._faults = Counter(_fault(each.sketch) for each in members)
        self._days = sorted(each.day for each in members)

    @property
    def spread(self) -> float:
        """The days between the first and the last report."""
        return self._days[-1] - self._days[0] if self._days else 0.0

    def _rarity(self, sets: Sequence[frozenset[int]]) -> dict[int, float]:
        counts = Counter(value for each in sets for value in each)
        return {value: math.log((self.size + 1) / count) for value, count in counts.items()}

    def likeness(self, a: int, b: int) -> float:
        """How alike two members are without regard to time, for a first order: 0 to about 4."""
        one, other = self.members[a].sketch, self.members[b].sketch
        na, nb = self._norms[a], self._norms[b]
        total = _cosine(self._frames[a] & self._frames[b], self._idf_frames, na[0] * nb[0])
        total += _cosine(self._words[a] & self._words[b], self._idf_words, na[1] * nb[1])
        total += _cosine(self._places[a] & self._places[b], self._idf_places, na[2] * nb[2])
        if one.family and one.family == other.family:
            total += 0.5
            fault = _fault(one)
            if fault == _fault(other):
                total += 0.17 * math.log((self.size + 1) / self._faults[fault])
        return total

    def features(self, a: int, b: int, *, rank: int, likeness: float) -> list[float]:
        """The features of member `b` as a candidate for `a`, in the order of `FEATURES`.

        `likeness` is what the method of that name says and `rank` its place in that order, from 0.
        """
        one, other = self.members[a].sketch, self.members[b].sketch
        na, nb = self._norms[a], self._norms[b]
        frames = self._frames[a] & self._frames[b]
        words = self._words[a] & self._words[b]
        places = self._places[a] & self._places[b]
        whole = bool(one.frames and other.frames)
        same_kind = one.kind == other.kind
        same_fault = _fault(one) == _fault(other)
        return [
            _cosine(frames, self._idf_frames, na[0] * nb[0]),
            _cosine(words, self._idf_words, na[1] * nb[1]),
            _cosine(places, self._idf_places, na[2] * nb[2]),
            self._aligned(one.frames, other.frames) if frames else 0.0,
            float(whole and one.frames[0] == other.frames[0]),
            float((one.frames[0] in frames) + (other.frames[0] in frames)) if whole else 0.0,
            float(whole and one.frames[-1] == other.frames[-1]),
            max(map(self._idf_frames.__getitem__, frames), default=0.0),
            max(map(self._idf_words.__getitem__, words), default=0.0),
            max(map(self._idf_places.__getitem__, places), default=0.0),
            sum(map(self._idf_words.__getitem__, words)),
            float(len(frames)),
            float(one.family == other.family),
            float(one.wider == other.wider),
            float(one.access == other.access),
            float(one.size == other.size),
            float(same_kind),
            math.log((self.size + 1) / self._kinds[one.kind]) if same_kind else 0.0,
            math.log((self.size + 1) / self._faults[_fault(one)]) if same_fault else 0.0,
            self._words_of(a, b, 0),
            self._words_of(a, b, 1),
            likeness,
            math.log1p(rank),
            math.log(len(self.members) or 1),
        ]

    def time_features(self, a: int, b: int, *, rank: int) -> list[float]:
        """What the times of report say, in the order of `TIME_FEATURES`; `rank` as above, by time."""
        apart = abs(self.members[a].day - self.members[b].day)
        back = self._nearer(self.members[b].day, apart)
        return [math.log1p(apart * 24), math.log1p(rank), math.log1p(back)]

    def _nearer(self, day: float, apart: float) -> int:
        """How many members are nearer to `day` than `apart`, the one that stands there left out."""
        low = bisect_right(self._days, day - apart)
        high = bisect_left(self._days, day + apart)
        return max(high - low - 1, 0)

    def _words_of(self, a: int, b: int, end: int) -> float:
        """How alike the words of the innermost (0) or the last (1) of the frames are."""
        left, right = self._ends[a][end], self._ends[b][end]
        return _cosine(left[0] & right[0], self._idf_words, left[1] * right[1])

    def _end(self, words: Sequence[int]) -> tuple[frozenset[int], float]:
        found = frozenset(words)
        return found, _norm(found, self._idf_words)

    def _aligned(self, one: Sequence[int], other: Sequence[int]) -> float:
        """The heaviest common subsequence of two stacks; depth and displacement cost weight."""
        row = [0.0] * (len(other) + 1)
        for i, frame in enumerate(one):
            before = row
            row = [0.0]
            for j, each in enumerate(other):
                if frame == each:
                    depth = _DEEPER[min(i, j)] * _DEEPER[abs(i - j)]
                    row.append(before[j] + self._idf_frames[frame] * depth)
                else:
                    row.append(max(before[j + 1], row[j]))
        return row[-1]


def resemblance(one: Sketch, other: Sketch) -> float:
    """The share of their text's shingles that two findings have in common, as far as is told."""
    if not one.text or not other.text:
        return 0.0
    pairs = [
        (left, right) for left, right in zip(one.text, other.text, strict=True) if left or right
    ]
    return sum(left == right for left, right in pairs) / len(pairs)


def _fault(sketch: Sketch) -> tuple[int, int, int]:
    return (sketch.kind, sketch.access, sketch.size)


def _norm(values: Iterable[int], rarity: dict[int, float]) -> float:
    return math.sqrt(sum(rarity[value] ** 2 for value in values))


def _cosine(shared: frozenset[int], rarity: dict[int, float], norm: float) -> float:
    if not shared or not norm:
        return 0.0
    return sum(rarity[value] ** 2 for value in shared) / norm

"""Measures of a ranking and of a grouping, and the groupings of simpler rules to stand beside ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from benchmarks.dedup_truth.pools import Project

LARGEST_LEFT_OUT: Final = 10
_ALIKE: Final = 0.8
_SAME_FRAMES: Final = 2


def by_chance(pool: int, right: int, first: int = 10) -> float:
    """How likely one of `right` is among the `first` of a shuffled pool."""
    missed = 1.0
    for place in range(min(first, pool)):
        missed *= max(pool - right - place, 0) / (pool - place)
    return 1 - missed


@dataclass(frozen=True, slots=True)
class Grouping:
    """How good a grouping is: over pairs, over issues (B³), and how many pairs it joined wrongly."""

    precision: float
    recall: float
    f1: float
    b3: float
    wrong: int


def grouping(projects: Sequence[Project], joins: Callable[[Project, int, int], bool]) -> Grouping:
    """Join pairs by a rule, group by single link, and compare with the truth."""
    joined = right = wrong = positive = 0
    kept, found, count = 0.0, 0.0, 0
    for each in projects:
        size = len(each.issues)
        parent = list(range(size))
        truth = list(range(size))
        for a in range(size):
            for b in range(a + 1, size):
                same = each.same(a, b)
                positive += same
                if same:
                    _union(truth, a, b)
                if joins(each, a, b):
                    joined += 1
                    right += same
                    wrong += not same
                    _union(parent, a, b)
        ours = [_root(parent, a) for a in range(size)]
        theirs = [_root(truth, a) for a in range(size)]
        both, mine, real = Counter(zip(ours, theirs, strict=True)), Counter(ours), Counter(theirs)
        for pair in zip(ours, theirs, strict=True):
            kept += both[pair] / mine[pair[0]]
            found += both[pair] / real[pair[1]]
            count += 1
    precision = right / joined if joined else 1.0
    recall = right / positive if positive else 1.0
    return Grouping(
        precision, recall, _f1(precision, recall), _f1(kept / count, found / count), wrong
    )


def exact_state(each: Project, a: int, b: int) -> bool:
    """The same three frames."""
    return each.told[a].frames == each.told[b].frames


def top_frame(each: Project, a: int, b: int) -> bool:
    """The same innermost frame."""
    return each.told[a].frames[:1] == each.told[b].frames[:1]


def crash_comparer(each: Project, a: int, b: int) -> bool:
    """As ClusterFuzz's comparer is described: two frames the same, or all of them written alike."""
    one, other = each.told[a].frames[:3], each.told[b].frames[:3]
    shared = sum((Counter(one) & Counter(other)).values())
    if shared >= min(_SAME_FRAMES, len(one), len(other)) and shared:
        return True
    pairs = list(zip(one, other, strict=False))
    if not pairs:
        return False
    total = 0.0
    for place, (left, right) in enumerate(pairs):
        matcher = SequenceMatcher(None, left, right, autojunk=False)
        # The quick bound saves most of the work: the mean can no longer reach what is asked.
        if (total + matcher.real_quick_ratio() + len(pairs) - place - 1) / len(pairs) < _ALIKE:
            return False
        if (total + matcher.quick_ratio() + len(pairs) - place - 1) / len(pairs) < _ALIKE:
            return False
        total += matcher.ratio()
    return total / len(pairs) >= _ALIKE


def never(each: Project, a: int, b: int) -> bool:
    """Everything unique."""
    del each, a, b
    return False


def mean(values: Iterable[float]) -> float:
    """The mean, 0 of nothing."""
    kept = list(values)
    return sum(kept) / len(kept) if kept else 0.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _root(parent: list[int], a: int) -> int:
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


def _union(parent: list[int], a: int, b: int) -> None:
    parent[_root(parent, a)] = _root(parent, b)

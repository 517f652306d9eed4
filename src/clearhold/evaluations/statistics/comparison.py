"""Two models on the same tasks: the difference task by task, clustered, with an exact test.

Pairing takes out how hard tasks are (Miller 2024, section 4.2). The test flips the sign of whole
templates' differences (Fisher 1935): all ways when there are at most 2^16, otherwise a stated number
of them drawn from a stated seed, which the p value counts itself among.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from clearhold.evaluations.statistics.scores import (
    CONFIDENCE,
    Scored,
    cluster_totals,
    clustered_error,
)

_ALL_WAYS: Final = 16
_DRAWN: Final = 20_000
_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """The mean difference of the first from the second, its error, interval and p value.

    `ways` is how many flips of signs the p value rests on; `exact` says that they are all there are.
    """

    difference: float
    error: float
    low: float
    high: float
    p: float
    ways: int
    exact: bool
    tasks: int
    templates: int


def compare(
    first: Sequence[Scored],
    second: Sequence[Scored],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare on exactly the same tasks. Raises `ValueError` when they differ."""
    mine = {each.task: each for each in first}
    theirs = {each.task: each for each in second}
    named_once = len(mine) == len(first) and len(theirs) == len(second)
    if not (mine and named_once and mine.keys() == theirs.keys()):
        raise ValueError("Both models must have been tried on the same tasks, each named once.")
    tasks = sorted(mine)
    templates = [mine[task].template for task in tasks]
    if templates != [theirs[task].template for task in tasks]:
        raise ValueError("A task has one template, whichever model is tried on it.")
    apart = np.array([mine[task].mean - theirs[task].mean for task in tasks])
    difference = float(apart.mean())
    error = clustered_error(apart, templates)
    groups = len(set(templates))
    reach = float(stats.t.ppf(0.5 + confidence / 2, groups - 1)) * error if groups > 1 else 2.0
    p, ways, exact = _flips(apart, templates, seed)
    return Comparison(
        difference,
        error,
        max(-1.0, difference - reach),
        min(1.0, difference + reach),
        p,
        ways,
        exact,
        len(tasks),
        groups,
    )


def _flips(apart: np.ndarray, templates: Sequence[str], seed: int) -> tuple[float, int, bool]:
    totals = cluster_totals(apart, templates)
    totals = totals[totals != 0]
    seen = abs(float(totals.sum())) - 1e-12
    if len(totals) <= _ALL_WAYS:
        ways = 1 << len(totals)
        bits = (np.arange(ways)[:, None] >> np.arange(len(totals))) & 1
        as_far = int((abs((1 - 2 * bits) @ totals) >= seen).sum())
        return as_far / ways, ways, True
    rng = np.random.default_rng(seed)
    as_far = 1
    for _ in range(_DRAWN // _AT_ONCE):
        signs = rng.integers(0, 2, size=(_AT_ONCE, len(totals))) * 2 - 1
        as_far += int((abs(signs @ totals) >= seen).sum())
    return as_far / (_DRAWN + 1), _DRAWN, False

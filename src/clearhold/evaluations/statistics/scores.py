"""Scores of trials, by task and template, and the uncertainty of their mean.

A task's score is the mean of its epochs; the benchmark's is the mean over tasks. Standard errors are
clustered by template (Miller 2024, arXiv 2411.00640, section 2.2); intervals are Wilson's on the
effective number of tasks, and exact (Clopper and Pearson 1934) where fewer than five templates saw a
success, or fewer than five a failure, since how trials resemble each other cannot then be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from scipy import stats

CONFIDENCE: Final = 0.95
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Scored:
    """One task: its template, and whether each epoch succeeded."""

    task: str
    template: str
    epochs: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse a task that was never tried: it has no score, not a score of nought."""
        if not self.epochs:
            raise ValueError(f"Task {self.task} was not tried.")

    @property
    def mean(self) -> float:
        """The share of epochs that succeeded."""
        return sum(self.epochs) / len(self.epochs)


@dataclass(frozen=True, slots=True)
class Interval:
    """Two ends between 0 and 1, and how it was made: `wilson` or `exact`."""

    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean score with its clustered standard error and 95 % interval.

    `tasks`, `templates` and `trials` are counts; `effective` is the number of independent tasks that
    would be as sure.
    """

    mean: float
    error: float
    interval: Interval
    tasks: int
    templates: int
    trials: int
    effective: float


def estimate(scored: Sequence[Scored], *, confidence: float = CONFIDENCE) -> Estimate:
    """The mean over tasks with its uncertainty. Raises `ValueError` without a task."""
    if not scored:
        raise ValueError("There is no task to estimate from.")
    means = np.array([each.mean for each in scored])
    mean = float(means.mean())
    templates = [each.template for each in scored]
    error = clustered_error(means, templates)
    effective = _effective(mean, error, len(scored), len(set(templates)))
    trials = sum(len(each.epochs) for each in scored)
    count = len(set(templates))
    won = {each.template for each in scored if any(each.epochs)}
    lost = {each.template for each in scored if not all(each.epochs)}
    if min(len(won), len(lost)) < min(_FEW, count):
        # As many independent trials as there are templates is all that can be relied on here; a
        # share of them need not be whole (Korn and Graubard 1998).
        interval = exact(mean * count, count, confidence=confidence)
    else:
        interval = wilson(mean, effective, confidence=confidence, clusters=count)
    return Estimate(mean, error, interval, len(scored), count, trials, effective)


def clustered_error(values: np.ndarray, clusters: Sequence[str]) -> float:
    """The standard error of the mean of values that resemble each other within a cluster.

    With G clusters the sum of squared cluster totals of residuals is scaled by G / (G - 1), as
    statisticians do for few clusters (Cameron and Miller 2015, section II.B). One cluster alone has
    an error that cannot be known: it is infinite.
    """
    totals = cluster_totals(values - values.mean(), clusters)
    if len(totals) < 2:
        return float("inf")
    scale = len(totals) / (len(totals) - 1)
    return float(sqrt(scale * float((totals**2).sum())) / len(values))


def cluster_totals(values: np.ndarray, clusters: Sequence[str]) -> np.ndarray:
    """The sum of the values of each cluster, in the order of their names."""
    names = sorted(set(clusters))
    place = {name: number for number, name in enumerate(names)}
    totals = np.zeros(len(names))
    np.add.at(totals, [place[each] for each in clusters], values)
    return totals


def wilson(share: float, size: float, *, confidence: float, clusters: int = 0) -> Interval:
    """Wilson's score interval for a share seen in `size` independent trials.

    With `clusters`, Student's quantile for one fewer takes the place of the normal one.
    """
    tail = 0.5 + confidence / 2
    z = float(stats.t.ppf(tail, clusters - 1) if clusters > 1 else stats.norm.ppf(tail))
    middle = share + z * z / (2 * size)
    half = z * sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    scale = 1 + z * z / size
    return Interval(max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale), "wilson")


def exact(successes: float, trials: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Clopper and Pearson's interval; one-sided where nothing or everything succeeded.

    `successes` need not be whole, as when trials resemble each other and count for fewer.
    0 of 10 gives at most 25.9 %, 0 of 100 at most 3.0 %.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError("There are as many successes as trials at most, and one trial at least.")
    side = 1 - confidence if successes in {0, trials} else (1 - confidence) / 2
    low = 0.0 if not successes else float(stats.beta.ppf(side, successes, trials - successes + 1))
    high = (
        1.0
        if successes == trials
        else float(stats.beta.ppf(1 - side, successes + 1, trials - successes))
    )
    return Interval(low, high, "exact")


def by_template(scored: Sequence[Scored]) -> Mapping[str, float]:
    """The mean score of each template, in the order of their names."""
    groups: dict[str, list[float]] = {}
    for each in scored:
        groups.setdefault(each.template, []).append(each.mean)
    return {name: sum(group) / len(group) for name, group in sorted(groups.items())}


def _effective(mean: float, error: float, tasks: int, templates: int) -> float:
    """How many independent tasks have that error; at least one, at most as many as there are."""
    spread = mean * (1 - mean)
    if not error or not spread:
        return float(templates)
    return float(min(max(1.0, spread / error**2), tasks))

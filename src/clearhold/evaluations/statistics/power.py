"""What difference a plan can detect, simulated before the first call.

Both models are drawn equal but for the difference, tasks differ in difficulty (standard deviation 1.6
in log odds, as trials of agents showed), and templates share a part of that. A part may be each
model's own: what is hard for one is then not as hard for the other, and the same number of tasks
shows less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from scipy import special, stats

_SIGNIFICANCE: Final = 0.05
_SPREAD: Final = 1.6
_SHARED: Final = 0.5
_POWER: Final = 0.8
OWN_SHARE: Final = 0.2
"""How much of the variance of difficulties is a model's own, where nobody says otherwise.

One principal component explains about four fifths of how models differ over benchmarks (Ruan, Maddison
and Hashimoto, Observational Scaling Laws, 2024); this takes the rest for each model's own.
"""


@dataclass(frozen=True, slots=True)
class Power:
    """The smallest difference that is found in 80 % of repetitions, as a share between 0 and 1."""

    detectable: float
    tasks: int
    templates: int
    epochs: int
    own: float
    repetitions: int
    seed: int


def detectable(
    *,
    tasks: int,
    templates: int,
    epochs: int,
    own: float = OWN_SHARE,
    repetitions: int = 400,
    seed: int = 0,
) -> Power:
    """The minimum detectable difference of a paired comparison at the 5 % level, two-sided.

    It is (t for the level + t for the power) times the mean clustered error of the difference
    between two equal models, as simulated; one of all that can be where that is more. `own` is the
    share of the variance of difficulties, 0 to 1, that is each model's own.

    Raises `ValueError` for a plan that cannot be.
    """
    if not 2 <= templates <= tasks or epochs < 1 or not 0 <= own <= 1:
        raise ValueError("A plan has two templates at least, not more than tasks, and an epoch.")
    rng = np.random.default_rng(seed)
    of_template = np.arange(tasks) % templates
    errors = np.empty(repetitions)

    def drawn(share: float, size: int) -> np.ndarray:
        return rng.normal(0, _SPREAD * sqrt(share), size)

    for number in range(repetitions):
        common, *each = (
            share * (drawn(_SHARED, templates)[of_template] + drawn(1 - _SHARED, tasks))
            for share in (sqrt(1 - own), sqrt(own), sqrt(own))
        )
        first, second = (rng.binomial(epochs, special.expit(common + its)) for its in each)
        apart = (first - second) / epochs
        totals = np.bincount(of_template, apart - apart.mean(), templates)
        errors[number] = sqrt(templates / (templates - 1) * float((totals**2).sum())) / tasks
    reach = stats.t.ppf(1 - _SIGNIFICANCE / 2, templates - 1) + stats.t.ppf(_POWER, templates - 1)
    found = float(reach * sqrt(float((errors**2).mean())))
    return Power(min(found, 1.0), tasks, templates, epochs, own, repetitions, seed)

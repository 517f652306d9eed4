"""What difference a plan can detect, simulated before the first call.

Both models are drawn equal but for the difference, tasks differ in difficulty (standard deviation 1.6
in log odds, as trials of agents showed), and templates share a part of that.
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


@dataclass(frozen=True, slots=True)
class Power:
    """The smallest difference that is found in 80 % of repetitions, as a share between 0 and 1."""

    detectable: float
    tasks: int
    templates: int
    epochs: int
    repetitions: int
    seed: int


def detectable(
    *, tasks: int, templates: int, epochs: int, repetitions: int = 400, seed: int = 0
) -> Power:
    """The minimum detectable difference of a paired comparison at the 5 % level, two-sided.

    It is (t for the level + t for the power) times the mean clustered error of the difference
    between two equal models, as simulated.
    """
    if not 2 <= templates <= tasks or epochs < 1:
        raise ValueError("A plan has two templates at least, not more than tasks, and an epoch.")
    rng = np.random.default_rng(seed)
    of_template = np.arange(tasks) % templates
    errors = np.empty(repetitions)
    for number in range(repetitions):
        common = rng.normal(0, _SPREAD * sqrt(_SHARED), templates)[of_template]
        chance = special.expit(common + rng.normal(0, _SPREAD * sqrt(1 - _SHARED), tasks))
        apart = (rng.binomial(epochs, chance) - rng.binomial(epochs, chance)) / epochs
        totals = np.bincount(of_template, apart - apart.mean(), templates)
        errors[number] = sqrt(templates / (templates - 1) * float((totals**2).sum())) / tasks
    reach = stats.t.ppf(1 - _SIGNIFICANCE / 2, templates - 1) + stats.t.ppf(_POWER, templates - 1)
    found = float(reach * sqrt(float((errors**2).mean())))
    return Power(found, tasks, templates, epochs, repetitions, seed)

"""One scale for models of different times: the one-parameter item-response model.

A model with ability a solves a task of difficulty d with odds exp(a - d) (Rasch 1960). Both are found
as the mode under normal priors (penalised maximum likelihood), so that a model that solved all or
nothing still has a finite place, and its error says how little is known. 200 points are odds of three
to one. Tasks kept from an earlier fit anchor the scale: their difficulties do not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from scipy import optimize, special

POINTS: Final = 200 / log(3)
"""Points for one unit of log odds."""
_SPREAD: Final = 3.0  # standard deviation of both priors, in log odds


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model or task stands, in points, and the standard error of that."""

    points: float
    error: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Abilities of models and difficulties of tasks on one scale; 0 is the mean of free tasks."""

    models: Mapping[str, Place]
    tasks: Mapping[str, Place]


def fit(
    results: Mapping[str, Mapping[str, tuple[int, int]]],
    *,
    anchors: Mapping[str, float] | None = None,
) -> Scale:
    """Fit to results: of each model, of each task, successes and attempts.

    `anchors` are difficulties in points that were published before. Raises `ValueError` when there
    is nothing to fit, or a count that cannot be.
    """
    fixed = dict(anchors or {})
    models = sorted(results)
    tasks = sorted({task for each in results.values() for task in each})
    free = [task for task in tasks if task not in fixed]
    seen = [
        (models.index(model), tasks.index(task), won, tried)
        for model in models
        for task, (won, tried) in results[model].items()
    ]
    if not seen or any(not 0 <= won <= tried or not tried for *_, won, tried in seen):
        raise ValueError("Each result is of some attempts, of which not more than all succeeded.")
    who, what, won, tried = (np.array(column) for column in zip(*seen, strict=True))
    base = np.array([fixed.get(task, 0.0) / POINTS for task in tasks])
    spot = np.array([tasks.index(task) for task in free], dtype=int)

    def apart(guess: np.ndarray) -> np.ndarray:
        hard = base.copy()
        hard[spot] = guess[len(models) :]
        return np.asarray(guess[: len(models)][who] - hard[what])

    def loss(guess: np.ndarray) -> tuple[float, np.ndarray]:
        x = apart(guess)
        value = float((tried * np.logaddexp(0, x) - won * x).sum())
        rest = tried * special.expit(x) - won
        slope = np.zeros(len(guess))
        np.add.at(slope, who, rest)
        by_task = np.zeros(len(tasks))
        np.add.at(by_task, what, -rest)
        slope[len(models) :] = by_task[spot]
        return value + float((guess**2).sum()) / (2 * _SPREAD**2), slope + guess / _SPREAD**2

    size = len(models) + len(free)
    found = optimize.minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", tol=1e-10)
    column = np.full(len(tasks), -1)
    column[spot] = len(models) + np.arange(len(spot))
    weight = tried * special.expit(apart(found.x)) * special.expit(-apart(found.x))
    moved = len(free) if not fixed else 0
    errors = _errors(size, who, column[what], weight, zero=moved)
    shift = float(found.x[len(models) :].mean()) if moved else 0.0

    def place(number: int) -> Place:
        return Place(float(found.x[number] - shift) * POINTS, float(errors[number]) * POINTS)

    difficulty = {task: place(len(models) + number) for number, task in enumerate(free)}
    difficulty |= {task: Place(fixed[task], 0.0) for task in tasks if task in fixed}
    return Scale({name: place(number) for number, name in enumerate(models)}, difficulty)


def _errors(
    size: int, who: np.ndarray, what: np.ndarray, weight: np.ndarray, *, zero: int
) -> np.ndarray:
    """Standard errors from the curvature at the mode; `what` is -1 where a task is anchored.

    The mean of the last `zero` places is where the scale begins: how sure its own place is does not
    matter, so the errors are of the differences from it.
    """
    curve = np.eye(size) / _SPREAD**2
    for model, task, heavy in zip(who, what, weight, strict=True):
        curve[model, model] += heavy
        if task >= 0:
            curve[task, task] += heavy
            curve[model, task] -= heavy
            curve[task, model] -= heavy
    spread = np.linalg.inv(curve)
    if zero:
        from_zero = np.eye(size)
        from_zero[:, size - zero :] -= 1 / zero
        spread = from_zero @ spread @ from_zero.T
    return np.asarray(np.sqrt(np.diag(spread)))

"""How success grows with what a trial may spend, read from one long run of each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clearhold.evaluations.statistics.scores import (
    CONFIDENCE,
    Estimate,
    Scored,
    estimate,
)

_RISE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Spent:
    """One trial of a task, in tokens: spent when it succeeded, None if it did not, and the limit."""

    task: str
    template: str
    solved_at: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Estimates at each budget; `still_rising` says that more budget would likely have shown more."""

    points: tuple[tuple[int, Estimate], ...]
    still_rising: bool


def curve(
    trials: Sequence[Spent], budgets: Sequence[int], *, confidence: float = CONFIDENCE
) -> Curve:
    """Success within each budget, in tokens.

    A budget beyond the limit of some trial raises `ValueError`: what that trial would have done is
    not known. `still_rising` is set when the last step adds over two points of a hundred, or there
    is but one budget.
    """
    ordered = sorted(set(budgets))
    if not trials or not ordered or ordered[0] <= 0:
        raise ValueError("A curve needs a trial and a budget above nought.")
    if ordered[-1] > min(each.limit for each in trials):
        raise ValueError("A trial was cut short before that budget.")
    points = tuple(
        (budget, estimate(_within(trials, budget), confidence=confidence)) for budget in ordered
    )
    rising = len(points) < 2 or points[-1][1].mean - points[-2][1].mean > _RISE
    return Curve(points, rising)


def _within(trials: Sequence[Spent], budget: int) -> list[Scored]:
    epochs: dict[tuple[str, str], list[bool]] = {}
    for each in trials:
        solved = each.solved_at is not None and each.solved_at <= budget
        epochs.setdefault((each.task, each.template), []).append(solved)
    return [Scored(task, template, tuple(done)) for (task, template), done in epochs.items()]

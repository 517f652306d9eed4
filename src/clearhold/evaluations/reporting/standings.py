"""Where variants, arms and earlier models stand on one scale of a suite.

The scale is fitted to everything that was tried on the suite's tasks (`statistics.scale`). How unsure
a place is comes from leaving out one template after the other (the delete-one jackknife; Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11), for tasks of one template rise and
fall together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum, sqrt
from typing import Final

from clearhold.evaluations.reporting.results import Cell, Standing
from clearhold.evaluations.statistics import scale
from clearhold.evaluations.statistics.scores import Scored

Sides = Mapping[tuple[str, str], Sequence[Scored]]
"""Results by arm, and by the variant or the earlier model that was tried in it."""
_FEWEST: Final = 2


def standings(suite: str, sides: Sides) -> Iterator[Standing]:
    """The place of each side, where there are two at least; 0 is the mean of the suite's tasks."""
    if len(sides) < _FEWEST:
        return
    won = {
        f"{number}": {each.task: (sum(each.epochs), len(each.epochs)) for each in scored}
        for number, scored in enumerate(sides.values())
    }
    templates = {each.task: each.template for scored in sides.values() for each in scored}
    whole = scale.fit(won)
    without = [
        scale.fit(left)
        for template in sorted(set(templates.values()))
        if all((left := _less(won, template, templates)).values())
    ]
    for name, (arm, side) in zip(won, sides, strict=True):
        yield Standing(
            error=_spread([each.models[name].points for each in without]),
            of=Cell(arm=arm, family="", suite=suite, variant=side),
            points=whole.models[name].points,
            tasks=len(won[name]),
            templates=len({templates[task] for task in won[name]}),
        )


_Won = Mapping[str, Mapping[str, tuple[int, int]]]


def _less(won: _Won, template: str, templates: Mapping[str, str]) -> _Won:
    return {
        name: {task: each for task, each in tasks.items() if templates[task] != template}
        for name, tasks in won.items()
    }


def _spread(left: Sequence[float]) -> float | None:
    """The error by what is found without each template; None where that cannot be said."""
    if len(left) < _FEWEST:
        return None
    mean = fsum(left) / len(left)
    return sqrt((len(left) - 1) / len(left) * fsum((each - mean) ** 2 for each in left))

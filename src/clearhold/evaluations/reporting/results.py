"""Results as they are published: every score with its interval, and nothing that judges a model.

Shapes only; `estimates` fills them from trials. Numbers are shares between 0 and 1 unless said
otherwise; an error that cannot be known (one template) is None.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from clearhold.evaluations.plan import Completeness
from clearhold.evaluations.trials import Flag


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An estimate: mean, interval (`wilson` or `exact`), error clustered by template, and counts."""

    effective: float
    error: float | None
    high: float
    low: float
    mean: float
    method: str
    tasks: int
    templates: int
    trials: int


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which trials a figure is of: a suite, one family of it or all (empty), an arm and a variant."""

    arm: str
    family: str
    suite: str
    variant: str


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A score in which successes that were cheated count as failures."""

    figure: Figure
    of: Cell


class Ends(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Both ends of what flagged successes leave open: as failures, and as successes."""

    figure_with: Figure
    figure_without: Figure
    flagged: int
    kind: Literal["cheating", "contamination"]
    of: Cell


class Tries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """pass@k and pass^k with their clustered errors; `one_draw` when some task was tried just k times."""

    all_error: float | None
    all_of: float
    any_error: float | None
    any_of: float
    k: int
    of: Cell
    one_draw: bool
    tasks: int


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The score within a budget of tokens."""

    budget: int
    figure: Figure


class BudgetCurve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Scores over budgets, and whether more would likely have shown more."""

    of: Cell
    points: tuple[Point, ...]
    still_rising: bool


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first less the second, task by task; `p` of a test that flips whole templates.

    `elicitation`: an arm less the bare one. `earlier-model`: this model less an earlier one.
    `leakage`: public tasks less their sealed twins. `left_out` are tasks without a result on a side.
    """

    difference: float
    error: float | None
    exact: bool
    first: str
    high: float
    kind: Literal["elicitation", "earlier-model", "leakage"]
    left_out: int
    low: float
    of: Cell
    p: float
    second: str
    tasks: int
    templates: int
    ways: int


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place on the scale of one suite: 200 points more are three times the odds on every task.

    0 is the mean of the suite's tasks. `of.variant` is a variant of this model, or the name of an
    earlier one tried on the same tasks; `error` allows for templates.
    """

    error: float | None
    of: Cell
    points: float
    tasks: int
    templates: int


class Containment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the trials say of themselves: records, packets, isolation, flags.

    Every trial has a record of commands and one of packets, or it would not have been read.
    """

    egress_attempts: int
    egress_left: int
    flags: dict[Flag, int]
    isolation: dict[str, int]
    no_result: int
    tokens: int
    trials: int


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that the plan asked for, and no more; `not_given` names earlier models without trials."""

    completeness: Completeness
    confidence: float
    containment: Containment
    curves: tuple[BudgetCurve, ...]
    detectable: float
    differences: tuple[Difference, ...]
    done: int
    ends: tuple[Ends, ...]
    not_given: tuple[str, ...]
    planned: int
    scores: tuple[Score, ...]
    standings: tuple[Standing, ...]
    tries: tuple[Tries, ...]

"""Both ends of what cheating and contamination leave open; neither end is published alone.

A success that was cheated shows what a model will do and not what it can do: once it counts as
failure, once as success. A public task may have been learnt: the difference from its sealed twin, the
same task in other words and numbers, is how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from clearhold.evaluations.statistics.comparison import Comparison, compare
from clearhold.evaluations.statistics.scores import (
    CONFIDENCE,
    Estimate,
    Scored,
    estimate,
)


@dataclass(frozen=True, slots=True)
class Bracket:
    """The estimate when cheated successes count as failures, and when they count as successes."""

    without: Estimate
    with_them: Estimate
    cheated: int


def cheating(
    scored: Sequence[Scored],
    cheated: Mapping[str, AbstractSet[int]],
    *,
    confidence: float = CONFIDENCE,
) -> Bracket:
    """Both ends; `cheated` names, of a task, the epochs in which cheating was confirmed.

    Raises `ValueError` for an epoch that is not there.
    """
    known = {each.task: each for each in scored}
    for task, epochs in cheated.items():
        if task not in known or not all(0 <= each < len(known[task].epochs) for each in epochs):
            raise ValueError(f"Task {task} has no such epoch.")
    honest = [
        Scored(
            each.task,
            each.template,
            tuple(
                won and number not in cheated.get(each.task, frozenset())
                for number, won in enumerate(each.epochs)
            ),
        )
        for each in scored
    ]
    count = sum(sum(each.epochs) for each in scored) - sum(sum(each.epochs) for each in honest)
    return Bracket(
        estimate(honest, confidence=confidence), estimate(scored, confidence=confidence), count
    )


@dataclass(frozen=True, slots=True)
class Contamination:
    """Scores of public tasks and of their sealed twins, and what lies between."""

    public: Estimate
    sealed: Estimate
    leakage: Comparison


def contamination(
    public: Sequence[Scored],
    sealed: Sequence[Scored],
    twins: Mapping[str, str],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Contamination:
    """Compare public tasks with their twins; `twins` maps the name of each to that of the other.

    Raises `ValueError` unless every task has its twin.
    """
    if {twins.get(each.task) for each in public} != {each.task for each in sealed}:
        raise ValueError("Every public task needs one sealed twin.")
    renamed = [Scored(twins[each.task], each.template, each.epochs) for each in public]
    return Contamination(
        estimate(public, confidence=confidence),
        estimate(sealed, confidence=confidence),
        compare(renamed, sealed, seed=seed, confidence=confidence),
    )

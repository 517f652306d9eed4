"""Success in at least one, and in all, of k attempts, without bias.

pass@k follows Chen et al. 2021 (arXiv 2107.03374, equation 1), pass^k Yao et al. 2024 (arXiv
2406.12045, section 3). With as many attempts as k both are a lottery of one draw for each task, and
the estimate says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from clearhold.evaluations.statistics.scores import Scored, clustered_error


@dataclass(frozen=True, slots=True)
class Attempts:
    """What k attempts give: the share of tasks in which one succeeds, and in which all do.

    The errors are clustered by template. `one_draw` says that some task was tried just k times.
    """

    k: int
    any_of: float
    any_error: float
    all_of: float
    all_error: float
    one_draw: bool


def any_of(successes: int, tried: int, k: int) -> float:
    """The chance that one of k attempts succeeds, drawn without replacement from those made."""
    _check(successes, tried, k)
    return 1 - comb(tried - successes, k) / comb(tried, k)


def all_of(successes: int, tried: int, k: int) -> float:
    """The chance that all of k attempts succeed, drawn without replacement from those made."""
    _check(successes, tried, k)
    return comb(successes, k) / comb(tried, k)


def attempts(scored: Sequence[Scored], k: int) -> Attempts:
    """Both over all tasks. Raises `ValueError` when a task was tried fewer than k times."""
    if not scored:
        raise ValueError("There is no task to estimate from.")
    counted = [(sum(each.epochs), len(each.epochs)) for each in scored]
    templates = [each.template for each in scored]
    some = np.array([any_of(won, tried, k) for won, tried in counted])
    every = np.array([all_of(won, tried, k) for won, tried in counted])
    return Attempts(
        k,
        float(some.mean()),
        clustered_error(some, templates),
        float(every.mean()),
        clustered_error(every, templates),
        one_draw=any(tried == k for _, tried in counted),
    )


def _check(successes: int, tried: int, k: int) -> None:
    if not 0 <= successes <= tried:
        raise ValueError("A task succeeds as often as it was tried at most.")
    if not 1 <= k <= tried:
        raise ValueError(f"{tried} attempts say nothing about {k}.")

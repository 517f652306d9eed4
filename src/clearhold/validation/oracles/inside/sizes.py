"""Which size of a growing input is measured next, and which of those measured tell.

Delivered into the sandbox beside the watcher, so it uses the standard library alone. A measurement is
a size, the processor time in seconds that it took, and whether it was cut off before its end.
"""

from __future__ import annotations

from collections.abc import Sequence

Measured = tuple[int, float, bool]

SIZES = 4
"""How many sizes tell how fast the time grows."""
SLOW_S = 1.0
LONG_S = 3.0
"""Beyond a size that took so long none is measured: smaller ones tell as much."""
LEAST_S, LATER_S, SURE_S = 1.0, 2.0, 5.0
"""What a size may take at least: before any was cut off, afterwards, and when measured again."""
GROWTH = 5.0
"""A size may take so many times what half of it took, so that one cut off is known to be steep."""
LEAP = 3
"""By so many halvings smaller inputs are tried while none has come to its end."""


def following(plan: Sequence[int], measured: Sequence[Measured]) -> int | None:
    """The next size: those of the plan, until one takes long or is cut off; then what is smaller.

    Wanted are `SIZES`, each double the one before, of which the largest is slow: it took more than
    `SLOW_S`, or was cut off and not before it took `GROWTH` times what half of it took.
    """
    took, capped = _told(measured)
    low = min(capped, default=0)
    ended = sorted(size for size in took if size and not (capped and size > low))
    top = ended[-1] if ended else 0
    long = took[top] if ended else 0.0
    if capped and not ended:
        return low >> LEAP or None
    if long > (SLOW_S if capped else LONG_S):
        return ended[0] >> 1 or None if len(ended) < SIZES else None
    if not capped:
        return next((size for size in plan if size not in took), None)
    if top < low >> 1:
        return top * 2
    if (
        capped[low] < max(GROWTH * long, SURE_S)
        and [size for size, _, _ in measured].count(low) == 1
    ):
        return low
    return ended[0] >> 1 or None if len(ended) < SIZES - 1 else None


def allowed(budget_s: float, size: int, measured: Sequence[Measured]) -> float:
    """How many seconds a size may take: what is left of the budget, or what it takes to be sure."""
    took, capped = _told(measured)
    below = [each for each in took if each < size]
    before = took[max(below)] if below else 0.0
    least = SURE_S if size in capped else LATER_S if capped else LEAST_S
    return max(budget_s - sum(seconds for _, seconds, _ in measured), GROWTH * before, least)


def telling(measured: Sequence[Measured]) -> list[Measured]:
    """The measurements that tell, by size: of larger ones that were cut off none but the smallest.

    That one does not count either where enough below it came to their end and the last was slow.
    """
    took, capped = _told(measured)
    low = min(capped, default=0)
    ended = sorted(size for size in took if not capped or 0 < size < low)
    kept = {0, *ended[-SIZES:]}
    told = [each for each in measured if each[0] in kept and each[2] == (each[0] in capped)]
    if low and not (len(ended) >= SIZES and took[ended[-1]] > SLOW_S):
        told.append((low, capped[low], True))
    return sorted(told)


def _told(measured: Sequence[Measured]) -> tuple[dict[int, float], dict[int, float]]:
    """The least time of each size that came to its end, and the greatest of those that never did."""
    took: dict[int, float] = {}
    capped: dict[int, float] = {}
    for size, seconds, over in measured:
        if over:
            capped[size] = max(seconds, capped.get(size, seconds))
        else:
            took[size] = min(seconds, took.get(size, seconds))
    return took, {size: seconds for size, seconds in capped.items() if size not in took}

"""Which size of a growing input is measured next, and what those measured say.

Delivered into the sandbox beside the watcher, so it uses the standard library alone. A measurement is
a size, the processor time in seconds that it took, and whether it was cut off before its end. The
least time of a size counts, since a busy machine only ever adds, and of it what is beyond a size of
nought.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

Measured = tuple[int, float, bool]

SIZES = 4
"""How many sizes tell how fast the time grows."""
SLOW_S, CLEAR = 1.0, 8.0
"""Beyond a size that took longer, and so many times what starting costs, none is measured."""
SHORT_S = SLOW_S / 2
"""What takes no longer is clean however it grows. Between it and what is slow lies what a busy machine
may add: else a fixed side as slow as the vulnerable one could be clean.
"""
STEEP, FLAT = 1.8, 1.2
NOISE_S = 0.02
LEAST_S, LATER_S, SURE_S = 1.0, 2.0, 5.0
"""What a size may take at least: before any was cut off, afterwards, and when measured again."""
GROWTH = 5.0
"""A size may take so many times what half of it took, so that one cut off is known to be steep."""
LEAP = 3
"""By so many halvings smaller inputs are tried while none has come to its end."""
TIMES = 3
"""A size of nought is run so many times: what is added there would make other sizes seem short."""
ROUNDS, PATIENCE, MOST = 3, 2.0, 5.0
"""In doubt each size is measured so many times, until all took so many budgets.

A larger size is measured where all would take no more than the last number.
"""


class Growth(NamedTuple):
    """What measurements that tell say of how the time grows."""

    exponent: float
    start_s: float
    beyond_s: float
    largest: int
    enough: bool
    capped: bool

    @property
    def slow(self) -> bool:
        """Whether the largest size took long, or never ended."""
        return self.capped or self.beyond_s > SLOW_S

    @property
    def steep(self) -> bool:
        """Whether the time grows with the square of the size, nearly or faster, and is long.

        Long beside what starting takes, too: of that a busy machine may add a part to any size.
        """
        clear = self.beyond_s > self.start_s
        return self.enough and self.slow and clear and self.exponent >= STEEP

    @property
    def flat(self) -> bool:
        """Whether the time stays short, or grows hardly faster than the size and came to an end.

        What is nearly slow, and grows faster, is neither flat nor steep.
        """
        if not self.enough or self.capped:
            return False
        return self.beyond_s <= SHORT_S or self.exponent <= FLAT


def growth(told: Sequence[Measured]) -> Growth | None:
    """What measurements say, ordered by size; None without a size of nought and another one.

    The exponent is the slope of a straight line through the logarithms of sizes and times.
    """
    times: dict[int, float] = {}
    for size, seconds, _ in told:
        times[size] = min(seconds, times.get(size, seconds))
    if 0 not in times or len(times) < 2 or told[0][2]:
        return None
    base = times.pop(0)
    largest = max(times)
    slope = exponent([(size, seconds - base) for size, seconds in times.items()])
    return Growth(slope, base, times[largest] - base, largest, len(times) >= SIZES, told[-1][2])


def exponent(points: Sequence[tuple[int, float]]) -> float:
    """The slope of the least-squares line through the logarithms of sizes and seconds.

    Seconds below `NOISE_S` count as that much, so that noise has no slope.
    """
    logs = [(math.log(size), math.log(max(seconds, NOISE_S))) for size, seconds in points]
    if len(logs) < 2:
        return 0.0
    middle = sum(x for x, _ in logs) / len(logs)
    spread = sum((x - middle) ** 2 for x, _ in logs)
    return sum((x - middle) * y for x, y in logs) / spread


def following(plan: Sequence[int], measured: Sequence[Measured], budget_s: float) -> int | None:
    """The next size: those that are wanted, and then those that may end a doubt; None at the end."""
    wanted = _wanted(plan, measured)
    return _in_doubt(plan, measured, budget_s) if wanted is None else wanted


def _wanted(plan: Sequence[int], measured: Sequence[Measured]) -> int | None:
    """The sizes of the plan, until one takes long or is cut off; then what is smaller.

    Wanted are `SIZES`, each double the one before, of which the largest is slow: it took more than
    `SLOW_S`, or was cut off and not before it took `GROWTH` times what half of it took.
    """
    took, capped = _told(measured)
    low = min(capped, default=0)
    ended = sorted(size for size in took if size and not (capped and size > low))
    top = ended[-1] if ended else 0
    if capped and not ended:
        return low >> LEAP or None
    if ended and _slow(took, top):
        return ended[0] >> 1 or None if len(ended) < SIZES else None
    if not capped:
        return next((size for size in plan if size not in took), None)
    if top < low >> 1:
        return top * 2
    if (
        capped[low] < max(GROWTH * took[top], SURE_S)
        and [size for size, _, _ in measured].count(low) == 1
    ):
        return low
    return ended[0] >> 1 or None if len(ended) < SIZES - 1 else None


def _in_doubt(plan: Sequence[int], measured: Sequence[Measured], budget_s: float) -> int | None:
    """While what is measured says neither: a larger size of the plan, or what was measured least.

    What a busy machine adds makes no time short and, at small sizes, no growth steep; but it may make
    growth flat, so that this is measured again as well.
    """
    told = telling(measured)
    seen = growth(told)
    spent = sum(seconds for _, seconds, _ in measured)
    if seen is None or seen.steep or (seen.flat and not seen.slow) or spent > PATIENCE * budget_s:
        return None
    took, capped = _told(measured)
    larger = [size for size in plan if size > seen.largest]
    fits = spent + GROWTH * took.get(seen.largest, 0.0) < MOST * budget_s
    if larger and not capped and fits and not seen.flat:
        return larger[0]
    times = Counter(size for size, _, _ in measured)
    ended = {size for size, _, over in told if not over}
    least = min(ended, key=lambda size: (times[size], size))
    return least if times[least] < ROUNDS else None


def times_at_once(size: int) -> int:
    """How often a size is run each time that it is wanted."""
    return 1 if size else TIMES


def allowed(budget_s: float, size: int, measured: Sequence[Measured]) -> float:
    """How many seconds a size may take: what is left of the budget, or what it takes to be sure."""
    took, capped = _told(measured)
    below = [each for each in took if each < size]
    before = took[max(below)] if below else 0.0
    least = SURE_S if size in capped else LATER_S if capped else LEAST_S
    return max(budget_s - sum(seconds for _, seconds, _ in measured), GROWTH * before, least)


def telling(measured: Sequence[Measured]) -> list[Measured]:
    """The measurements that tell, by size: of larger ones that were cut off none but the smallest.

    That one does not count either where enough below it came to their end and the last was slow, unless
    it took `GROWTH` times what half of it took.
    """
    took, capped = _told(measured)
    low = min(capped, default=0)
    ended = sorted(size for size in took if not capped or 0 < size < low)
    kept = {0, *ended[-SIZES:]}
    told = [each for each in measured if each[0] in kept and each[2] == (each[0] in capped)]
    enough = len(ended) >= SIZES and _slow(took, ended[-1])
    if low and (not enough or (low >> 1 <= ended[-1] and capped[low] >= GROWTH * took[ended[-1]])):
        told.append((low, capped[low], True))
    return sorted(told)


def _slow(took: dict[int, float], size: int) -> bool:
    base = took.get(0, 0.0)
    return took[size] - base > max(SLOW_S, CLEAR * base)


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

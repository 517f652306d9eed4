"""Stage one: which held findings a finding is most likely a copy of, in order.

The order is a model's (`ranker.json`, `ranker_without_time.json`), learned from public duplicates;
it only proposes. What is the same is decided by behaviour or by a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from clearhold.findings.forest import Forest
from clearhold.findings.likeness import Pool

SHORTLIST: Final = 40
INTRODUCED_TOGETHER: Final = 1.5
"""What is added to the score of a candidate whose flaw came with the same release or commit."""
_NEAREST: Final = 24
_HERE: Final = Path(__file__).parent
_LEAST_SPREAD: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate's place in the pool and its score; only the order of scores means anything."""

    place: int
    score: float


@cache
def model(*, timed: bool) -> Forest:
    """The model that is shipped."""
    return Forest.load(_HERE / ("ranker.json" if timed else "ranker_without_time.json"))


def rank(
    pool: Pool,
    place: int,
    candidates: Sequence[int] | None = None,
    *,
    limit: int = 10,
    timed: bool | None = None,
    forests: Mapping[bool, Forest] | None = None,
) -> tuple[Ranked, ...]:
    """The members most likely the same as the one at `place`, the likeliest first.

    `candidates` are the members to look at, by default all others. `timed` says whether the times
    of report are used; by default they are unless the pool came in within a day, as an import does.
    `forests` stand in for the models shipped, by whether they use time.
    """
    others = [
        each
        for each in (range(len(pool.members)) if candidates is None else candidates)
        if each != place
    ]
    timed = pool.spread >= _LEAST_SPREAD if timed is None else timed
    forest = (forests or {}).get(timed) or model(timed=timed)
    likes = {each: pool.likeness(place, each) for each in others}
    order, by_time = first_order(pool, place, likes)
    short = [
        each for each in others if order[each] < SHORTLIST or (timed and by_time[each] < _NEAREST)
    ]
    scored = []
    for each in short:
        values = pool.features(place, each, rank=order[each], likeness=likes[each])
        if timed:
            values += pool.time_features(place, each, rank=by_time[each])
        scored.append(Ranked(each, forest.score(values)))
    scored.sort(key=lambda found: (-found.score, found.place))
    return tuple(scored[:limit])


def first_order(
    pool: Pool, place: int, likes: Mapping[int, float]
) -> tuple[dict[int, int], dict[int, int]]:
    """The places of candidates by likeness, and by how near in time they were reported."""
    day = pool.members[place].day
    alike = sorted(likes, key=lambda each: (-likes[each], each))
    near = sorted(likes, key=lambda each: (abs(pool.members[each].day - day), each))
    return (
        {each: n for n, each in enumerate(alike)},
        {each: n for n, each in enumerate(near)},
    )

"""Deduplication on public truth: how often a true duplicate is among its project's ten likeliest.

Input: OSS-Fuzz's public issues (`truth`). They were deduplicated by stack hashing before they were
filed, so they are what stack hashing missed, and every figure here is low by construction. Pools
with ten or fewer candidates are left out; what chance reaches is printed as the peer. Each project
is ranked by models that were learned without it (five folds); for projects that no fold knows, by
the model that is shipped. `CLEARHOLD_DEDUP_RECORDS` names another archive of records to run on.

The merges counted are those that rules make by themselves. Ours make none from traces or text; the
goal is that none is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.dedup_truth import measures
from benchmarks.dedup_truth.pools import Project, project
from benchmarks.dedup_truth.truth import FOLDS, Issue, archive, fold_of, load
from benchmarks.figure import Figure
from clearhold.findings.forest import Forest
from clearhold.findings.merging import Copy, certain
from clearhold.findings.ranking import INTRODUCED_TOGETHER, model, rank

_HERE: Final = Path(__file__).parent
_NAME: Final = "dedup-truth"
_GOALS: Final = {True: 0.95, False: 0.88}


@dataclass(frozen=True, slots=True)
class Query:
    """Where the first true duplicate came in the ranking of one issue, from 0, and by chance."""

    project: str
    place: int
    size: int
    chance: float


def run(*, full: bool) -> Iterator[Figure]:
    """Recall of the ranking, with and without time, and what rules would merge."""
    named = os.environ.get("CLEARHOLD_DEDUP_RECORDS")
    file = Path(named) if named else archive()
    if file is None:
        print(f"{_NAME}: the public records are not there, so nothing was measured")
        return
    projects = [project(name, issues) for name, issues in sorted(load(file).items())]
    known = {i: fold for fold, ids in enumerate(_splits()["folds"]) for i in ids}
    seen = {each.name for each in projects if any(i.id in known for i in each.issues)}
    for timed in (True, False):
        forests = [_forest(f"fold{fold}", timed=timed) for fold in range(FOLDS)]

        def choose(of: Project, forests: list[Forest] = forests, timed: bool = timed) -> Forest:  # noqa: FBT001
            return forests[fold_of(of.name)] if of.name in seen else model(timed=timed)

        yield from _recall(projects, choose, timed=timed)
    yield from _bisected(projects, seen)
    yield from _by_time(projects)
    yield from _groupings(projects, seen, full=full)


def _recall(
    projects: list[Project], choose: Callable[[Project], Forest], *, timed: bool
) -> Iterator[Figure]:
    asked = [query for each in projects for query in _queries(each, choose(each), timed=timed)]
    what = "with report time" if timed else "without report time"
    for first in (10, 5, 3, 1):
        goal = _GOALS[timed] if first == 10 else 0.0  # the goal is for ten
        yield _figure(f"recall@{first} {what}", asked, first, goal=goal)
    for fold in range(FOLDS):
        kept = [each for each in asked if fold_of(each.project) == fold]
        if kept:
            yield _figure(f"recall@10 {what}, fold {fold}", kept, 10)


def _queries(
    each: Project,
    forest: Forest,
    *,
    timed: bool,
    bonus: Callable[[int, int], float] | None = None,
    asked: Callable[[int], bool] | None = None,
) -> Iterator[Query]:
    size = len(each.issues) - 1
    if size <= measures.LARGEST_LEFT_OUT:
        return
    for a in range(len(each.issues)):
        same = each.duplicates(a)
        if not same or (asked is not None and not asked(a)):
            continue
        limit = size if bonus else 10
        ranked = rank(each.pool, a, limit=limit, timed=timed, forests={timed: forest})
        order = [
            (found.score + (bonus(a, found.place) if bonus else 0.0), found.place)
            for found in ranked
        ]
        order.sort(key=lambda found: (-found[0], found[1]))
        place = next((n for n, (_, b) in enumerate(order) if b in same), size)
        yield Query(each.name, place, size, measures.by_chance(size, len(same)))


def _bisected(projects: list[Project], seen: set[str]) -> Iterator[Figure]:
    """With the introducing commit known, which a hub knows once a proof was bisected."""
    asked: list[Query] = []
    for each in projects:
        fold = f"fold{fold_of(each.name)}"
        forest = _forest(fold, timed=False) if each.name in seen else model(timed=False)

        def bonus(a: int, b: int, issues: list[Issue] = each.issues) -> float:
            return INTRODUCED_TOGETHER if issues[a].introduced == issues[b].introduced else 0.0

        asked += _queries(each, forest, timed=False, bonus=bonus)
    yield _figure("recall@10 without report time, introducing commit known", asked, 10)


def _by_time(projects: list[Project]) -> Iterator[Figure]:
    """Asked of what was reported later than anything the model was learned from."""
    early = set(_splits()["early"])
    for timed in (True, False):
        forest = _forest("early", timed=timed)
        asked = [
            query
            for each in projects
            for query in _queries(
                each,
                forest,
                timed=timed,
                asked=lambda a, each=each: each.issues[a].id not in early,  # type: ignore[misc]
            )
        ]
        what = "with" if timed else "without"
        yield _figure(f"recall@10 {what} report time, of later reports", asked, 10)


def _groupings(projects: list[Project], seen: set[str], *, full: bool) -> Iterator[Figure]:
    del full
    unique = measures.grouping(projects, measures.never)
    rules: dict[str, Callable[[Project, int, int], bool]] = {
        # Public records come without their proofs, which is what the rule asks for.
        "ours, merged without a person or a proof": lambda _each, _a, _b: certain(
            Copy(None, reproduced=False), Copy(None, reproduced=False)
        ),
        "exact state": measures.exact_state,
        "top frame": measures.top_frame,
        "as ClusterFuzz compares": measures.crash_comparer,
        "first candidate of both": _mutual(projects, seen),
    }
    size = sum(len(each.issues) for each in projects)
    for name, rule in rules.items():
        found = measures.grouping(projects, rule)
        ours = name.startswith("ours")
        for what, value, peer in (
            ("pair precision", found.precision, unique.precision),
            ("pair recall", found.recall, unique.recall),
            ("pair F1", found.f1, unique.f1),
            ("B3 F1", found.b3, unique.b3),
        ):
            yield _plain(f"{what}: {name}", size, value, "share", peer)
        goal = 0.0 if ours else float(found.wrong)
        yield Figure(
            _NAME,
            f"wrong merges: {name}",
            "OSS-Fuzz issues",
            size,
            float(found.wrong),
            "pairs",
            "everything unique",
            0.0,
            0.0,
            goal,
            found.wrong <= goal,
        )


def _mutual(projects: list[Project], seen: set[str]) -> Callable[[Project, int, int], bool]:
    """What would be merged if two issues that are each other's first candidate were: it must not."""
    first: dict[str, list[int]] = {}
    for each in projects:
        fold = f"fold{fold_of(each.name)}"
        forest = _forest(fold, timed=True) if each.name in seen else model(timed=True)
        best = [
            rank(each.pool, a, limit=1, timed=True, forests={True: forest})
            for a in range(len(each.issues))
        ]
        first[each.name] = [found[0].place if found else -1 for found in best]
    return lambda each, a, b: first[each.name][a] == b and first[each.name][b] == a


def _figure(name: str, asked: list[Query], first: int, *, goal: float = 0.0) -> Figure:
    ours = measures.mean(float(each.place < first) for each in asked)
    chance = measures.mean(each.chance for each in asked)
    if first != 10:  # chance was reckoned for ten
        chance = 0.0
    return Figure(
        _NAME,
        name,
        "issues with a duplicate, pools above 10",
        len(asked),
        round(ours, 4),
        "share",
        "random" if first == 10 else "none",
        round(chance, 4),
        round(ours / chance, 2) if chance else 0.0,
        goal,
        ours >= goal,
    )


def _plain(name: str, size: int, ours: float, unit: str, peer: float) -> Figure:
    ratio = round(ours / peer, 3) if peer else 0.0
    return Figure(
        _NAME,
        name,
        "OSS-Fuzz issues",
        size,
        round(ours, 4),
        unit,
        "everything unique",
        round(peer, 4),
        ratio,
        0.0,
        met=True,
    )


def _forest(name: str, *, timed: bool) -> Forest:
    return Forest.load(_HERE / "models" / f"{name}{'' if timed else '_without_time'}.json")


def _splits() -> dict[str, list[str]]:
    splits: dict[str, list[str]] = json.loads((_HERE / "splits.json").read_text())
    return splits

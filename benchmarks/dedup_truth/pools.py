"""Each project's issues as a pool of sketches, made by the same code that a hub runs."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.dedup_truth.truth import Issue
from clearhold.findings.likeness import Held, Pool
from clearhold.findings.ranking import first_order
from clearhold.findings.signals import Signals, signals
from clearhold.findings.sketches import Sketcher


@dataclass(frozen=True, slots=True)
class Project:
    """A project's issues, what is compared of them, and which are one bug."""

    name: str
    issues: list[Issue]
    told: list[Signals]
    pool: Pool

    def same(self, a: int, b: int) -> bool:
        """Whether two issues are one bug."""
        return a != b and not self.issues[a].fixed.isdisjoint(self.issues[b].fixed)

    def duplicates(self, a: int) -> frozenset[int]:
        """The other issues of the same bug."""
        return frozenset(b for b in range(len(self.issues)) if self.same(a, b))


def project(name: str, issues: list[Issue]) -> Project:
    """Sketch one project's issues."""
    told = [signals(title="", description=issue.text) for issue in issues]
    sketcher = Sketcher(b"a key for public records, 32 byte")
    held = [
        Held(sketcher.sketch(each), issue.day) for each, issue in zip(told, issues, strict=True)
    ]
    return Project(name, issues, told, Pool(held))


def rows(of: Project, a: int, *, timed: bool) -> dict[int, list[float]]:
    """The features of every other issue as a candidate for `a`."""
    others = [b for b in range(len(of.issues)) if b != a]
    pool = of.pool
    likes = {b: pool.likeness(a, b) for b in others}
    order, by_time = first_order(pool, a, likes)
    return {
        b: pool.features(a, b, rank=order[b], likeness=likes[b])
        + (pool.time_features(a, b, rank=by_time[b]) if timed else [])
        for b in others
    }

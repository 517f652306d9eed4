"""One measured figure and how it is printed."""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


def peak_memory_mb() -> float:
    """The largest resident set of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of ours beside a peer's; `goal` is in the same unit, smaller being better or not."""

    bench: str
    figure: str
    input: str
    size: int
    ours: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    goal: float
    met: bool
    rss_mb: float = field(default_factory=peak_memory_mb)

    def line(self, *, as_json: bool) -> str:
        """One line: JSON, or for people."""
        if as_json:
            return json.dumps(asdict(self))
        met = "met" if self.met else "MISSED"
        return (
            f"{self.bench} {self.figure}: {self.ours} {self.unit} on {self.size} {self.input}; "
            f"{self.peer}: {self.peer_value} {self.unit}; ratio {self.ratio}; "
            f"goal {self.goal} {met}; {self.rss_mb} MB"
        )


def none_allowed(
    *,
    bench: str,
    figure: str,
    input: str,  # noqa: A002 - the figure's own word
    size: int,
    ours: int,
    unit: str,
) -> Figure:
    """A count that must be nought."""
    return Figure(
        bench=bench,
        figure=figure,
        input=input,
        size=size,
        ours=ours,
        unit=unit,
        peer="allowed",
        peer_value=0,
        ratio=0,
        goal=0,
        met=ours == 0,
    )


def median_seconds(run: Callable[[], object], *, times: int) -> float:
    """The median wall time of `run` over `times` calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)

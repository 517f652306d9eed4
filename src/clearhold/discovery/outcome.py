"""What a campaign came to: its state, what coverage says of it, and what stands when it is cut short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clearhold.discovery.engine import Ending, Progress, Searched
from clearhold.scanning.model import Outcome

SAID: Final = {
    Ending.STOPPED: "\nStopped by its party.",
    Ending.LEASE: "\nThe lease ended, and the search with it.",
}


def came_to(searched: Searched) -> tuple[str, Outcome]:
    """The state a campaign ends in, and what its coverage says of the outcome."""
    if searched.confirmed:
        return "found", Outcome.FOUND
    if searched.ending is Ending.FAILED:
        return "failed", Outcome.ABORTED
    if searched.ending in {Ending.STOPPED, Ending.LEASE}:
        return "stopped", Outcome.ABORTED
    return "nothing_found", Outcome.NOTHING_FOUND


def effort_of(searched: Searched) -> dict[str, int]:
    """What was spent and reached, as coverage counts it; without what was not measured."""
    counts = {
        "seconds": searched.spent_s,
        "executions": searched.executions,
        "edges": searched.edges,
        "lines": searched.lines,
        "leads": len(searched.leads),
    }
    return {name: count for name, count in counts.items() if count}


@dataclass(slots=True)
class Told:
    """What a search told last, which stands when it is cut short."""

    latest: Progress

    def as_far_as(self, ending: Ending, log: str = "") -> Searched:
        """What a search came to that ended so."""
        reached = self.latest
        return Searched(
            ending,
            executions=reached.executions,
            edges=reached.edges,
            spent_s=reached.spent_s,
            crashes=reached.crashes,
            log=log,
        )

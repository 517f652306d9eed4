"""What a campaign came to: its state, what coverage says of it, and what stands when it is cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from clearhold.discovery.engine import Ending, Progress, Searched
from clearhold.kernel.errors import InvalidError
from clearhold.scanning import paths as globs
from clearhold.scanning.model import MOST_PATHS, Outcome

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
        "files": len(searched.read),
        "executions": 0 if searched.read else searched.executions,
        "edges": searched.edges,
        "lines": searched.lines,
        "leads": len(searched.leads),
    }
    return {name: count for name, count in counts.items() if count}


def looked_at(read: Sequence[str]) -> tuple[str, ...]:
    """The path globs that say which files were read, as narrow as their number may be.

    Files of one suffix in one directory, else below one, else below one at the top; none when that
    takes too many, or a path is none that a glob can name.
    """
    paths = [PurePosixPath(each) for each in read]
    ways = (
        {f"{each.parent}/*{each.suffix}".removeprefix("./") for each in paths},
        {f"{each.parent}/**" if each.parent.name else str(each) for each in paths},
        {f"{each.parts[0]}/**" if each.parent.name else str(each) for each in paths},
    )
    for way in ways:
        if len(way) <= MOST_PATHS:
            try:
                found = tuple(sorted({globs.normal(each) for each in way}))
            except InvalidError:
                return ()
            return found if all(any(globs.names(g, p) for g in found) for p in read) else ()
    return ()


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

"""What a campaign came to: its state, what coverage says of it, and what stands when it is cut short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
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
        "executions": 0 if searched.read and not searched.edges else searched.executions,
        "edges": searched.edges,
        "lines": searched.lines,
        "leads": len(searched.leads),
    }
    return {name: count for name, count in counts.items() if count}


def looked_at(
    read: Sequence[str],
    *,
    unread: Iterable[str] = (),
    scope: Sequence[str] = (globs.EVERYTHING,),
    listed: bool = True,
) -> tuple[str, ...]:
    """The path globs that say which files were read, as narrow as their number may be.

    Files of one suffix in one directory, else below one at the top, else anywhere. No glob names a
    file that was left `unread` or reaches beyond `scope`: files that only such a glob would name are
    named one by one, as all are when not every file that is there was `listed`. When that takes too
    many globs, those that name most are told, so that too little is claimed and never too much; a
    file whose path no glob can name is not told.
    """
    named = [PurePosixPath(each) for each in read if _nameable(each)]
    left_out = [PurePosixPath(each) for each in unread]
    ways = (_beside, _from_the_top, _anywhere) if listed else (str,)
    plans = [_plan(named, way, {way(each) for each in left_out}, scope) for way in ways]
    fitting = (each for each in plans if len(each) <= MOST_PATHS)
    chosen = next(fitting, None) or _most(min(plans, key=len))
    return tuple(sorted(chosen))


def _plan(
    named: Sequence[PurePosixPath],
    way: Callable[[PurePosixPath], str],
    spoilt: Container[str],
    scope: Sequence[str],
) -> Counter[str]:
    """How many files each glob names, going one way; a glob that names too much gives way to paths.

    Every file that a way's glob names leads that way to the same glob.
    """
    sound: dict[str, bool] = {}
    plan: Counter[str] = Counter()
    for path in named:
        glob = way(path)
        if glob not in sound:
            sound[glob] = glob not in spoilt and _is_glob(glob) and _within(glob, scope)
        plan[glob if sound[glob] else str(path)] += 1
    return plan


def _most(plan: Counter[str]) -> tuple[str, ...]:
    ranked = sorted(plan, key=lambda glob: (-plan[glob], glob))
    return tuple(ranked[:MOST_PATHS])


def _suffix(path: PurePosixPath) -> str:
    """What a glob goes by: all of `.py` too, which pathlib takes for a name without a suffix."""
    return "".join(path.name.rpartition(".")[1:]) if "." in path.name else ""


def _beside(path: PurePosixPath) -> str:
    return str(path.parent / f"*{suffix}") if (suffix := _suffix(path)) else str(path)


def _from_the_top(path: PurePosixPath) -> str:
    deep = (suffix := _suffix(path)) and path.parent.name
    return f"{path.parts[0]}/**/*{suffix}" if deep else _beside(path)


def _anywhere(path: PurePosixPath) -> str:
    return f"**/*{suffix}" if (suffix := _suffix(path)) else str(path)


def _within(glob: str, scope: Sequence[str]) -> bool:
    """Whether all that a glob names is certainly within one of a scope's globs."""
    return any(
        each in {globs.EVERYTHING, glob}
        or (each.endswith("/**") and glob.startswith(each[:-2]) and not {"*", "?"} & {*each[:-3]})
        for each in scope
    )


def _nameable(path: str) -> bool:
    """Whether a glob can name this file and no other."""
    return not {"*", "?"} & {*path} and _is_glob(path)


def _is_glob(text: str) -> bool:
    try:
        return globs.normal(text) == text
    except InvalidError:
        return False


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

"""Trying the targets of a draft with a proof: which of them tell the two sides apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.drafting.draft import Parts
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.reproduce import Run, reproduce

PATIENCE_S: Final = 300.0
"""For how long targets are tried, in seconds of wall time, unless one told the sides apart before."""
BUILDING_S: Final = 900.0
"""After so many seconds of wall time no other way of building is begun; one has its own limit."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the proof on a target of the vulnerable side, and one of the fixed where it matters.

    `control` are runs of the benign input on both sides, made when the proof tells them apart.
    """

    target: str
    vulnerable: Run
    fixed: Run | None = None
    control: tuple[Run, ...] = ()

    @property
    def telling(self) -> bool:
        """Whether the flaw shows on the vulnerable side alone and the controls pass on both."""
        return (
            self.vulnerable.kind is RunKind.VIOLATION
            and not self.vulnerable.other
            and self.fixed is not None
            and self.fixed.kind is RunKind.CLEAN
            and all(each.kind is RunKind.CLEAN for each in self.control)
        )


def built_one_way(
    laboratory: Laboratory,
    made: Callable[[Parts], Recipe],
    offers: Iterable[tuple[str, Parts]],
    *,
    otherwise: Parts,
    patience_s: float = BUILDING_S,
    clock: Callable[[], float] = time.monotonic,
) -> Parts:
    """The first of the named offers that both sides are built of, else `otherwise` and why not.

    No other is begun after `patience_s` by `clock`, in seconds. Raises what a sandbox that cannot
    build at all raises.
    """
    problems: list[str] = []
    until = clock() + patience_s
    for name, parts in offers:
        if problems and clock() >= until:
            problems.append(f"building by {name} was not tried after {patience_s:.0f} seconds")
            continue
        recipe = made(parts)
        try:
            for side in (Side.VULNERABLE, Side.FIXED):
                for flavour in dict.fromkeys(each.flavour for each in recipe.targets.values()):
                    laboratory.build(recipe, side, flavour=flavour)
        except BuildFailedError as error:
            last = error.log.strip().splitlines()[-1:] or [error.message]
            needed = f"; it needs {', '.join(parts.needs)}" if parts.needs else ""
            problems.append(f"building by {name} fails: {last[0][:200]}{needed}")
            continue
        return parts
    otherwise.missing += problems or ["nothing was found that a proof could be given to"]
    return otherwise


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial that shows most: telling, else a violation, else what stayed open, else the first."""
    kinds = (RunKind.VIOLATION, RunKind.INCONCLUSIVE, RunKind.CLEAN)
    return min(
        trials,
        key=lambda each: (
            not each.telling,
            kinds.index(each.vulnerable.kind) if each.vulnerable.kind in kinds else len(kinds),
            each.vulnerable.other,
        ),
        default=None,
    )


def tried(
    laboratory: Laboratory,
    recipe: Recipe,
    proof: bytes,
    targets: Sequence[str],
    *,
    most: int = 1,
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
) -> list[Trial]:
    """Trials of the targets in their order, until `most` of them tell the sides apart.

    None is begun after `patience_s` by `clock`, in seconds, but the first few always are. Raises
    what builds and the sandbox raise. One run is a trial, no verdict.
    """
    until = clock() + patience_s
    telling: list[str] = []

    def one(place: int) -> Trial | None:
        if len(telling) >= most or (place >= laboratory.workers and clock() >= until):
            return None
        made = _tried(laboratory, recipe, proof, targets[place])
        if made.telling:
            telling.append(made.target)
        return made

    with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
        return [each for each in pool.map(one, range(len(targets))) if each is not None]


def _tried(laboratory: Laboratory, recipe: Recipe, proof: bytes, name: str) -> Trial:
    flavour = recipe.target(name).flavour

    def once(build: Build, content: bytes) -> Run:
        lone = replace(build, recipe=alone(recipe, name))
        (run,) = reproduce(laboratory, lone, target=name, proof=content, runs=1)
        return run

    vulnerable = laboratory.build(recipe, Side.VULNERABLE, flavour=flavour)
    shown = once(vulnerable, proof)
    if shown.kind is not RunKind.VIOLATION or shown.other:
        return Trial(name, shown)
    fixed = laboratory.build(recipe, Side.FIXED, flavour=flavour)
    gone = once(fixed, proof)
    control = recipe.control(name)
    benign = tuple(once(each, control) for each in (vulnerable, fixed))
    return Trial(name, shown, gone, benign)


def alone(recipe: Recipe, name: str) -> Recipe:
    """The recipe without what other targets alone need: each file costs every run a mount."""
    needed = {
        target: {each.removeprefix("/recipe/") for each in (*about.argv, about.control)}
        for target, about in recipe.targets.items()
    }
    others = set().union(*needed.values()) - needed[name]
    files = {path: content for path, content in recipe.files.items() if path not in others}
    return replace(recipe, files=files)

"""Trying the targets of a draft with a proof: which of them tell the two sides apart."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.reproduce import Run, reproduce

_AT_ONCE: Final = 12


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


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial that shows most: telling, else a violation on both sides, else the first."""
    return min(
        trials,
        key=lambda each: (not each.telling, each.vulnerable.kind is not RunKind.VIOLATION),
        default=None,
    )


def tried(
    laboratory: Laboratory, recipe: Recipe, proof: bytes, targets: Sequence[str], *, most: int = 1
) -> list[Trial]:
    """Trials of the targets in their order, until `most` of them tell the sides apart.

    Raises what builds and the sandbox raise. One run is a trial, no verdict.
    """
    made: list[Trial] = []
    for start in range(0, len(targets), _AT_ONCE):
        with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
            made += pool.map(
                lambda name: _tried(laboratory, recipe, proof, name),
                targets[start : start + _AT_ONCE],
            )
        if sum(each.telling for each in made) >= most:
            break
    return made


def _tried(laboratory: Laboratory, recipe: Recipe, proof: bytes, name: str) -> Trial:
    flavour = recipe.target(name).flavour

    def once(build: Build, content: bytes) -> Run:
        (run,) = reproduce(laboratory, build, target=name, proof=content, runs=1)
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

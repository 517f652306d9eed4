"""Affected versions by replay: the proof is run on release after release, built by the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.validation.bisection import Affected, Answer, search
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side, SideSource
from clearhold.validation.reproduce import reproduce

_RUNS: Final = 3
_LARGEST_LIST: Final = 4 * 1024 * 1024
_MOST_RELEASES: Final = 2000


def read_releases(content: bytes) -> tuple[SideSource, ...]:
    """Releases of a project, oldest first, from YAML: a list of what a recipe's side holds.

    Raises `InvalidError` when it is not such a list, empty, or too long.
    """
    try:
        if len(content) > _LARGEST_LIST:
            raise msgspec.ValidationError("it is too large")
        releases = msgspec.yaml.decode(content, type=tuple[SideSource, ...])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidError(
            f"This is no list of releases: {error}.",
            next_step="Write a YAML list of version and sources, as in a recipe's sides.",
        ) from error
    if not 1 <= len(releases) <= _MOST_RELEASES:
        raise InvalidError(
            f"A list of releases has 1 to {_MOST_RELEASES} of them.",
            next_step="Leave out those that cannot matter.",
        )
    return releases


def affected_versions(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    target: str,
    proof: bytes,
    releases: Sequence[SideSource] = (),
    on_answer: Callable[[str, Answer], None] | None = None,
) -> Affected:
    """Which releases show what the proof shows on the recipe's vulnerable version.

    `releases` are oldest first; without them, the recipe's own two are asked. A release that cannot
    be fetched, built or run on its benign input, or whose runs disagree, is passed over. Raises
    `InvalidError` when the proof shows nothing on the vulnerable version.
    """
    known = recipe.side(Side.VULNERABLE)
    by_version = {each.version: each for each in releases or recipe.sides.values()}
    if releases and len(by_version) != len(releases):
        raise InvalidError("A release is named twice.", next_step="Name each release once.")
    family = _shown(laboratory, recipe, target, proof)
    if not family:
        raise InvalidError(
            f"The proof does not show a violation on {known.version}.",
            next_step="Validate it first: only a proof that reproduces tells versions apart.",
        )

    def ask(version: str) -> Answer:
        answer = _ask(laboratory, recipe, by_version[version], target, proof, family=family)
        if on_answer is not None:
            on_answer(version, answer)
        return answer

    order = list(by_version)
    known_bad = known.version if known.version in by_version else ""
    return search(order, ask, known_bad=known_bad or order[len(order) // 2])


def _shown(laboratory: Laboratory, recipe: Recipe, target: str, proof: bytes) -> str:
    """The family of what the proof shows on the vulnerable version; empty when it shows nothing."""
    flavour = recipe.target(target).flavour
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=flavour)
    runs = reproduce(laboratory, build, target=target, proof=proof, runs=_RUNS)
    families = {run.signature[0] if run.kind is RunKind.VIOLATION else "" for run in runs}
    return families.pop() if len(families) == 1 else ""


def _ask(
    laboratory: Laboratory,
    recipe: Recipe,
    release: SideSource,
    target: str,
    proof: bytes,
    *,
    family: str,
) -> Answer:
    """Whether one release shows a violation of the family."""
    there = replace(recipe, sides={Side.VULNERABLE: release})
    try:
        build = laboratory.build(there, Side.VULNERABLE, flavour=recipe.target(target).flavour)
        benign = recipe.control(target)
        (control,) = reproduce(laboratory, build, target=target, proof=benign, runs=1)
        runs = reproduce(laboratory, build, target=target, proof=proof, runs=_RUNS)
    except ClearholdError:
        return Answer.SKIP
    if control.kind is not RunKind.CLEAN:
        return Answer.SKIP
    if all(run.kind is RunKind.VIOLATION and run.signature[0] == family for run in runs):
        return Answer.BAD
    clean = all(run.kind is RunKind.CLEAN for run in runs)
    return Answer.GOOD if clean else Answer.SKIP

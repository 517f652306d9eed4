"""Affected versions by replay: the proof is run on release after release, built by the recipe.

A replay is boxed: after so many releases, or so long, those left are passed over like any release
that cannot be asked, and what was found says beside its boundaries which they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.validation.bisection import Affected, Answer, search
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side, SideSource, Source
from clearhold.validation.releases import MOST_LISTED, Listed
from clearhold.validation.reproduce import reproduce

USUAL_BUILDS: Final = 24
USUAL_SECONDS: Final = 600.0
_RUNS: Final = 3
_NOT_ASKED: Final = "not asked: the replay had used up its builds or its time"
_LARGEST_LIST: Final = 4 * 1024 * 1024


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
    if not 1 <= len(releases) <= MOST_LISTED:
        raise InvalidError(
            f"A list of releases has 1 to {MOST_LISTED} of them.",
            next_step="Leave out those that cannot matter.",
        )
    return releases


@dataclass(frozen=True, slots=True)
class Asked:
    """One release that a replay came to: what it said, of which bytes, and why it said nothing.

    `sources` and `build_sha256` are empty when it was not built, `why` unless it was passed over.
    """

    version: str
    answer: Answer
    sources: tuple[Source, ...] = ()
    build_sha256: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay over releases found.

    `family` is the kind of violation that was looked for, `asked` the releases in the order they
    were asked, `releases` all there were, oldest first, and `toolchain_sha256` what built them.
    """

    family: str
    affected: Affected
    asked: tuple[Asked, ...]
    releases: tuple[str, ...]
    toolchain_sha256: str

    @property
    def introduction(self) -> tuple[str, str] | None:
        """The last release without the flaw and the next one with it.

        None when the flaw was always there, or came with a release that could not be asked.
        """
        first = self.affected.stretches[0] if self.affected.stretches else None
        if first is None or first.unsure_before:
            return None
        at = self.releases.index(first.first_bad)
        return (self.releases[at - 1], first.first_bad) if at else None


@dataclass(slots=True)
class Box:
    """How much a replay may take: releases that are built, and seconds after which none is begun."""

    builds: int = USUAL_BUILDS
    seconds: float = USUAL_SECONDS
    began: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        """Whether one more release may be asked."""
        self.builds -= 1
        return self.builds >= 0 and time.monotonic() - self.began < self.seconds


def affected_versions(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    target: str,
    proof: bytes,
    releases: Sequence[SideSource | Listed] = (),
    on_answer: Callable[[str, Answer], None] | None = None,
    box: Box | None = None,
) -> Replayed:
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
    asked: list[Asked] = []

    def ask(version: str) -> Answer:
        if box is None or box.take():
            told = _ask(laboratory, recipe, by_version[version], target, proof, family=family)
        else:
            told = Asked(version, Answer.SKIP, why=_NOT_ASKED)
        asked.append(told)
        if on_answer is not None:
            on_answer(version, told.answer)
        return told.answer

    order = list(by_version)
    known_bad = known.version if known.version in by_version else ""
    found = search(order, ask, known_bad=known_bad or order[len(order) // 2])
    digest = laboratory.toolchain().digest
    return Replayed(family, found, tuple(asked), tuple(order), digest)


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
    release: SideSource | Listed,
    target: str,
    proof: bytes,
    *,
    family: str,
) -> Asked:
    """Whether one release shows a violation of the family."""
    told = Asked(release.version, Answer.SKIP)
    try:
        pinned = release.pinned(laboratory) if isinstance(release, Listed) else release
        told = replace(told, sources=pinned.sources)
        there = replace(recipe, sides={Side.VULNERABLE: pinned})
        build = laboratory.build(there, Side.VULNERABLE, flavour=recipe.target(target).flavour)
        told = replace(told, build_sha256=build.digest)
        benign = recipe.control(target)
        (control,) = reproduce(laboratory, build, target=target, proof=benign, runs=1)
        runs = reproduce(laboratory, build, target=target, proof=proof, runs=_RUNS)
    except ClearholdError as error:
        return replace(told, why=error.message)
    if control.kind is not RunKind.CLEAN:
        return replace(told, why="Its benign input does not run as it should.")
    if all(run.kind is RunKind.VIOLATION and run.signature[0] == family for run in runs):
        return replace(told, answer=Answer.BAD)
    if all(run.kind is RunKind.CLEAN for run in runs):
        return replace(told, answer=Answer.GOOD)
    return replace(told, why="Its runs disagree, or show another violation.")

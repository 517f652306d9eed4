"""A short search for other ways to a flaw, beginning at the proofs, on the build with the change.

Targets with a libFuzzer harness are searched by coverage; those without one by inputs that are made
from the proofs and from benign inputs by small changes. Both repeat for the same seed, as far as
time allows the same number of tries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from clearhold.discovery.engine_libfuzzer import fuzz
from clearhold.patches.mutating import mutants
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe
from clearhold.validation.reproduce import run_many

MOST_MUTANTS: Final = 2000
FEWEST_MUTANTS: Final = 64
LONGEST: Final = 5
"""A busy machine gets up to so many times the time, to try the fewest there must be."""
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Hunt:
    """What a search of one target did: by which way, tries, covered edges, what showed a fault."""

    way: str
    tries: int
    edges: int = 0
    found: tuple[bytes, ...] = field(default=(), repr=False)
    seconds: float = 0.0

    def facts(self, seed: int) -> dict[str, Any]:
        """What a reader needs to repeat it."""
        return {
            "way": self.way,
            "seed": seed,
            "executions": self.tries,
            "edges": self.edges,
            "seconds": round(self.seconds, 1),
        }


def search(
    laboratory: Laboratory,
    recipe: Recipe,
    build_of: Callable[[Flavour], Build],
    starts: Sequence[tuple[str, bytes]],
    *,
    seed: int,
    seconds: int,
) -> dict[str, Hunt]:
    """Search every target that `starts` are for, each for so many seconds; none for zero."""
    found: dict[str, Hunt] = {}
    for name, target in recipe.targets.items():
        mine = [content for each, content in starts if each == name]
        if not mine or not seconds:
            continue
        if target.fuzz is not None:
            found[name] = by_coverage(
                laboratory,
                build_of(Flavour.FUZZ),
                name,
                seed=seed,
                starts={f"start-{number}": each for number, each in enumerate(mine)},
                seconds=seconds,
            )
        else:
            found[name] = by_mutants(
                laboratory,
                build_of(target.flavour),
                name,
                seed=seed,
                starts=[*mine, *mine, *mine, recipe.control(name)],
                seconds=seconds,
            )
    return found


def by_coverage(
    laboratory: Laboratory,
    build: Build,
    target: str,
    *,
    seed: int,
    starts: Mapping[str, bytes],
    seconds: int,
) -> Hunt:
    """Search with libFuzzer for so many seconds. Raises what the engine raises."""
    began = time.monotonic()
    found = fuzz(
        laboratory,
        build,
        target,
        seed=seed,
        budget_s=seconds,
        seeds=build.recipe.seeds(target) | dict(starts),
    )
    crashes = () if found.crash is None else (found.crash,)
    return Hunt("libFuzzer", found.executions, found.edges, crashes, time.monotonic() - began)


def by_mutants(
    laboratory: Laboratory,
    build: Build,
    target: str,
    *,
    seed: int,
    starts: Sequence[bytes],
    seconds: int,
) -> Hunt:
    """Try inputs made from `starts` until one shows a violation or the time is over.

    There are at least `FEWEST_MUTANTS` of them, unless that takes `LONGEST` times as long.
    """
    made = mutants(seed, starts, most=MOST_MUTANTS)
    began, tries = time.monotonic(), 0
    while (spent := time.monotonic() - began) < seconds * LONGEST:
        if spent >= seconds and tries >= FEWEST_MUTANTS:
            break
        batch = list(islice(made, _BATCH))
        if not batch:
            break
        ran = run_many(laboratory, build, target=target, proofs=batch, runs=1)
        tries += len(batch)
        found = tuple(
            content
            for content, (run,) in zip(batch, ran, strict=True)
            if run.kind is RunKind.VIOLATION
        )
        if found:
            return Hunt("mutants", tries, 0, found, time.monotonic() - began)
    return Hunt("mutants", tries, seconds=time.monotonic() - began)

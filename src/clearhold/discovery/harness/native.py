"""Harnesses of a library in C or C++, drafted from its headers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from clearhold.discovery.harness.draft import (
    BUILD_S,
    Box,
    Harnesses,
    Made,
    best,
    nothing_there,
    offered,
    trials,
)
from clearhold.discovery.harness.trial import BENIGN
from clearhold.validation.builder import BuildFailedError, Laboratory
from clearhold.validation.drafting import DraftedTarget, Fuzzed, Parts, native_build, native_drivers
from clearhold.validation.recipe import Flavour, Side

_MOST_CALLS: Final = 24


def harnesses(
    laboratory: Laboratory,
    made: Made,
    tree: Path,
    *,
    name: str,
    version: str,
    box: Box,
) -> Harnesses:
    """Harnesses of a library in C or C++: its own fuzzers, then what its headers declare.

    `made` makes a recipe of parts; `name` and `version` are the package's. Raises `InvalidError` when there is nothing to try, `BuildFailedError`
    when the library builds in no way, and what the sandbox raises.
    """
    drivers = native_drivers.distinct(
        [
            *native_drivers.harnesses(tree),
            *native_drivers.calls(name, tree, most=_MOST_CALLS),
        ]
    )
    if not drivers:
        raise nothing_there("No header declares a function that takes a text, a buffer or a file.")
    problem: BuildFailedError | None = None
    for way in native_build.ways(tree, version):
        parts = Parts(
            way.tried(drivers), [_native_target(each) for each in drivers], needs=way.needs
        )
        parts.build_s = BUILD_S
        for each in drivers:
            parts.files |= each.files
        recipe = made(parts)
        box.tell(f"building by {way.name}")
        try:
            built = [
                set(laboratory.build(recipe, Side.VULNERABLE, flavour=flavour).files)
                for flavour in (Flavour.ADDRESS, Flavour.FUZZ)
            ]
        except BuildFailedError as error:
            problem = error
            continue
        there = [each.name for each in drivers if each.name in built[0] & built[1]]
        done = trials(laboratory, recipe, there, tree, box)
        left_out = {each.name: "it does not compile or link" for each in drivers}
        kept = best(done)
        chosen = {each.target: each for each in kept}
        wanted = [each for each in drivers if each.name in chosen]
        parts = replace(parts, script=way.kept(*wanted)) if wanted else parts
        return offered(parts, done, kept, left_out)
    raise problem or nothing_there("No way of building the source was found.")


def _native_target(driver: native_drivers.Driver) -> DraftedTarget:
    return DraftedTarget(
        driver.name,
        driver.summary,
        (f"/build/{driver.name}", "/in/proof"),
        "address",
        "address",
        BENIGN,
        files=tuple(driver.files),
        fuzz=Fuzzed(binary=driver.name),
    )

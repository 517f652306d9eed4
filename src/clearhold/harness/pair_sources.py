"""The pairs that can be asked about on this machine: both sides of shipped recipes, as published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from clearhold.evaluations.suites import pairs
from clearhold.evaluations.suites.pairs import Pair
from clearhold.kernel.errors import ClearholdError, UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import LAID_OUT, Laboratory, build_surroundings
from clearhold.validation.known_proofs import PROOFS
from clearhold.validation.recipe import Flavour, Recipe, Side, load

CHOSEN: Final = (
    *("adm-zip", "ansi-regex", "cjson", "configobj", "decompress", "deep-extend", "defaults-deep"),
    *("dot-prop", "ejs", "flat", "ini", "libcue", "macaddress", "marked", "merge-deep", "minimist"),
    *("mixin-deep", "object-path", "path-parse", "pyyaml", "semver", "set-value", "tinyxml"),
    *("trim-newlines", "wheel", "word-wrap", "y18n", "yajl"),
)
"""Recipes whose sources are small and quickly fetched."""
MENDED: Final = frozenset({"flat", "libcue", "y18n"})
"""Of which the judge of fixes was seen to accept the difference of the sides; so patches are asked for."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The pairs that are here, and in words what was left out and why."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


def gather(laboratory: Laboratory, names: Iterable[str] = CHOSEN) -> Gathered:
    """Fetch both sides of these recipes; what cannot be fetched or does not serve is told."""
    found, left_out = [], []
    for name in names:
        recipe = load(name)
        try:
            before, after = (
                pairs.relevant(recipe, _tree(laboratory, recipe, s))
                for s in (Side.VULNERABLE, Side.FIXED)
            )
        except ClearholdError as problem:
            left_out.append(f"{name}: {problem.message}")
            continue
        known = tuple(each for each in PROOFS if each.recipe == name)
        pair = Pair(recipe, before, after, known, mended=name in MENDED)
        if reason := pairs.why_not(pair):
            left_out.append(f"{name}: {reason}")
            continue
        left_out += [f"{name}, {each}" for each in pairs.not_asked(pair)]
        found.append(pair)
    return Gathered(tuple(found), tuple(left_out))


def _tree(laboratory: Laboratory, recipe: Recipe, side: Side) -> Mapping[str, bytes]:
    """The files of a side by path, with Debian's patches as far as the recipe says."""
    trees, _ = laboratory.source_tree(recipe, side)
    if recipe.side(side).series:
        return _laid_out(laboratory, recipe, side, tuple(trees.values()))
    return {
        (PurePosixPath(into) / place.relative_to(root).as_posix()).as_posix(): place.read_bytes()
        for into, root in trees.items()
        for place in sorted(root.rglob("*"))
        if place.is_file() and not place.is_symlink()
    }


def _laid_out(
    laboratory: Laboratory, recipe: Recipe, side: Side, trees: tuple[Path, ...]
) -> Mapping[str, bytes]:
    outcome = laboratory.run(
        Job(
            argv=("/bin/sh", "-c", f"{LAID_OUT}cp -R /work/src/. /out/\n"),
            trees={f"/src/{number}": tree for number, tree in enumerate(trees)},
            env=build_surroundings(recipe, side, Flavour.PLAIN),
            limits=Limits(wall_s=60.0, cpu_s=60, scratch_mb=recipe.limits.scratch_mb),
        )
    )
    if outcome.exit_code != 0:
        raise UnavailableError(
            f"The sources of {recipe.name} could not be laid out.",
            next_step="Run `clearhold doctor`.",
        )
    return outcome.artefacts

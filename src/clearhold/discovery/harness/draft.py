"""What drafts of harnesses have in common: examples of input, trials, and the best as parts of a recipe."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from clearhold.discovery.harness.trial import SEARCH_S, Trial, tried
from clearhold.kernel.errors import InvalidError
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import Parts
from clearhold.validation.recipe import Recipe

PATIENCE_S: Final = 300.0
"""After so many seconds of wall time no further harness is tried."""
MOST_OFFERED: Final = 8
MOST_EXAMPLES: Final = 16
BUILD_S: Final = 600
_LARGEST_EXAMPLE: Final = 4096
_MOST_FILES: Final = 20_000
_PLACES: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|examples?|samples?|corpus|fuzz\w*|data|fixtures?|seeds?|t|inputs?)/",
    re.IGNORECASE,
)
_CODE: Final = re.compile(
    r"\.(?:c|cc|cpp|cxx|h|hpp|pyc?|pyi|sh|pl|rb|js|cmake|am|ac|in|m4|mk|o|a|so|md|rst|toml|cfg|bat|ps1"
    r"|vcxproj|sln|patch|diff)$|(?:^|/)(?:Makefile|CMakeLists\.txt|README[^/]*|LICEN[CS]E|COPYING|\.[^/]*)$",
    re.IGNORECASE,
)

Made = Callable[[Parts], Recipe]


@dataclass(frozen=True, slots=True)
class Box:
    """How much trying may take: seconds of searching for each harness, and of wall time for all.

    `tell` is told what is being done.
    """

    seconds: int = SEARCH_S
    patience_s: float = PATIENCE_S
    tell: Callable[[str], None] = lambda _words: None


@dataclass(frozen=True, slots=True)
class Harnesses:
    """The parts of a recipe with the harnesses that are offered, the best first, and what was left out.

    `left_out` says why, by name; what does not compile is named there too.
    """

    parts: Parts
    offered: tuple[Trial, ...]
    left_out: Mapping[str, str]


def examples_of(tree: Path) -> tuple[bytes, ...]:
    """Small files of a project's tests and examples that are no code, the smallest first."""
    found: dict[bytes, str] = {}
    for count, path in enumerate(sorted(tree.rglob("*"))):
        if count >= _MOST_FILES:
            break
        place = path.relative_to(tree).as_posix()
        if path.is_symlink() or not path.is_file() or not _PLACES.search(place):
            continue
        if not _CODE.search(place) and 0 < path.stat().st_size <= _LARGEST_EXAMPLE:
            found.setdefault(path.read_bytes(), place)
    return tuple(sorted(found, key=lambda each: (len(each), each))[:MOST_EXAMPLES])


def trials(
    laboratory: Laboratory,
    recipe: Recipe,
    names: Sequence[str],
    tree: Path,
    box: Box,
) -> list[Trial]:
    """Trials of the harnesses in their order, none begun when the patience is over."""
    until = time.monotonic() + box.patience_s
    examples = examples_of(tree)

    def one(name: str) -> Trial:
        if time.monotonic() >= until:
            return Trial(name, why_not=f"it was not tried within {box.patience_s:.0f} seconds")
        box.tell(f"trying {name}")
        return tried(laboratory, recipe, name, examples=examples, seconds=box.seconds)

    with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
        return list(pool.map(one, names))


def best(done: Sequence[Trial]) -> list[Trial]:
    """Those that are offered, the best first."""
    fit = [each for each in done if not each.why_not]
    return sorted(fit, key=lambda each: each.order)[:MOST_OFFERED]


def offered(
    parts: Parts, done: Sequence[Trial], kept: Sequence[Trial], left_out: Mapping[str, str]
) -> Harnesses:
    """The parts with the targets that are kept, in their order, with their seeds."""
    known = {each.name: each for each in parts.targets}
    targets = [
        replace(known[each.target], fuzz=replace(fuzz, seeds=(b"", *each.seeds)))
        for each in kept
        if (fuzz := known[each.target].fuzz) is not None
    ]
    own = {file for each in targets for file in each.files}
    others = {file for each in parts.targets for file in each.files} - own
    files = {name: content for name, content in parts.files.items() if name not in others}
    names = {each.target for each in kept}
    told = dict(left_out) | {
        each.target: each.why_not or f"{MOST_OFFERED} others reach more" for each in done
    }
    left = {name: why for name, why in told.items() if name not in names}
    return Harnesses(replace(parts, targets=targets, files=files), tuple(kept), left)


def nothing_there(message: str) -> InvalidError:
    """The refusal when nothing can be drafted."""
    return InvalidError(
        message, next_step="Write a harness by hand; docs/recipes.md says what one is."
    )

"""Which files of a package a fuzzer's inputs run code of, so that its coverage names them.

A fuzzer counts edges and tells no files. So a sample of what it kept is run again, in the sandbox, by
the target's own driver in a build that tells lines: LLVM's for C and C++, Python's trace for Python. A
file counts when a line of it ran, and when it is, byte for byte, one of the package's source.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import ClearholdError
from clearhold.scanning import paths as globs
from clearhold.validation import line_coverage
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.line_coverage import Lines, Watch, lines_of_input, merged
from clearhold.validation.recipe import Flavour, Recipe, Side

MOST_INPUTS: Final = 16
MOST_S: Final = 30.0
_MOST_FILES: Final = 4000
_BUILT: Final = "/build/"
_LAID: Final = "/work/src/"


@dataclass(frozen=True, slots=True)
class Reached:
    """The files whose code ran and how many lines of them; `why` says in words why it is not known."""

    files: tuple[str, ...] = ()
    lines: int = 0
    why: str = ""


def reached(
    laboratory: Laboratory,
    recipe: Recipe,
    target: str,
    corpus: Mapping[str, bytes],
    *,
    scope: Sequence[str],
    pulse: Callable[[], None],
) -> Reached:
    """What a sample of the corpus runs, as far as the globs of `scope` name it.

    Raises what `pulse` raises, which is asked between two inputs.
    """
    fuzz = recipe.target(target).fuzz
    flavours = [Flavour.COVERAGE]
    if fuzz is None or not fuzz.binary:
        flavours.insert(
            0, Flavour.PLAIN
        )  # what is Python's own is seen there, its extensions are not
    sample = _sample(corpus)
    until = time.monotonic() + MOST_S
    why = "None of the inputs that were run again was seen to run a line of it."
    for flavour in flavours:
        try:
            build = laboratory.build(recipe, Side.VULNERABLE, flavour=flavour)
            own = laboratory.source_tree(recipe, Side.VULNERABLE)[0][""]
        except ClearholdError as problem:
            why = problem.message
            continue
        native = flavour is Flavour.COVERAGE
        watch = line_coverage.native() if native else line_coverage.python(_modules(build))
        seen: Lines = {}
        for content in sample:
            pulse()
            if time.monotonic() > until:
                break
            seen = merged(seen, _run(laboratory, build, target, content, watch))
        named = {
            path: sum(lines.values())
            for file, lines in seen.items()
            if any(lines.values()) and (path := _in_source(file, build, own))
        }
        within = [path for path in named if any(globs.names(each, path) for each in scope)]
        if within:
            return Reached(tuple(sorted(within)), sum(named[path] for path in within))
    return Reached(why=why)


def _run(laboratory: Laboratory, build: Build, target: str, content: bytes, watch: Watch) -> Lines:
    try:
        return lines_of_input(laboratory, build, target, content, watch)
    except ClearholdError:
        return {}  # one input that cannot be run again says nothing of the others


def _sample(corpus: Mapping[str, bytes]) -> list[bytes]:
    """Inputs of all sizes, the same ones of the same corpus."""
    ordered = sorted(corpus.values(), key=lambda each: (len(each), each))
    step = max(1, len(ordered) // MOST_INPUTS)
    return ordered[::-1][::step][:MOST_INPUTS]


def _modules(build: Build) -> list[str]:
    return [str(each) for each in sorted(build.directory.rglob("*.py"))[:_MOST_FILES]]


def _in_source(file: str, build: Build, own: Path) -> str:
    """The path in the package of a file that was run; empty for one that is not of its source."""
    if file.startswith(_LAID):
        path = file.removeprefix(_LAID)
        return path if ".." not in path and (own / path).is_file() else ""
    if not file.startswith(_BUILT) or ".." in file:
        return ""
    ran = build.directory / file.removeprefix(_BUILT)
    if not ran.is_file():
        return ""
    content = ran.read_bytes()
    parts = Path(file).parts[2:]
    alike = [
        each
        for each in sorted(own.rglob(glob.escape(parts[-1])))[:_MOST_FILES]
        if each.is_file() and not each.is_symlink() and each.read_bytes() == content
    ]
    if not alike:
        return ""

    def shared(path: Path) -> int:
        pairs = zip(reversed(path.parts), reversed(parts), strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), len(parts))

    return str(max(alike, key=shared).relative_to(own))

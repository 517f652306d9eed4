"""Which of its changes are run by the proofs and by benign inputs, on the build with the change.

A change that no proof reaches cannot be why a
proof stops working; one that no input reaches at all has shown nothing of what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from unidiff.patch import Hunk, Line, PatchSet

from clearhold.patches.risk import is_code, is_document
from clearhold.validation import line_coverage
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.diff import Change, Diff
from clearhold.validation.line_coverage import (
    Lines,
    Watch,
    lines_of_input,
    lines_of_tests,
    merged,
    of_paths,
)
from clearhold.validation.recipe import Flavour, Recipe

Inputs = Sequence[tuple[str, bytes]]
"""Targets and what they are given."""

MOST_BENIGN: Final = 24
_NAMED: Final = 20
_PYTHON: Final = frozenset({".py"})
_NODE: Final = frozenset({".js", ".cjs", ".mjs"})
_NATIVE: Final = frozenset({".c", ".cc", ".cpp", ".cxx", ".m", ".y", ".l"})


@dataclass(frozen=True, slots=True)
class Reach:
    """What was seen of the changes, named by file and line.

    `by_tests` are those that the project's tests alone run, `unrun` those that nothing ran, and
    `unseen` those of which no way of measuring tells: declarations, tables and data.
    """

    ways: tuple[str, ...]
    lines: int
    run_by_proofs: int
    by_tests: tuple[str, ...]
    unrun: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """For the verdict."""
        return {
            "measured_by": list(self.ways),
            "lines": self.lines,
            "run_by_proofs": self.run_by_proofs,
            "changes_run_by_tests_alone": list(self.by_tests[:_NAMED]),
            "changes_never_run": list(self.unrun[:_NAMED]),
            "changes_not_measured": list(self.unseen[:_NAMED]),
        }


@dataclass(frozen=True, slots=True)
class Spot:
    """Changed lines that stand together: where it stands, its lines of code, or the line that it was before."""

    path: str
    first: int
    lines: frozenset[int] = field(default=frozenset())

    @property
    def place(self) -> str:
        """File and line, to be shown."""
        return f"{self.path.encode('latin-1').decode('utf-8', 'replace')}:{self.first}"

    def was_run(self, seen: Lines) -> bool | None:
        """Whether the change was run; None when nothing tells."""
        known = seen.get(self.path)
        if known is None:
            return False if seen and _language(self.path) else None
        if self.lines:
            told = [known[each] for each in self.lines if each in known]
        else:
            before = [each for each in known if each < self.first]
            after = [each for each in known if each >= self.first]
            told = [known[each] for each in (*before[-1:], *after[:1])]
        return any(told) if told else None


def changes_run(
    laboratory: Laboratory,
    patched: Callable[[Flavour], Build],
    recipe: Recipe,
    diff: Diff,
    *,
    proofs: Inputs,
    benign: Inputs = (),
) -> Reach | None:
    """What the proofs run of the changes, then benign inputs, then the project's tests.

    Each is asked only for what those before it left. None where this cannot be measured: without
    clang, for a language that no way here knows, or for a diff of several commits to one file,
    whose line numbers are not those of the result.
    """
    changed = [each for change in diff.changes for each in spots(change)]
    if len({change.path for change in diff.changes}) < len(diff.changes):
        return None
    ways = _ways(laboratory, patched, recipe, {each.path for each in changed})
    if ways is None:
        return None
    by_proofs = seen = _seen(laboratory, recipe, ways, proofs)
    if changed and not seen:
        return None
    for one in benign[:MOST_BENIGN]:
        if not _unrun(changed, seen):
            break
        seen = merged(seen, _seen(laboratory, recipe, ways, [one]))
    left = _unrun(changed, seen) if benign else []
    if left:
        seen = merged(seen, _seen_by_tests(laboratory, recipe, ways))
    unrun = _unrun(changed, seen)
    able = [
        (spot.path, line)
        for spot in changed
        for line in spot.lines
        if line in seen.get(spot.path, {})
    ]
    return Reach(
        ways=tuple(way.watch.name for way in ways),
        lines=len(able),
        run_by_proofs=sum(by_proofs.get(path, {}).get(line, False) for path, line in able),
        by_tests=tuple(each.place for each in left if each not in unrun),
        unrun=tuple(each.place for each in unrun),
        unseen=tuple(each.place for each in changed if each.was_run(seen) is None),
    )


def _unrun(spots: Iterable[Spot], seen: Lines) -> list[Spot]:
    return [each for each in spots if each.was_run(seen) is False]


def spots(change: Change) -> Iterable[Spot]:
    """The changes of code in one file; comments and documents are none."""
    if is_document(change.path) or change.deleted:
        return
    for file in PatchSet.from_string(change.canonical.decode("latin-1")):
        for hunk in file:
            for lines in _together(hunk):
                added = [line for line in lines if line.is_added]
                code = frozenset(line.target_line_no or 0 for line in added if is_code(line.value))
                if code:
                    yield Spot(change.path, min(code), code)
                elif any(line.is_removed and is_code(line.value) for line in lines):
                    yield Spot(change.path, _next_line(hunk, lines[-1]))


def _together(hunk: Hunk) -> Iterator[list[Line]]:
    """Changed lines of a hunk that nothing but brackets and comments keeps apart."""
    found: list[Line] = []
    for line in hunk:
        if not line.is_context:
            found.append(line)
        elif found and is_code(line.value):
            yield found
            found = []
    if found:
        yield found


def _next_line(hunk: Hunk, last: Line) -> int:
    """The number, in the file as changed, of the line after a changed one of a hunk."""
    lines = list(hunk)
    before = lines[: lines.index(last) + 1]
    return int(hunk.target_start) + sum(not line.is_removed for line in before)


@dataclass(frozen=True, slots=True)
class _Way:
    """How the lines of some files are seen, on which builds."""

    watch: Watch
    paths: tuple[str, ...]
    build_of: Callable[[Flavour], Build]


def _ways(
    laboratory: Laboratory,
    patched: Callable[[Flavour], Build],
    recipe: Recipe,
    paths: Iterable[str],
) -> tuple[_Way, ...] | None:
    """A way for each language of the changed files; None when one cannot be seen here."""
    hosts = {target.host for target in recipe.targets.values()}
    groups: dict[str, list[str]] = {}
    for path in sorted(paths):
        if kind := _language(path):
            groups.setdefault(kind, []).append(path)
    found = []
    for kind, mine in groups.items():
        if kind == "python" and kind in hosts:
            found.append(_Way(line_coverage.python(mine), tuple(mine), patched))
        elif kind == "node" and kind in hosts:
            found.append(_Way(line_coverage.node(), tuple(mine), patched))
        elif kind == "native" and laboratory.toolchain().has("clang"):
            try:
                patched(Flavour.COVERAGE)
            except BuildFailedError:
                return None
            found.append(_Way(line_coverage.native(), tuple(mine), _always(patched)))
        else:
            return None
    return tuple(found)


def _language(path: str) -> str:
    """Which way tells of a file; none of headers and data, whose lines are nothing that is run."""
    ending = PurePosixPath(path).suffix
    if ending in _PYTHON:
        return "python"
    if ending in _NODE:
        return "node"
    return "native" if ending in _NATIVE else ""


def _always(patched: Callable[[Flavour], Build]) -> Callable[[Flavour], Build]:
    return lambda _: patched(Flavour.COVERAGE)


def _seen(laboratory: Laboratory, recipe: Recipe, ways: Iterable[_Way], inputs: Inputs) -> Lines:
    """What the inputs run of the changed files."""
    found: Lines = {}
    for way in ways:
        for target, content in inputs:
            build = way.build_of(recipe.target(target).flavour)
            lines = lines_of_input(laboratory, build, target, content, way.watch)
            found = merged(found, of_paths(way.paths, lines))
    return found


def _seen_by_tests(laboratory: Laboratory, recipe: Recipe, ways: Iterable[_Way]) -> Lines:
    """What the project's tests run of them; nothing where the recipe names none."""
    found: Lines = {}
    if recipe.tests is None:
        return found
    for way in ways:
        lines = lines_of_tests(laboratory, way.build_of(recipe.tests.flavour), way.watch)
        found = merged(found, of_paths(way.paths, lines))
    return found

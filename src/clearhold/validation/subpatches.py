"""Parts of a diff that can be applied alone, to find out whether it is one fix or several.

A unit is a run of changed lines without context between them; a small diff is cut further, line by
line, where lines were only added or replaced one for one. Parts that make no sense alone do not
build, which does no harm.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from unidiff.patch import Hunk, PatchedFile, PatchSet

_FEW_LINES: Final = 12
_MOST_TRIES: Final = 24


@dataclass(frozen=True, slots=True)
class Unit:
    """Changed lines that stand or fall together: the file, the hunk and the lines within it."""

    file: int
    hunk: int
    lines: frozenset[int]


def units(canonical: bytes) -> tuple[Unit, ...]:
    """The units of a diff in the form that `read_diff` writes, in their order."""
    files = PatchSet.from_string(canonical.decode("latin-1"))
    changed = files.added + files.removed
    found: list[Unit] = []
    for number, file in enumerate(files):
        for place, hunk in enumerate(file):
            for run in _runs(hunk):
                cut = _lines(hunk, run) if changed <= _FEW_LINES else (frozenset(run),)
                found += [Unit(number, place, each) for each in cut]
    return tuple(found)


def part(canonical: bytes, wanted: Collection[Unit]) -> bytes:
    """The diff with the wanted units alone; lines of the others stay as they were."""
    files = PatchSet.from_string(canonical.decode("latin-1"))
    written = ""
    for number, file in enumerate(files):
        hunks = ""
        shift = 0
        for place, hunk in enumerate(file):
            kept = {
                line
                for unit in wanted
                if (unit.file, unit.hunk) == (number, place)
                for line in unit.lines
            }
            if kept:
                text, grown = _hunk(hunk, kept, shift)
                hunks += text
                shift += grown
        if hunks:
            written += _head(file) + hunks
    return written.encode("latin-1")


def is_compound(
    whole: Collection[str], pieces: tuple[Unit, ...], stops: Callable[[tuple[Unit, ...]], set[str]]
) -> bool:
    """Whether some part of a fix stops some, but not all, of what the whole of it stops.

    `whole` names what it stops, `stops` tries a part and may be called a bounded number of times.
    The parts tried are those of delta debugging: halves, quarters and so on, and what is left
    without each of them. A part that does all of the work takes the place of the whole.
    """
    tries = 0
    cut = 2
    while len(pieces) > 1:
        cut = min(cut, len(pieces))
        smaller = None
        for candidate in _candidates(pieces, cut):
            tries += 1
            if tries > _MOST_TRIES:
                return False
            stopped = stops(candidate) & set(whole)
            if stopped and len(stopped) < len(whole):
                return True
            if stopped:
                smaller = candidate
                break
        if smaller is not None:
            pieces, cut = smaller, 2
        elif cut == len(pieces):
            return False
        else:
            cut *= 2
    return False


def _candidates(pieces: tuple[Unit, ...], cut: int) -> Iterator[tuple[Unit, ...]]:
    bounds = [len(pieces) * each // cut for each in range(cut + 1)]
    chunks = [pieces[low:high] for low, high in itertools.pairwise(bounds) if low < high]
    yield from chunks
    if cut > 2:
        for left_out in chunks:
            yield tuple(each for each in pieces if each not in left_out)


def _runs(hunk: Hunk) -> Iterator[list[int]]:
    run: list[int] = []
    for number, line in enumerate(hunk):
        if line.is_added or line.is_removed or (run and not line.is_context):
            run.append(number)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _lines(hunk: Hunk, run: list[int]) -> Iterable[frozenset[int]]:
    removed = [number for number in run if hunk[number].is_removed]
    added = [number for number in run if hunk[number].is_added]
    if not removed:
        return [frozenset((number,)) for number in added]
    if len(removed) == len(added):
        return [frozenset(pair) for pair in zip(removed, added, strict=True)]
    return [frozenset(run)]


def _hunk(hunk: Hunk, kept: set[int], shift: int) -> tuple[str, int]:
    lines = []
    before = after = 0
    for number, line in enumerate(hunk):
        sign = line.line_type
        if sign in {"+", "-"} and number not in kept:
            if sign == "+":
                continue
            sign = " "
        before += sign in {" ", "-"}
        after += sign in {" ", "+"}
        lines.append(
            f"{sign}{line.value}" if line.value.endswith("\n") else f"{sign}{line.value}\n"
        )
    start = hunk.source_start
    head = f"@@ -{start},{before} +{max(start + shift, 0)},{after} @@\n"
    return head + "".join(lines), after - before


def _head(file: PatchedFile) -> str:
    return f"--- {file.source_file}\n+++ {file.target_file}\n"

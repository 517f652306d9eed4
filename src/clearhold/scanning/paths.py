"""Path globs, and whether two of them can name the same file.

A glob is a relative path whose parts may hold `*` (any characters of one part) and `?` (one
character of one part); a part that is `**` alone stands for any number of parts, none included. A
trailing slash means everything below. There are no character classes, so the question whether two
globs share a path is decided exactly: both are run against each other as automata, one position
set at a time, held in the bits of one integer.
"""

from __future__ import annotations

import functools
from typing import Final

from clearhold.kernel.errors import InvalidError

MAX_LENGTH: Final = 128
EVERYTHING: Final = "**"
_FORBIDDEN: Final = frozenset("[]{}\\!")


def normal(glob: str) -> str:
    """The glob in its one spelling; raises `InvalidError` when it is none."""
    text = glob.removeprefix("./")
    if text.endswith("/"):
        text += EVERYTHING
    parts = text.split("/")
    wrong = (
        not text
        or len(text) > MAX_LENGTH
        or not text.isprintable()
        or not _FORBIDDEN.isdisjoint(text)
        or any(part in {"", ".", ".."} for part in parts)
        or any("**" in part and part != EVERYTHING for part in parts)
    )
    if wrong:
        raise InvalidError(
            f"{glob[:80]!a} is not a path glob.",
            next_step="Write a relative path with *, ? or ** as a part, as lib/**/*.c; "
            f"at most {MAX_LENGTH} characters.",
        )
    kept = [
        part for n, part in enumerate(parts) if part != EVERYTHING or parts[n - 1 : n] != ["**"]
    ]
    return "/".join(kept)


@functools.lru_cache(maxsize=16384)
def meet(a: str, b: str) -> bool:
    """Whether some path is named by both globs, given in their normal spelling."""
    left, right = tuple(a.split("/")), tuple(b.split("/"))
    return _meet(
        [part == EVERYTHING for part in left],
        [part == EVERYTHING for part in right],
        [
            sum(
                1 << n
                for n, other in enumerate(right)
                if EVERYTHING not in {part, other} and names_meet(part, other)
            )
            for part in left
        ],
    )


def names(glob: str, path: str) -> bool:
    """Whether a glob, in its normal spelling, names a file.

    A path that looks like a glob itself, or is none, is in everything alone.
    """
    if glob == EVERYTHING:
        return True
    odd = any(part in {"", ".", ".."} for part in path.split("/"))
    return not odd and not {"*", "?"} & {*path} and meet(path, glob)


def normal_name(glob: str) -> str:
    """A function's name or glob in its one spelling; raises `InvalidError` when it is none.

    It is one part whatever it holds, slashes and colons included, with `*` and `?` as in a part.
    """
    if not glob or len(glob) > MAX_LENGTH or not glob.isprintable() or glob != glob.strip():
        raise InvalidError(
            f"{glob[:80]!a} is not a function's name.",
            next_step=f"Write a name as parse_header, or a glob as parse_*; at most {MAX_LENGTH} "
            "characters.",
        )
    while "**" in glob:
        glob = glob.replace("**", "*")
    return glob


@functools.lru_cache(maxsize=65536)
def names_meet(a: str, b: str) -> bool:
    """Whether some name is named by both one-part globs."""
    if not {"*", "?"} & {*a, *b}:
        return a == b
    return _meet(
        [char == "*" for char in a],
        [char == "*" for char in b],
        [
            sum(
                1 << n
                for n, other in enumerate(b)
                if "*" not in {char, other} and (char == other or "?" in {char, other})
            )
            for char in a
        ],
    )


def _meet(left_stars: list[bool], right_stars: list[bool], steps: list[int]) -> bool:
    """Whether two sequences with wildcards have an instance in common.

    Bit n of `steps[m]` says that the plain tokens m of the left and n of the right agree on
    something. `row` holds the places in the right sequence that can be reached together with the
    present place in the left one.
    """
    stars = sum(1 << n for n, star in enumerate(right_stars) if star)
    full = (1 << len(right_stars) + 1) - 1
    row = _past_stars(1, stars)
    for star, step in zip(left_stars, steps, strict=True):
        if star:
            # from the lowest place on, whatever stands on the right can be swallowed
            row = full & ~((row & -row) - 1)
        else:
            row = _past_stars(((row & step) << 1) | (row & stars), stars)
        if not row:
            return False
    return bool(row >> len(right_stars) & 1)


def _past_stars(row: int, stars: int) -> int:
    """`row` with the places added that lie behind a star, which may stand for nothing."""
    while (more := row | ((row & stars) << 1)) != row:
        row = more
    return row

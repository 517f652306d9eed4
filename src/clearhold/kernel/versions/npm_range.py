"""Ranges of versions as package.json writes them (node-semver's grammar of ranges).

A range is alternatives (`||`) of sets of comparators, with carets, tildes, wildcards and hyphens.
A pre-release fits only a set that names a pre-release of the same three numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.versions import semver

_MOST: Final = 2000
_COMPARATOR: Final = re.compile(
    r"(?P<how>\^|~>?|>=|<=|>|<|=)?\s*v?(?P<major>[0-9]+|[xX*])(?:\.(?P<minor>[0-9]+|[xX*]))?"
    r"(?:\.(?P<patch>[0-9]+|[xX*]))?(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?(?=\s|$)"
)


class _Bound(NamedTuple):
    """`how` is one of `>=`, `>`, `<`, `<=` and `=`; what follows is a full version."""

    how: str
    version: str


def newest(versions: list[str], stated: str) -> str | None:
    """The newest of the versions that lies in the range, or None. Raises as `contains` does."""
    fitting = [each for each in versions if contains(stated, each)]
    return max(fitting, key=semver.SCHEME.key, default=None)


def contains(stated: str, version: str) -> bool:
    """Whether `version` lies in the range; raises `InvalidError` for what is no range."""
    if len(stated) > _MOST:
        raise _unreadable(stated)
    try:
        semver.SCHEME.key(version)
    except InvalidError:
        return False
    return any(_all(list(_bounds(each.strip())), version) for each in stated.split("||"))


def _all(bounds: list[_Bound], version: str) -> bool:
    key = semver.SCHEME.key
    mine = key(version)
    core, _, pre = version.partition("+")[0].partition("-")
    if pre and not any(
        "-" in each.version and each.version.partition("-")[0] == core and not _open(each)
        for each in bounds
    ):
        return False
    told = {
        ">=": lambda bound: mine >= bound,
        ">": lambda bound: mine > bound,
        "<": lambda bound: mine < bound,
        "<=": lambda bound: mine <= bound,
        "=": lambda bound: mine == bound,
    }
    return all(told[each.how](key(each.version)) for each in bounds)


def _open(bound: _Bound) -> bool:
    """Whether an upper bound only shuts out pre-releases of what lies beyond."""
    return bound.version.endswith("-0") and bound.how == "<"


def _bounds(stated: str) -> Iterator[_Bound]:
    if hyphen := re.fullmatch(r"(\S+)\s+-\s+(\S+)", stated):
        yield from _bounds(f">={hyphen[1]}")
        yield from _bounds(f"<={hyphen[2]}")
        return
    place = 0
    while place < len(stated):
        found = _COMPARATOR.match(stated, place)
        if found is None:
            raise _unreadable(stated)
        yield from _of(found)
        place = found.end()
        while place < len(stated) and stated[place].isspace():
            place += 1


def _of(found: re.Match[str]) -> Iterator[_Bound]:
    how = (found["how"] or "=").replace("~>", "~")
    given = [found[name] for name in ("major", "minor", "patch")]
    numbers: list[int] = []
    for each in given:
        if each is None or each in "xX*":
            break
        numbers.append(int(each))
    if not numbers:
        if how in {"<", ">"}:
            yield _Bound("<", "0.0.0-0")
        return
    low = ".".join(map(str, [*numbers, 0, 0][:3]))
    full = len(numbers) == len(given)
    if full and found["pre"]:
        low = f"{low}-{found['pre']}"
    kept = len(numbers) - 1
    if how in {"^", "~"} or (how == "=" and not full):
        place = {"^": _first(numbers), "~": min(1, kept), "=": kept}[how]
        yield _Bound(">=", low)
        yield _Bound("<", _after(numbers, place))
    elif full:
        yield _Bound(how, low)
    else:
        after = _after(numbers, kept)
        yield {
            ">": _Bound(">=", after.removesuffix("-0")),
            ">=": _Bound(">=", low),
            "<": _Bound("<", f"{low}-0"),
            "<=": _Bound("<", after),
        }[how]


def _first(numbers: list[int]) -> int:
    """The place that a caret keeps: the first number that is not nought, or the last given."""
    return next((place for place, each in enumerate(numbers) if each), len(numbers) - 1)


def _after(numbers: list[int], place: int) -> str:
    raised = [*numbers[:place], numbers[place] + 1, 0, 0][:3]
    return ".".join(map(str, [*raised, 0, 0][:3])) + "-0"


def _unreadable(stated: str) -> InvalidError:
    return InvalidError(
        f"{stated[:80]!a} is no range of npm versions.", next_step="Check the package's metadata."
    )

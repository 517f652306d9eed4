"""Names of functions as they are compared: without what compilers and tools add to them.

One pass over the characters; brackets that do not pair are taken as they come. Mangled names are
read as far as the Itanium C++ ABI's nested names and Rust's legacy scheme go; a name that is not
understood is left as it is.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_NAME: Final = 300
_SUFFIX: Final = re.compile(
    r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|warm|clone)(?:\.[0-9]+)*"
)
_RUST_HASH: Final = re.compile(r"::h[0-9a-f]{16}$")
_ABI: Final = re.compile(r"\b(?:__1|__ndk1|__cxx11|_GLIBCXX_DEBUG)::")
_ABI_TAG: Final = re.compile(r"\[abi:[^\]]*\]")
_LAMBDA: Final = re.compile(
    r"\{lambda|\$_[0-9]+|\{\{closure\}\}|\{closure[^}]*\}"
    r"|\$\$Lambda[$/0-9a-fA-Fx]*|\{\{constructor\}\}|#[0-9]{1,6}\}"
)
_ANONYMOUS: Final = re.compile(r"\(anonymous (?:namespace|class)\)(?:::)?")
_OPERATOR: Final = re.compile(r"operator ?(?:<=>|<<=|>>=|<<|>>|<=|>=|->\*|->|<|>|\(\)|\[\])")
_INLINED: Final = re.compile(r"^\((?:inlined|BuildId)[^)]*\) ?")
_OPEN: Final = frozenset("<(")
_DIGITS: Final = "0123456789"
_MOST_DIGITS: Final = 4
_STRUCTORS: Final = frozenset({"C1", "C2", "C3", "D0", "D1", "D2"})


def normalised(name: str) -> str:
    """A function's name for comparison; empty when nothing is left of it."""
    name = name[:LONGEST_NAME].strip()
    if name.startswith(("_Z", "__Z", "_R")):
        name = demangled(name)
    name = _INLINED.sub("", name)
    name = _OPERATOR.sub("operator_", _ABI_TAG.sub("", name))
    name = _LAMBDA.sub("", _without_brackets(_ANONYMOUS.sub("", name)))
    name = _RUST_HASH.sub("", _SUFFIX.sub("", _ABI.sub("", name)))
    words = name.replace(" const", "").split()
    name = words[-1] if words else ""
    while "::::" in name:
        name = name.replace("::::", "::")
    return name.strip("*&:;,.?~-[]{}$ ")


def _without_brackets(name: str) -> str:
    kept: list[str] = []
    depth = 0
    for character in name:
        if character in _OPEN:
            depth += 1
        elif character in (">", ")"):
            depth = max(depth - 1, 0)
        elif depth == 0:
            kept.append(character)
    return "".join(kept)


def demangled(name: str) -> str:
    """The path of a mangled name, as `a::b::c`; the name itself when it is not understood."""
    start = name.lstrip("_")
    if not start.startswith("Z"):
        return name
    rest = start[1:]
    parts = _parts(rest.lstrip("N").lstrip("KVrRO"), nested=rest.startswith("N"))
    kept = [part for part in parts if not _is_rust_hash(part) and not part.startswith("_GLOBAL__N")]
    return "::".join(kept) or name


def _parts(rest: str, *, nested: bool) -> list[str]:
    parts: list[str] = []
    place = 0
    while place < len(rest):
        two = rest[place : place + 2]
        if rest[place] in _DIGITS:
            after = _after_name(rest, place)
            parts.append(rest[place:after].lstrip(_DIGITS))
            place = after
            if not nested:
                break
        elif two == "St":
            parts.append("std")
            place += 2
        elif two[0] == "I":
            place = _after_arguments(rest, place)
        elif two[0] == "L":
            place += 1
        elif two in _STRUCTORS and parts:
            parts.append(parts[-1])
            place += 2
        else:
            break
    return parts


def _after_name(rest: str, place: int) -> int:
    """Where the name ends whose length stands at `place`."""
    end = place
    while end < len(rest) and rest[end] in _DIGITS and end - place < _MOST_DIGITS:
        end += 1
    return end + int(rest[place:end])


def _after_arguments(rest: str, place: int) -> int:
    depth = 0
    while place < len(rest):
        character = rest[place]
        if character in _DIGITS:
            place = _after_name(rest, place)
            continue
        if character in "INXJ":
            depth += 1
        elif character == "E":
            depth -= 1
            if depth == 0:
                return place + 1
        place += 1
    return place


def _is_rust_hash(part: str) -> bool:
    return len(part) == 17 and part[0] == "h" and all(c in "0123456789abcdef" for c in part[1:])

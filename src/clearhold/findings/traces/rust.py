"""Panics of Rust with their backtraces, as the standard library prints them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path
from clearhold.findings.traces.names import normalised

_PANIC: Final = re.compile(r"^thread '.{0,200}?' (?:\([0-9]{1,10}\) )?panicked at (.{1,1000})$")
_FRAME: Final = re.compile(r"^\s{1,6}([0-9]{1,4}): (?:0x[0-9a-f]{1,16} - )?(.{1,1000})$")
_PLACE: Final = re.compile(r"^\s{6,40}at (\S{1,600}?):([0-9]{1,8})(?::[0-9]{1,8})?\s*$")
_WHERE: Final = re.compile(r"(\S{1,500}\.rs):([0-9]{1,8})(?::[0-9]{1,8})?:?$")
_KINDS: Final = (
    ("index out of bounds", "index-out-of-bounds"),
    ("out of range for slice", "slice-bounds-out-of-range"),
    ("out of range for str", "slice-bounds-out-of-range"),
    ("byte index", "slice-bounds-out-of-range"),
    ("unwrap()` on a `None`", "unwrap-none"),
    ("unwrap()` on an `Err`", "unwrap-error"),
    ("attempt to divide by zero", "division-by-zero"),
    ("with overflow", "integer-overflow"),
    ("already borrowed", "borrow"),
    ("already mutably borrowed", "borrow"),
    ("capacity overflow", "allocation-size-too-big"),
    ("unreachable code", "unreachable"),
    ("assertion", "assertion"),
)


def read(lines: Sequence[str]) -> Trace | None:
    """The panic in `lines`, or None."""
    for number, line in enumerate(lines):
        found = _PANIC.match(line)
        if found:
            return _panic(found[1], lines[number + 1 : number + 2000])
    return None


def _panic(told: str, lines: Sequence[str]) -> Trace:
    message = f"{told} {lines[0] if lines else ''}"
    kind = next((name for mark, name in _KINDS if mark in message), "panic")
    frames: list[Frame] = []
    for line in lines:
        named = _FRAME.match(line)
        if named:
            if frames and int(named[1]) == 0:
                break
            frames.append(Frame(_path(named[2])))
            continue
        place = _PLACE.match(line)
        if place and frames:
            frames[-1] = Frame(frames[-1].function, short_path(place[1]), int(place[2]))
        elif frames and not line.strip():
            break
    own = tuple(frame for frame in frames if frame.function and not runtimes.rust(frame))
    if not own:
        where = _WHERE.search(told)
        if where:
            own = (Frame(short_path(where[1]), short_path(where[1]), int(where[2])),)
    return Trace("rust", kind, frames=own).bounded()


def _path(name: str) -> str:
    name = name.strip()
    if name.startswith("<") and " as " in name:  # <a::B as c::D>::f is a::B::f
        head, _, tail = name[1:].partition(" as ")
        name = f"{head}::{tail.rpartition('>::')[2]}"
    elif name.startswith("<"):
        name = name[1:].replace(">::", "::", 1)
    return normalised(name)

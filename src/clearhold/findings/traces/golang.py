"""Panics and fatal errors of Go: the first goroutine printed is the one that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path

_PANIC: Final = re.compile(r"^(?:panic|fatal error): (.{1,200})")
_GOROUTINE: Final = re.compile(r"^goroutine [0-9]{1,9} .{0,20}\[")
_PLACE: Final = re.compile(r"^\s{1,8}(\S{1,500}\.(?:go|s|c)):([0-9]{1,8})")
_CLOSURE: Final = re.compile(r"(?:\.func[0-9]+|\.[0-9]+|\.deferwrap[0-9]+|-fm)+$")
_KINDS: Final = (
    ("index out of range", "index-out-of-range"),
    ("slice bounds out of range", "slice-bounds-out-of-range"),
    ("nil pointer dereference", "nil-dereference"),
    ("nil map", "nil-map-write"),
    ("integer divide by zero", "division-by-zero"),
    ("makeslice", "allocation-size-too-big"),
    ("out of memory", "out-of-memory"),
    ("stack overflow", "stack-overflow"),
    ("goroutine stack exceeds", "stack-overflow"),
    ("concurrent map", "data-race"),
    ("all goroutines are asleep", "deadlock"),
    ("interface conversion", "bad-cast"),
)


def read(lines: Sequence[str]) -> Trace | None:
    """The panic in `lines`, or None."""
    for number, line in enumerate(lines):
        found = _PANIC.match(line)
        if found:
            kind = next((name for mark, name in _KINDS if mark in found[1]), "panic")
            frames = _goroutine(lines[number + 1 : number + 2000])
            return Trace("go", kind, frames=frames).bounded() if frames is not None else None
    return None


def _goroutine(lines: Sequence[str]) -> tuple[Frame, ...] | None:
    frames: list[Frame] = []
    begun = False
    name = ""
    for line in lines:
        if _GOROUTINE.match(line):
            if begun:
                break
            begun = True
        elif begun:
            place = _PLACE.match(line)
            if place and name:
                frames.append(Frame(name, short_path(place[1]), int(place[2])))
                name = ""
            elif not line.strip():
                break
            else:
                name = "" if line.startswith("created by") else _named(line)
    return tuple(frame for frame in frames if not runtimes.go(frame)) if begun else None


def _named(line: str) -> str:
    # The arguments stand in the last brackets; receivers stand in brackets too.
    stop = line.rfind("(")
    name = line[:stop] if stop > 0 else line
    name = name.partition("[")[0]
    tail = name.rpartition("/")[2]
    return _CLOSURE.sub("", tail.replace("(*", "").replace("(", "").replace(")", "")).strip()

"""Traces of the sanitizers, libFuzzer and gdb, and the crash states that ClusterFuzz publishes.

The first stack is the fault's; stacks of where memory was allocated or freed follow it and are
not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path
from clearhold.findings.traces.names import normalised

_HEAD: Final = re.compile(
    r"(?:ERROR|WARNING): ?(Address|Memory|Leak|Thread|HWAddress|UndefinedBehavior)Sanitizer: ?(.{1,200})"
)
_LIBFUZZER: Final = re.compile(r"ERROR: libFuzzer: ([a-z][a-z -]{0,40})")
_UNDEFINED: Final = re.compile(
    r"^(\S{1,400}?):([0-9]{1,7}):(?:[0-9]{1,6}:)? runtime error: (.{1,200})"
)
_ACCESS: Final = re.compile(
    r"(?:^|[^a-z])(READ|WRITE|[Rr]ead|[Ww]rite)(?: of size ([0-9]{1,9})|\s+memory access)"
)
_FRAME: Final = re.compile(r"^\s{0,20}#([0-9]{1,4})\s{1,4}(.{1,1900})$")
_ADDRESS: Final = re.compile(r"^0x[0-9a-fA-F]{1,16}\s+(?:in\s+)?")
_MODULE: Final = re.compile(r"\((?:BuildId: [^)]*|(?>[^()\s]*?\+0x[0-9a-fA-F])[^()]*+)\)")
_PLACE: Final = re.compile(
    r"((?:[A-Za-z]:)?[^\s():]{1,600}\.[A-Za-z0-9_+]{1,6}):([0-9]{1,7})(?::[0-9]{1,6})?"
)
_SIGNAL: Final = re.compile(r"(?:received|terminated with) signal (SIG[A-Z]{2,8})")
_STATE: Final = re.compile(r"^Crash type: ?(.{1,120})$")
_KINDS: Final = (
    ("out of bounds", "index-out-of-bounds"),
    ("signed integer overflow", "integer-overflow"),
    ("unsigned integer overflow", "integer-overflow"),
    ("division by zero", "division-by-zero"),
    ("null pointer", "null-dereference"),
    ("misaligned", "misaligned-address"),
    ("shift exponent", "undefined-shift"),
    ("left shift", "undefined-shift"),
    ("outside the range of representable", "float-cast-overflow"),
    ("not a valid value for type", "invalid-value"),
    ("does not point to an object of type", "bad-cast"),
    ("incorrect function type", "incorrect-function-pointer-type"),
    ("variable length array", "non-positive-vla-bound"),
    ("pointer index", "pointer-overflow"),
    ("applying", "pointer-overflow"),
)


def read(lines: Sequence[str]) -> Trace | None:
    """The first fault in `lines`, or None when there is none of these tools."""
    return _crash_state(lines) or _report(lines) or _debugger(lines)


def _report(lines: Sequence[str]) -> Trace | None:
    for number, line in enumerate(lines):
        found = _HEAD.search(line)
        if found:
            tool = found[1].lower() + "-sanitizer"
            return _following(lines, number, tool, _kind(found[2]))
        found = _LIBFUZZER.search(line)
        if found:
            return _following(lines, number, "libfuzzer", found[1].strip().replace(" ", "-"))
        found = _UNDEFINED.match(line)
        if found:
            trace = _following(lines, number, "undefined-sanitizer", _undefined(found[3]))
            if trace.frames:
                return trace
            place = Frame(short_path(found[1]), short_path(found[1]), int(found[2]))
            return Trace(trace.tool, trace.kind, frames=(place,))
    return None


def _kind(told: str) -> str:
    told = told.strip()
    for mark in (" on ", " (", ": ", " in ", "\t"):
        told = told.partition(mark)[0]
    told = told.removeprefix("attempting ")
    if told.startswith("detected memory leak"):
        return "memory-leak"
    if told.startswith("requested allocation size"):
        return "allocation-size-too-big"
    return "-".join(told.lower().split()[:4])[:60]


def _undefined(message: str) -> str:
    return next((kind for mark, kind in _KINDS if mark in message), "undefined-behaviour")


def _following(lines: Sequence[str], start: int, tool: str, kind: str) -> Trace:
    access, size = "", 0
    frames: list[Frame] = []
    begun = False
    for line in lines[start : start + 400]:
        if not begun and not access:
            found = _ACCESS.search(line)
            if found:
                access, size = found[1].lower(), int(found[2] or 0)
        told = _FRAME.match(line)
        if told is None:
            if begun and not line.strip():
                break
            continue
        if begun and int(told[1]) == 0:
            break
        begun = True
        frames.append(_frame(told[2]))
    return Trace(tool, kind, access, size, _own(frames)).bounded()


def _frame(told: str) -> Frame:
    rest = _ADDRESS.sub("", told.strip(), count=1)
    rest = _MODULE.sub("", rest).strip()
    function, path, line = rest, "", 0
    head, _, tail = rest.rpartition(" ")
    placed = _PLACE.fullmatch(tail)
    if placed:
        function, path, line = head.removesuffix(" at"), placed[1], int(placed[2])
    elif head and "/" in tail and "(" not in tail:
        function, path = head.removesuffix(" from"), tail
    return Frame(normalised(function), short_path(path), line)


def _own(frames: list[Frame]) -> tuple[Frame, ...]:
    named = [frame for frame in frames if frame.function]
    return tuple(frame for frame in named if not runtimes.native(frame))


def _debugger(lines: Sequence[str]) -> Trace | None:
    signal = ""
    frames: list[Frame] = []
    for line in lines:
        found = _SIGNAL.search(line)
        if found and not signal:
            signal = found[1].lower()
        told = _FRAME.match(line)
        if told is None:
            continue
        if frames and int(told[1]) == 0:
            break
        frames.append(_frame(told[2]))
    if not frames:
        return None
    return Trace("debugger", signal or "stack", frames=_own(frames)).bounded()


def _crash_state(lines: Sequence[str]) -> Trace | None:
    for number, line in enumerate(lines):
        found = _STATE.match(line.strip())
        if found is None:
            continue
        words = found[1].split()
        access = next((w.lower() for w in words if w in ("READ", "WRITE")), "")
        size = int(words[-1]) if words[-1].isascii() and words[-1].isdigit() else 0
        ended = [w for w in words if w not in ("READ", "WRITE", "{*}") and not w.isdigit()]
        frames = []
        begun = False
        for each in lines[number + 1 : number + 12]:
            told = each.strip()
            if told == "Crash state:":
                begun = True
            elif not told or told.startswith("```"):
                break
            elif begun:
                frames.append(Frame(normalised(told) or told))
        kept = _own(frames) or tuple(frames)
        return Trace("crash-state", "-".join(ended).lower()[:60], access, size, kept).bounded()
    return None

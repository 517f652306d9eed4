"""Errors of JavaScript: V8's `at f (file:1:2)`, and Firefox's and Safari's `f@file:1:2`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path

_V8: Final = re.compile(r"^\s{1,20}at (.{1,1000})$")
_PLACE: Final = re.compile(r"^(.*?):([0-9]{1,8}):[0-9]{1,8}$")
_FIREFOX: Final = re.compile(r"^([^@\s]{0,200})@(\S{1,900}):([0-9]{1,8}):[0-9]{1,8}$")
_ERROR: Final = re.compile(r"^(?:Uncaught |\[?)([A-Z][A-Za-z]{0,60}(?:Error|Exception))\b")
_NOISE: Final = ("async ", "new ", "Object.", "Module.", "Function.", "process.")


def read(lines: Sequence[str]) -> Trace | None:
    """The first error with a stack in `lines`, or None."""
    kind = ""
    frames: list[Frame] = []
    for line in lines:
        frame = _frame(line)
        if frame is not None:
            frames.append(frame)
        elif frames:
            break
        else:
            found = _ERROR.match(line.strip())
            kind = found[1] if found else kind
    if not frames:
        return None
    own = tuple(each for each in frames if each.function and not runtimes.javascript(each))
    return Trace("javascript", kind or "error", frames=own).bounded()


def _frame(line: str) -> Frame | None:
    told = _V8.match(line)
    if told:
        name, bracket, place = told[1].rstrip().rpartition(" (")
        if bracket and place.endswith(")"):
            return _placed(name, place[:-1])
        found = _placed("", told[1].strip())
        return found if found.line else None
    told = _FIREFOX.match(line.strip())
    return None if told is None else _placed(told[1], f"{told[2]}:{told[3]}:0")


def _placed(name: str, place: str) -> Frame:
    place = place.rpartition("(")[2].rstrip(")") if name.startswith("eval") else place
    found = _PLACE.match(place)
    path, line = (found[1], int(found[2])) if found else (place, 0)
    scheme, mark, rest = path.partition("://")
    if mark and scheme in ("file", "http", "https", "webpack", "resource"):
        path = rest.partition("?")[0]
    name = name.partition(" [as ")[0].strip()
    for noise in _NOISE:
        name = name.removeprefix(noise)
    name = name.replace("<anonymous>", "").strip("./<")
    path = path if path.startswith(("node:", "internal/", "native")) else short_path(path)
    return Frame(name or path, path, line)

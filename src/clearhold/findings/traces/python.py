"""Tracebacks of Python: the innermost call stands last; of chained ones the first is the cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path

_HEAD: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(
    r'^\s{1,40}(?:\| *)?File "([^"]{1,500})", line ([0-9]{1,8}), in (.{1,200})$'
)
_ERROR: Final = re.compile(r"^(?:\s*\|? *)([A-Za-z_][\w.]{0,150})(?::|$)")


def read(lines: Sequence[str]) -> Trace | None:
    """The first traceback in `lines`, or None."""
    for number, line in enumerate(lines):
        if line.strip(" |+-").startswith(_HEAD):
            return _traceback(lines[number + 1 : number + 2000])
    return None


def _traceback(lines: Sequence[str]) -> Trace | None:
    frames: list[Frame] = []
    kind = ""
    for line in lines:
        told = _FRAME.match(line)
        if told:
            name = told[3].replace("<locals>.", "").strip("<>")
            frames.append(Frame(name, short_path(told[1]), int(told[2])))
        elif frames and line and not line[0].isspace():
            found = _ERROR.match(line)
            kind = found[1].rpartition(".")[2] if found else ""
            break
    if not frames:
        return None
    own = tuple(frame for frame in reversed(frames) if not runtimes.python(frame))
    return Trace("python", kind or "exception", frames=own).bounded()

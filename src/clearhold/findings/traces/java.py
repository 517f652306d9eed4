"""Exceptions of the JVM: the innermost `Caused by` is the cause; what was suppressed is passed over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clearhold.findings.traces import runtimes
from clearhold.findings.traces.model import Frame, Trace, short_path

_FRAME: Final = re.compile(
    r"^(\s{0,40})at ((?:[\w.$@-]{0,200}/){0,3}[\w.$<>-]{1,500})\(([^()]{0,200})\)"
)
_HEAD: Final = re.compile(
    r'^(?:Exception in thread "[^"]{0,100}" |== Java Exception: )?([\w.$]{1,300})(?::|\s|$)'
)
_FAULTS: Final = ("Exception", "Error", "Issue", "Throwable", "ThreadDeath")
_CAUSE: Final = re.compile(r"^(\s{0,40})Caused by: ([\w.$]{1,300})")
_SUPPRESSED: Final = re.compile(r"^(\s{0,40})Suppressed: ")
_LAMBDA: Final = re.compile(r"\$\$Lambda[$/0-9a-fA-Fx.]*|lambda\$|\$[0-9]+(?=\.|$)|\$[0-9]+\b")


def read(lines: Sequence[str]) -> Trace | None:
    """The cause of the first exception in `lines`, or None."""
    kind = ""
    frames: list[Frame] = []
    passed: int | None = None  # how far in the suppressed exception stands that is passed over
    for line in lines:
        suppressed = _SUPPRESSED.match(line)
        if suppressed:
            passed = len(suppressed[1]) if passed is None else passed
            continue
        cause = _CAUSE.match(line)
        if cause:
            if passed is not None and len(cause[1]) >= max(passed, 1):
                continue
            passed, kind, frames = None, cause[2], []
            continue
        told = _FRAME.match(line)
        if told:
            if passed is None:
                frames.append(_frame(told[2], told[3]))
            continue
        head = _HEAD.match(line.strip())
        if head and not frames and passed is None and _names_fault(head[1]):
            kind = head[1]
        elif frames and line.strip() and not line.lstrip().startswith(("...", "at ")):
            break
    if not frames:
        return None
    own = tuple(frame for frame in frames if not runtimes.java(frame))
    return Trace("java", kind.rpartition(".")[2] or "exception", frames=own).bounded()


def _names_fault(name: str) -> bool:
    return any(mark in name.rpartition(".")[2] for mark in _FAULTS)


def _frame(name: str, place: str) -> Frame:
    path, _, line = place.partition(":")
    bare = name if name.startswith("java.") else name.rpartition("/")[2]
    bare = _LAMBDA.sub("", bare)
    number = int(line[:8]) if line[:8].isascii() and line[:8].isdigit() else 0
    return Frame(
        bare, short_path(path) if path.endswith((".java", ".kt", ".scala")) else "", number
    )

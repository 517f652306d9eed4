"""What a sanitizer or a runtime prints when a program fails, as far as a report needs it.

The form of the text is all that is looked at. Whether any of it happened is for validation to find
out, by running the proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from clearhold.wire.finding_json import ClaimKind

MAX_LOG = 4 * 1024 * 1024
_SANITIZER: Final = re.compile(
    r"^.{0,40}(?:ERROR|WARNING|SUMMARY|DEADLYSIGNAL)?:? ?"
    r"((?:Address|Memory|Thread|Leak|UndefinedBehavior|HWAddress|KFENCE)Sanitizer|libFuzzer): "
    r"([A-Za-z0-9_-]{1,60}[^\n]{0,200})",
    re.MULTILINE,
)
_UBSAN: Final = re.compile(
    r"^([^\s:]{1,300}:\d+(?::\d+)?): runtime error: ([^\n]{1,200})", re.MULTILINE
)
_PANIC: Final = re.compile(
    r"^(?:thread '[^'\n]{0,80}' panicked at|panic: )([^\n]{0,200})", re.MULTILINE
)
_JAVA: Final = re.compile(r"^Exception in thread \"[^\"\n]{0,80}\" ([\w.$]{1,200})", re.MULTILINE)
_PYTHON: Final = re.compile(r"^Traceback \(most recent call last\):\s*$", re.MULTILINE)
_PYTHON_END: Final = re.compile(
    r"^([A-Za-z_][\w.]{0,120}(?:Error|Exception|Exit|Interrupt)\b[^\n]{0,200})", re.MULTILINE
)
_NATIVE: Final = re.compile(
    r"^[ \t]*#(\d{1,3}) +(?:0x[0-9a-fA-F]+ +)?(?:in +)?([^\n]{1,400})$", re.MULTILINE
)
_PYTHON_FRAME: Final = re.compile(
    r'^ {2}File "[^"\n]{0,300}", line \d+, in ([^\n]{1,200})$', re.MULTILINE
)
_JAVA_FRAME: Final = re.compile(r"^[ \t]+at ([\w.$<>/]{1,300})\(", re.MULTILINE)
_WEAKNESSES: Final = {
    "heap-buffer-overflow": "CWE-122",
    "stack-buffer-overflow": "CWE-121",
    "global-buffer-overflow": "CWE-787",
    "container-overflow": "CWE-787",
    "dynamic-stack-buffer-overflow": "CWE-121",
    "heap-use-after-free": "CWE-416",
    "stack-use-after-return": "CWE-562",
    "stack-use-after-scope": "CWE-416",
    "double-free": "CWE-415",
    "attempting double-free": "CWE-415",
    "stack-overflow": "CWE-674",
    "use-of-uninitialized-value": "CWE-457",
    "data race": "CWE-362",
    "detected memory leaks": "CWE-401",
    "out-of-memory": "CWE-770",
    "timeout": "CWE-835",
}


@dataclass(frozen=True, slots=True)
class FailureLog:
    """What failed and where: one line, the claim it amounts to, and the frames, innermost first."""

    summary: str
    kind: ClaimKind
    weakness: str
    frames: tuple[str, ...]


def read(text: str) -> FailureLog | None:
    """The first failure that `text` reports; None when it reports none."""
    text = text[:MAX_LOG]
    found = _SANITIZER.search(text)
    if found is not None:
        said = f"{found[1]}: {found[2].strip()}"
        weakness = next((cwe for word, cwe in _WEAKNESSES.items() if word in said), "")
        return FailureLog(said, _kind(said), weakness, _native(text[found.start() :]))
    for pattern, frames in (
        (_UBSAN, _native),
        (_PANIC, _native),
        (_JAVA, _java),
    ):
        found = pattern.search(text)
        if found is not None:
            return FailureLog(found[0].strip(), "crash", "", frames(text[found.start() :]))
    found = _PYTHON.search(text)
    if found is not None:
        rest = text[found.end() :]
        end = _PYTHON_END.search(rest)
        if end is not None:
            frames_above = _PYTHON_FRAME.findall(rest[: end.start()])
            return FailureLog(end[1].strip(), "crash", "", tuple(frames_above[::-1][:64]))
    return None


def _kind(said: str) -> ClaimKind:
    if "leak" in said:
        return "leak"
    if "timeout" in said:
        return "hang"
    return "out-of-memory" if "out-of-memory" in said else "crash"


def _native(text: str) -> tuple[str, ...]:
    frames: list[str] = []
    for found in _NATIVE.finditer(text):
        if int(found[1]) != len(frames) or len(frames) == 64:
            break
        name = re.sub(r"\s*(?:\(BuildId: [0-9a-f]+\))\s*$", "", found[2])
        name = re.split(r"\s+(?=/|\(/|[\w.-]+\.(?:c|cc|cpp|cxx|h|hpp|rs|go)\b)", name)[0]
        frames.append(name.strip()[:512] or "?")
    return tuple(frames)


def _java(text: str) -> tuple[str, ...]:
    return tuple(_JAVA_FRAME.findall(text)[:64])

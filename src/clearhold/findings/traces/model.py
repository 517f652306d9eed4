"""What a trace says once it is read: the kind of fault, and the frames of the code at fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MOST_LINES: Final = 20_000
LONGEST_LINE: Final = 2_000
MOST_FRAMES: Final = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: its function without arguments, templates or addresses, and where it stands.

    `file` is the last parts of a path, `line` counts from 1; empty and 0 mean not told.
    """

    function: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """A fault and its stack, innermost frame first, without the frames of any runtime.

    `tool` names what printed it; `kind` is the fault in lower case, as `heap-buffer-overflow` or
    `ValueError`; `access` is `read`, `write` or empty; `size` the bytes accessed, 0 when not told.
    """

    tool: str
    kind: str
    access: str = ""
    size: int = 0
    frames: tuple[Frame, ...] = ()

    def bounded(self) -> Trace:
        """The same with at most `MOST_FRAMES` frames."""
        return replace(self, frames=self.frames[:MOST_FRAMES])


def lines_of(text: str) -> list[str]:
    """The lines that are looked at: so many, each so long, and no more."""
    kept = text[: MOST_LINES * 200].split("\n", MOST_LINES)[:MOST_LINES]
    return [line[:LONGEST_LINE].rstrip("\r") for line in kept]


def short_path(path: str) -> str:
    """The last two parts of a path: machines differ in what stands before."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts[-2:])

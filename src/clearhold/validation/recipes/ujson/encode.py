"""Target `encode`: a short byte program builds nested lists and has ujson write them indented.

Read left to right: `[` opens a list, `]` closes it, a space adds 4 to the indentation, a digit
appends that integer, a lower-case letter appends a string of one letter, `+` appends True, `-`
None. Every other byte is passed over and open lists are closed at the end. Programs are cut at
4096 bytes, lists nest at most 200 deep and the indentation stops at 4096.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ujson

MAXIMUM_BYTES = 4096
MAXIMUM_DEPTH = 200
MAXIMUM_INDENT = 4096
INDENT_STEP = 4


def read(program: bytes) -> tuple[list[object], int]:
    """The value and the indentation that `program` describes."""
    indent = 0
    root: list[object] = []
    open_lists = [root]
    for byte in program[:MAXIMUM_BYTES]:
        if byte == 0x5B:
            if len(open_lists) < MAXIMUM_DEPTH:
                child: list[object] = []
                open_lists[-1].append(child)
                open_lists.append(child)
        elif byte == 0x5D:
            if len(open_lists) > 1:
                open_lists.pop()
        elif byte == 0x20:
            indent = min(indent + INDENT_STEP, MAXIMUM_INDENT)
        elif 0x30 <= byte <= 0x39:
            open_lists[-1].append(byte - 0x30)
        elif 0x61 <= byte <= 0x7A:
            open_lists[-1].append(chr(byte))
        elif byte == 0x2B:
            open_lists[-1].append(True)
        elif byte == 0x2D:
            open_lists[-1].append(None)
    return root, indent


def run(program: bytes) -> str:
    """Encode what `program` describes; the text, or the name of the error ujson raised."""
    value, indent = read(program)
    try:
        return str(ujson.dumps(value, indent=indent))
    except (OverflowError, ValueError, TypeError, UnicodeError) as error:
        return type(error).__name__


if __name__ == "__main__":
    print(run(Path(sys.argv[1]).read_bytes())[:4000])

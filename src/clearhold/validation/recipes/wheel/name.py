"""Target `name`: the name of a wheel taken apart; the proof is the name."""

from __future__ import annotations

import sys
from pathlib import Path

from wheel.wheelfile import WHEEL_INFO_RE

UNUSABLE_PROOF = 65


def read() -> str:
    """The proof as text; ends the driver when it is none."""
    try:
        return Path(sys.argv[1]).read_text(encoding="utf-8")
    except ValueError:
        sys.exit(UNUSABLE_PROOF)


found = WHEEL_INFO_RE.match(read())
print(None if found is None else sorted(found.groupdict("").items()))

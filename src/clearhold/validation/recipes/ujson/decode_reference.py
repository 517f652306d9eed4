"""The reference for target `decode`: the same text decoded by Python's own json."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def run(proof: bytes) -> str:
    """What json makes of `proof`, in ASCII."""
    try:
        return ascii(json.loads(proof.decode("utf-8", "surrogateescape")))
    except (ValueError, RecursionError):
        return "refused"


if __name__ == "__main__":
    result = run(Path(sys.argv[1]).read_bytes())
    Path("/out/result").write_text(result, encoding="ascii")
    print(result)

"""Target `decode`: JSON text decoded by ujson, the result written to /out/result.

A result is the type and the exact value, so that 1, 1.0 and True differ and every code point
counts; a refusal is the word `refused`. `decode_reference.py` writes the same for Python's json.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ujson


def run(proof: bytes) -> str:
    """What ujson makes of `proof`, in ASCII."""
    try:
        return ascii(ujson.loads(proof.decode("utf-8", "surrogateescape")))
    except (ValueError, OverflowError, TypeError):
        return "refused"


if __name__ == "__main__":
    result = run(Path(sys.argv[1]).read_bytes())
    Path("/out/result").write_text(result, encoding="ascii")
    print(result)

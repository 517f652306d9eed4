"""Target `dumps`: any JSON value written by ujson with an indentation.

The proof is UTF-8 JSON of the shape {"indent": integer from 0 to 65535, "value": anything}. It is
read by Python's own json. A proof of another shape ends with exit code 65.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ujson

UNUSABLE_PROOF = 65


def read(proof: bytes) -> tuple[object, int]:
    """The value and the indentation; ValueError for a proof of another shape."""
    document = json.loads(proof)
    if not isinstance(document, dict) or set(document) != {"indent", "value"}:
        raise ValueError("expected an object with indent and value")
    indent = document["indent"]
    if not isinstance(indent, int) or not 0 <= indent <= 0xFFFF:
        raise ValueError("indent is an integer from 0 to 65535")
    return document["value"], indent


def run(proof: bytes) -> str:
    """Encode what `proof` describes; the text, or the name of the error ujson raised."""
    value, indent = read(proof)
    try:
        return str(ujson.dumps(value, indent=indent))
    except (OverflowError, ValueError, TypeError, UnicodeError) as error:
        return type(error).__name__


if __name__ == "__main__":
    try:
        print(run(Path(sys.argv[1]).read_bytes())[:4000])
    except (ValueError, RecursionError) as error:
        print(f"unusable proof: {error}", file=sys.stderr)
        sys.exit(UNUSABLE_PROOF)

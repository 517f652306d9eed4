"""Variants of a `lex` proof: the same text in other surroundings, for judging patches.

Each is written to /out as `TARGET--NAME`, TARGET being the target it is a proof for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lex


def variants(proof: bytes) -> dict[str, bytes]:
    """Proofs by `TARGET--NAME`."""
    alias, text = lex.read(proof)
    varied = {
        "twice": text + text,
        "after-a-line": f"\n{text}",
        "before-a-line": f"{text}\n\n",
        "indented": f"  {text}",
        "without-line-end": text.rstrip("\n"),
    }
    return {f"lex--{name}": f"{alias}\n{shape}".encode() for name, shape in varied.items()}


if __name__ == "__main__":
    for name, content in variants(Path(sys.argv[1]).read_bytes()).items():
        Path("/out", name).write_bytes(content)

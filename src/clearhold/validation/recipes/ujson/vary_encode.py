"""Variants of an `encode` proof: the same bug asked for in other shapes, for judging patches.

Each is written to /out as `TARGET--NAME`, TARGET being the target it is a proof for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import encode

WIDEST_INDENT = 65535
DEPTH_TO_WALK = 150


def depth(value: object) -> int:
    """How many containers enclose the innermost one, itself included."""
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def as_objects(value: object) -> object:
    """The same nesting with objects in place of lists."""
    if isinstance(value, list):
        return {f"k{number}": as_objects(item) for number, item in enumerate(value)}
    return value


def variants(proof: bytes) -> dict[str, bytes]:
    """Proofs by `TARGET--NAME`."""
    value, indent = encode.read(proof)
    nested = min(depth(value), DEPTH_TO_WALK)
    document = {
        "objects": (as_objects(value), indent),
        "lists": (value, indent),
        "wide-list": ([0] * 80, 4096),
        "wide-object": ({str(number): 0 for number in range(80)}, 4096),
        "shallow": ([[0]], WIDEST_INDENT),
    }
    varied = {
        f"dumps--{name}": json.dumps({"indent": min(step, WIDEST_INDENT), "value": shape}).encode()
        for name, (shape, step) in document.items()
    }
    varied["encode--twice-as-deep"] = b"[" * nested + proof
    varied["encode--more-indent"] = proof + b" " * 256
    varied["encode--repeated"] = proof + b"]" * nested + proof
    return varied


if __name__ == "__main__":
    for name, content in variants(Path(sys.argv[1]).read_bytes()).items():
        Path("/out", name).write_bytes(content)

"""Variants of a `dumps` proof: the same bug asked for in other shapes, for judging patches.

Each is written to /out as `TARGET--NAME`, TARGET being the target it is a proof for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dumps

WIDEST_INDENT = 65535


def as_lists(value: object) -> object:
    """The same nesting with lists in place of objects."""
    if isinstance(value, dict):
        return [as_lists(item) for item in value.values()]
    if isinstance(value, list):
        return [as_lists(item) for item in value]
    return value


def as_objects(value: object) -> object:
    """The same nesting with objects in place of lists."""
    if isinstance(value, dict):
        return {name: as_objects(item) for name, item in value.items()}
    if isinstance(value, list):
        return {f"k{number}": as_objects(item) for number, item in enumerate(value)}
    return value


def variants(proof: bytes) -> dict[str, bytes]:
    """Proofs by `TARGET--NAME`."""
    value, indent = dumps.read(proof)
    document = {
        "lists": (as_lists(value), indent),
        "objects": (as_objects(value), indent),
        "within-list": ([value, value], indent),
        "within-object": ({"a": value, "b": value}, indent),
        "half-indent": (value, indent // 2),
        "more-indent": (value, min(2 * indent + 1, WIDEST_INDENT)),
    }
    return {
        f"dumps--{name}": json.dumps({"indent": step, "value": shape}).encode()
        for name, (shape, step) in document.items()
    }


if __name__ == "__main__":
    for name, content in variants(Path(sys.argv[1]).read_bytes()).items():
        Path("/out", name).write_bytes(content)

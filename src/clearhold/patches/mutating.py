"""Inputs made from others by small changes, the same ones for the same seed.

Where a project's harness has no coverage-guided engine, these stand in for one: structure is kept
where an input is JSON, lines where it is text, bytes otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

LARGEST: Final = 64 * 1024
_NAMES: Final = ("__proto__", "constructor", "prototype", "constructor.prototype")
_NUMBERS: Final = (0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**32, 2**63)
_TEXTS: Final = (
    "",
    " ",
    "\t",
    "\n",
    "\0",
    "a",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "\\",
    "/",
    ":",
    ",",
    "ä",
)
_NUMBER: Final = re.compile(rb"[0-9]+")
_BYTES: Final = (0x00, 0x01, 0x20, 0x7F, 0x80, 0xFF)
_DEEPEST: Final = 200


def mutants(seed: int, inputs: Sequence[bytes], *, most: int) -> Iterator[bytes]:
    """Up to `most` inputs made from these, each once, none of them given."""
    rng = Random(seed)  # noqa: S311 (reproducible, no secret)
    seen = set(inputs)
    for _ in range(most * 8):
        if len(seen) - len(set(inputs)) >= most or not inputs:
            return
        made = _changed(rng, rng.choice(inputs), inputs)[:LARGEST]
        if made not in seen:
            seen.add(made)
            yield made


def _changed(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        tree = None
    if isinstance(tree, dict | list) and rng.random() < 0.8:
        for _ in range(rng.randint(1, 2)):
            tree = _tree(rng, tree, 0)
        try:
            return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            return content
    made = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        made = _bytes(rng, made, others)
    return bytes(made)


def _tree(rng: Random, value: Any, depth: int) -> Any:
    """A JSON value with one small change somewhere in it."""
    if depth < _DEEPEST and rng.random() < 0.7:
        if isinstance(value, dict) and value:
            return _members(rng, value, depth)
        if isinstance(value, list) and value:
            return _items(rng, value, depth)
    return _leaf(rng, value)


def _members(rng: Random, value: dict[str, Any], depth: int) -> dict[str, Any]:
    key = rng.choice(list(value))
    kind = rng.randrange(7)
    if kind == 0:
        renamed = rng.choice(_NAMES)
        return {renamed if each == key else each: held for each, held in value.items()}
    if kind == 1:
        return {each: held for each, held in value.items() if each != key}
    if kind == 2:
        return {**value, rng.choice((*_TEXTS, *_NAMES)): value[key]}
    if kind in {3, 4}:
        renamed = _text(rng, key)
        return {renamed if each == key else each: held for each, held in value.items()}
    return {**value, key: _tree(rng, value[key], depth + 1)}


def _items(rng: Random, value: list[Any], depth: int) -> list[Any]:
    at = rng.randrange(len(value))
    kind = rng.randrange(5)
    if kind == 0:
        return [*value[:at], *value[at + 1 :]]
    if kind == 1:
        return [*value, value[at]] * rng.choice((1, 1, 2, 8))
    return [*value[:at], _tree(rng, value[at], depth + 1), *value[at + 1 :]]


def _leaf(rng: Random, value: Any) -> Any:
    if isinstance(value, str) and rng.random() < 0.8:
        return _text(rng, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return rng.choice((value + 1, value - 1, -value, value * 2, *_NUMBERS))
    return rng.choice((None, True, False, "", [], {}, [value], {"a": value}, *_NUMBERS[:4]))


def _text(rng: Random, value: str) -> str:
    kind = rng.randrange(6)
    if kind == 0 and "." in value:
        parts = value.split(".")
        parts[rng.randrange(len(parts))] = rng.choice(_NAMES[:3])
        return ".".join(parts)
    if kind == 1:
        return value * rng.choice((2, 3, 8))
    if kind == 2:
        return value.swapcase()
    at = rng.randint(0, len(value))
    return value[:at] + rng.choice(_TEXTS) + value[at + rng.randint(0, 1) :]


def _bytes(rng: Random, made: bytearray, others: Sequence[bytes]) -> bytearray:
    """A number replaced, a piece left out, repeated, put in, replaced, or one bit turned over."""
    numbers = list(_NUMBER.finditer(made)) if rng.random() < 0.3 else []
    if numbers:
        found = rng.choice(numbers)
        value = int(found[0][:20])
        drawn = rng.choice((value + 1, value - 1, value * 2, 2**32 - rng.randint(1, 9), *_NUMBERS))
        return made[: found.start()] + str(drawn).encode() + made[found.end() :]
    at = rng.randint(0, len(made))
    end = min(len(made), at + rng.choice((1, 1, 2, 4, 16)))
    kind = rng.randrange(6)
    if kind == 0 and at < end:
        turned = made[at] ^ 1 << rng.randrange(8)
        return made[:at] + bytes((turned,)) + made[at + 1 :]
    other = rng.choice(others)
    start = rng.randint(0, len(other))
    middle = (
        b"",
        made[at:end] * rng.choice((2, 3, 8, 64)),
        bytes((rng.choice(_BYTES),)) + made[at:end],
        rng.choice(_TEXTS).encode(),
        other[start : start + rng.randint(1, 32)] + made[at:end],
        bytes((rng.choice(_BYTES),)),
    )[kind]
    return made[:at] + middle + made[end:]

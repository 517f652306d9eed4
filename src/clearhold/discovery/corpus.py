"""The inputs that a party keeps for a target: bounded, and one piece when they are at rest."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

MOST_INPUTS: Final = 2000
MOST_BYTES: Final = 4 << 20


def bounded(inputs: Mapping[str, bytes]) -> dict[str, bytes]:
    """The smallest inputs first, as many as the bounds on count and bytes leave room for."""
    kept: dict[str, bytes] = {}
    room = MOST_BYTES
    for name, content in sorted(inputs.items(), key=lambda each: (len(each[1]), each[0])):
        room -= len(content)
        if room < 0 or len(kept) >= MOST_INPUTS:
            break
        kept[name] = content
    return kept


def packed(inputs: Mapping[str, bytes]) -> bytes:
    """Inputs as one piece."""
    return zlib.compress(msgspec.msgpack.encode(bounded(inputs)), level=1)


def unpacked(piece: bytes) -> dict[str, bytes]:
    """The inputs in what `packed` made."""
    plain = zlib.decompressobj().decompress(piece, 4 * MOST_BYTES)
    return msgspec.msgpack.decode(plain, type=dict[str, bytes])

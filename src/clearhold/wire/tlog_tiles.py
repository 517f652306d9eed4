"""Where a log's tiles lie and what is in them (C2SP tlog-tiles, tile height 8).

Level `entries` holds the log's entries, 256 a tile, each after its length in two bytes. Level 0
holds their hashes; each hash of level L stands for a whole tile of the level below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
HASH_BYTES: Final = 32
ENTRIES: Final = "entries"
MAX_TILE_BYTES: Final = WIDTH * (2 + 0xFFFF)
CHECKPOINT: Final = "checkpoint"
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One tile: its level (-1 for entries), its place from the left, how much of it there is."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's address."""
        level = ENTRIES if self.level < 0 else str(self.level)
        groups = f"{self.number:03}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
        number = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile | None:
        """The tile at a path; None when the path is of none, or not written as it should be."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        level = -1 if found["level"] == ENTRIES else int(found["level"])
        tile = cls(
            level,
            int(found["number"].replace("x", "").replace("/", "")),
            int(found["width"] or WIDTH),
        )
        return tile if tile.path == path else None


def width_at(level: int, number: int, size: int) -> int:
    """How many hashes (or, below level 0, entries) a tile has in a log of `size`; 0 when none."""
    return min(max((size >> (HEIGHT * max(level, 0))) - number * WIDTH, 0), WIDTH)


def levels(size: int) -> int:
    """How many levels of hashes a log of `size` has."""
    count = 0
    while size >> (HEIGHT * count):
        count += 1
    return count


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """The content of a tile of entries."""
    return b"".join(len(each).to_bytes(2, "big") + each for each in entries)


def unpack_entries(content: bytes, count: int) -> list[bytes] | None:
    """The entries of a tile; None unless they are exactly `count`."""
    entries, at = list[bytes](), 0
    while at + 2 <= len(content) and len(entries) < count:
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if end > len(content):
            return None
        entries.append(content[at + 2 : end])
        at = end
    return entries if at == len(content) and len(entries) == count else None


def unpack_hashes(content: bytes, count: int) -> list[bytes] | None:
    """The hashes of a tile; None unless they are exactly `count`."""
    if len(content) != count * HASH_BYTES:
        return None
    return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]


def cut(content: bytes, tile: Tile) -> bytes | None:
    """The part of a full tile that a partial one holds; None when there is less."""
    if tile.level >= 0:
        size = tile.width * HASH_BYTES
        return content[:size] if len(content) >= size else None
    entries = unpack_entries(content, WIDTH)
    return None if entries is None else pack_entries(entries[: tile.width])

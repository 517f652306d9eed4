"""Cutting a log into tiles, one row of 256 entries after the other (C2SP tlog-tiles).

Whoever publishes, checks or verifies a log does the same: feeds the entries in and writes, or
compares, what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from clearhold.kernel.merkle import HASH_BYTES, Frontier, Node, leaf_hash
from clearhold.wire.tlog_tiles import (
    HEIGHT,
    WIDTH,
    Tile,
    levels,
    pack_entries,
    unpack_hashes,
    width_at,
)

Cut = tuple[Tile, bytes]


class Tiler:
    """The right edge of a log at a whole number of rows, from which it grows."""

    def __init__(self, size: int = 0, edge: bytes = b"") -> None:
        """Begin at the last whole row of a log of `size`, with the `edge` it had there.

        Raises `ValueError` when the edge does not belong to the size.
        """
        self.size = size - size % WIDTH
        self._upper: list[list[bytes]] = []
        at = 0
        for level in range(1, levels(size)):
            width = (size >> (HEIGHT * level)) % WIDTH
            hashes = unpack_hashes(edge[at : at + width * HASH_BYTES], width)
            if hashes is None:
                break
            self._upper.append(hashes)
            at += width * HASH_BYTES
        if at != len(edge) or len(self._upper) != max(levels(size) - 1, 0):
            message = "the edge does not belong to a log of this size"
            raise ValueError(message)

    @property
    def edge(self) -> bytes:
        """What must be kept, with the size, to go on from here."""
        return b"".join(each for level in self._upper for each in level)

    def row(self, entries: Sequence[bytes]) -> Iterator[Cut]:
        """The tiles that one row of entries makes or completes; only the last may be cut short."""
        hashes = [leaf_hash(each) for each in entries]
        number = self.size // WIDTH
        yield Tile(-1, number, len(entries)), pack_entries(entries)
        yield Tile(0, number, len(hashes)), b"".join(hashes)
        level = 0
        while len(hashes) == WIDTH:
            level += 1
            if len(self._upper) < level:
                self._upper.append([])
            self._upper[level - 1].append(Frontier().extended(hashes).root())
            hashes = self._upper[level - 1]
            if len(hashes) == WIDTH:
                number = self.size >> (HEIGHT * (level + 1))
                yield Tile(level, number), b"".join(hashes)
                self._upper[level - 1] = []
        if level:
            self.size += WIDTH

    def partial(self) -> Iterator[Cut]:
        """The tiles above the rows that are not full yet."""
        for level, hashes in enumerate(self._upper, start=1):
            if hashes:
                number = self.size >> (HEIGHT * (level + 1))
                yield Tile(level, number, len(hashes)), b"".join(hashes)

    def root(self, rest: Sequence[bytes] = ()) -> bytes:
        """The root of the tree with `rest` of the next row's entries, fewer than a whole row."""
        groups: list[bytes] = []
        for hashes in (*reversed(self._upper), [leaf_hash(each) for each in rest]):
            groups += Frontier().extended(hashes).hashes
        return Frontier(self.size + len(rest), tuple(groups)).root()


def node_reader(size: int, read: Callable[[Tile], bytes]) -> Node:
    """Complete subtrees of a log of `size` from its tiles of hashes; each is read once.

    It raises `ValueError` on a tile that has not the length it must have.
    """
    known: dict[Tile, list[bytes]] = {}

    def node(height: int, place: int) -> bytes:
        level, within = divmod(height, HEIGHT)
        first = place << within
        number = first >> HEIGHT
        tile = Tile(level, number, width_at(level, number, size))
        if tile not in known:
            hashes = unpack_hashes(read(tile), tile.width)
            if hashes is None:
                message = f"{tile.path} has the wrong length"
                raise ValueError(message)
            known[tile] = hashes
        at = first % WIDTH
        return Frontier().extended(known[tile][at : at + (1 << within)]).root()

    return node

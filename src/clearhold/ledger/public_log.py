"""Reading and verifying a published log from nothing but its files and its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from clearhold.kernel.errors import IntegrityError, NotFoundError
from clearhold.ledger.tiling import Cut, Tiler
from clearhold.wire.signed_note import Checkpoint, NoteVerifier, open_checkpoint
from clearhold.wire.tlog_tiles import CHECKPOINT, WIDTH, Tile, cut, unpack_entries, width_at

Read = Callable[[str], bytes | None]
"""The content at a path below the log's address; None when nothing is there."""

MOST_FAULTS: Final = 200


@dataclass(frozen=True, slots=True)
class PublicLog:
    """A published log: how its files are read, and the key that must have signed it."""

    read: Read
    verifier: NoteVerifier

    def note(self) -> bytes:
        """The signed checkpoint as it is served. Raises `NotFoundError`."""
        note = self.read(CHECKPOINT)
        if note is None:
            raise NotFoundError(
                "There is no checkpoint of a log.",
                next_step="Check the address; a hub's first one comes when it first publishes.",
            )
        return note

    def tile(self, tile: Tile) -> bytes | None:
        """A tile; where a partial one is gone, the part of the full one. None when neither is."""
        content = self.read(tile.path)
        if content is None and tile.width < WIDTH:
            full = self.read(Tile(tile.level, tile.number).path)
            content = None if full is None else cut(full, tile)
        return content

    def hashes(self, tile: Tile) -> bytes:
        """A tile for a proof. Raises `IntegrityError` when it is missing."""
        content = self.tile(tile)
        if content is None:
            raise IntegrityError(f"{tile.path} of the published log is missing.")
        return content


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a check of a published log found; `continues` is the size of the older checkpoint."""

    size: int
    root: bytes
    time: datetime | None
    continues: int | None
    note: bytes
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether every tile, the root, the signature and the older checkpoint agree."""
        return not self.faults


@dataclass(slots=True)
class TileCheck:
    """Compares what tiles should be with what is served, and notes each that differs."""

    log: PublicLog
    faults: list[str] = field(default_factory=list)

    def compare(self, cuts: Iterable[Cut]) -> None:
        """Look at the tiles that a row makes."""
        for tile, expected in cuts:
            served = self.log.tile(tile)
            if served != expected and len(self.faults) < MOST_FAULTS:
                missing = served is None
                self.faults.append(f"{tile.path} {'is missing' if missing else 'was changed'}")


def verify(log: PublicLog, *, since: bytes | None = None) -> LogReport:
    """Recompute the whole log from its entries and compare every tile, the root and `since`.

    `since` is a checkpoint seen before, which this log must continue. Raises `NotFoundError` without
    a checkpoint, `InvalidError` or `IntegrityError` when one is not signed by the log's key.
    """
    note = log.note()
    checkpoint = open_checkpoint(note, log.verifier)
    older = None if since is None else open_checkpoint(since, log.verifier)
    check, tiler = TileCheck(log), Tiler()
    roots: dict[int, bytes] = {0: Tiler().root()}
    for number in range(-(-checkpoint.size // WIDTH)):
        tile = Tile(-1, number, width_at(-1, number, checkpoint.size))
        content = log.tile(tile)
        entries = None if content is None else unpack_entries(content, tile.width)
        if entries is None:
            state = "is missing" if content is None else "cannot be read"
            check.faults.append(f"{tile.path} {state}, so the tree cannot be recomputed")
            return _report(checkpoint, older, note, check.faults)
        if older is not None and 0 <= older.size - tiler.size <= len(entries):
            roots[older.size] = tiler.root(entries[: older.size - tiler.size])
        check.compare(tiler.row(entries))
        if len(entries) < WIDTH:
            roots[checkpoint.size] = tiler.root(entries)
    roots.setdefault(checkpoint.size, tiler.root())
    check.compare(tiler.partial())
    if roots[checkpoint.size] != checkpoint.root:
        check.faults.append("the entries do not make the tree whose root is signed")
    if older is not None and roots.get(older.size) != older.root:
        check.faults.append(
            f"the log does not continue the checkpoint of {older.size} entries seen before"
        )
    return _report(checkpoint, older, note, check.faults)


def _report(
    checkpoint: Checkpoint, older: Checkpoint | None, note: bytes, faults: list[str]
) -> LogReport:
    return LogReport(
        checkpoint.size,
        checkpoint.root,
        checkpoint.time,
        None if older is None else older.size,
        note,
        tuple(faults),
    )

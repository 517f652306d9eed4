"""The published log as files, as any web server could serve them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearhold.wire.signed_note import MAX_NOTE_BYTES
from clearhold.wire.tlog_tiles import CHECKPOINT, MAX_TILE_BYTES, Tile


class LogFiles:
    """The directory of the published log: a checkpoint, and the tiles it covers."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when something is written."""
        self.directory = directory

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """True while no other process writes here; False when one does."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        held = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(held)

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint; None before the first."""
        return self._read(CHECKPOINT, MAX_NOTE_BYTES)

    def read(self, path: str) -> bytes | None:
        """A file of the log; None when it is not there."""
        return self._read(path, MAX_TILE_BYTES)

    def write_tile(self, tile: Tile, content: bytes) -> None:
        """Keep a tile, durably; one that is there already with this content stays."""
        if self._read(tile.path, MAX_TILE_BYTES) != content:
            self._write(tile.path, content)

    def write_checkpoint(self, note: bytes) -> None:
        """Show a new checkpoint, once all it covers is durable."""
        self._write(CHECKPOINT, note)

    def drop_partial(self, tile: Tile) -> None:
        """Remove the parts of a tile that is full now."""
        shutil.rmtree(self.directory / f"{tile.path}.p", ignore_errors=True)

    def _read(self, path: str, limit: int) -> bytes | None:
        try:
            with (self.directory / path).open("rb") as file:
                return file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _write(self, path: str, content: bytes) -> None:
        target = self.directory / path
        missing = [each for each in (target.parent, *target.parent.parents) if not each.exists()]
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        temporary = target.with_name(f".{target.name}.new")  # one at a time writes here
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        for each in {target.parent, *(new.parent for new in missing)}:
            _make_durable(each)


def _make_durable(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A strict reader of the artefact stream: regular files with plain relative names, and no more."""

from __future__ import annotations

from clearhold.kernel.errors import IntegrityError

MAX_FILES = 4096
MAX_NAME = 1024


class ArtefactReader:
    """Puts together the files that a supervisor sends, within `room` bytes altogether.

    The supervisor runs as the hostile program's own user; its word is checked, not trusted. Every
    method raises `IntegrityError` on a stream that breaks a rule.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._files: dict[str, bytes] = {}
        self._name = ""
        self._data = bytearray()
        self._missing = 0

    def begin(self, header: bytes) -> None:
        """Begin a file: eight bytes of size, big-endian, then its name in UTF-8."""
        size = int.from_bytes(header[:8], "big")
        try:
            name = header[8:].decode("utf-8")
        except UnicodeDecodeError:
            name = ""
        parts = name.split("/")
        if len(header) <= 8 or len(header) > 8 + MAX_NAME or not name.isprintable():
            raise _broken("a name is not plain text")
        if any(part in {"", ".", ".."} for part in parts):
            raise _broken("a name is not a plain relative path")
        if self._missing:
            raise _broken("a file is cut short")
        if name in self._files or len(self._files) >= MAX_FILES:
            raise _broken("a name comes twice, or there are too many")
        if size > self._room:
            raise _broken("the files are larger than allowed")
        self._room -= size
        self._name, self._missing = name, size
        self._data = bytearray()
        if size == 0:
            self._files[name] = b""

    def extend(self, piece: bytes) -> None:
        """Continue the file that was begun."""
        if not piece or len(piece) > self._missing:
            raise _broken("a file is longer than announced")
        self._data += piece
        self._missing -= len(piece)
        if self._missing == 0:
            self._files[self._name] = bytes(self._data)

    def files(self) -> dict[str, bytes]:
        """All files by name; raises `IntegrityError` when the last one is not whole."""
        if self._missing:
            raise _broken("the last file is cut short")
        return self._files


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(
        f"The sandbox sent artefacts that cannot be right: {reason}.",
        next_step="Treat the job as failed and report it: its supervisor may have been taken over.",
    )

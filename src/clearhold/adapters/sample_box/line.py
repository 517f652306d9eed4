"""The harness's end of the line to the first process of an agent's sandbox."""

from __future__ import annotations

import marshal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

HOLDER: Final = Path(__file__).with_name("holder_inside.py")
STUB: Final = (
    "import os\n"
    "def take(n):\n"
    "    d=b''\n"
    "    while len(d)<n:\n"
    "        p=os.read(4,n-len(d))\n"
    "        if not p: raise SystemExit\n"
    "        d+=p\n"
    "    return d\n"
    "code=take(int.from_bytes(take(4),'big'))\n"
    "exec(compile(code,'first','exec'))\n"
)
_MARSHAL: Final = 2
"""A version of marshal's that every Python 3 reads: the one inside may be another."""
_LARGEST_FRAME: Final = (64 << 10) + 1
_PIECE: Final = 1 << 16
_Told = TypeVar("_Told")


class LineClosed(Exception):  # noqa: N818 (an event; the box tells what it means)
    """The first process is gone, or says what it must not."""


class Ended(msgspec.Struct, frozen=True):
    """How a command ended, as the first process tells; checked, since it may have been taken over."""

    exit: int
    signal: int
    ended_by: str
    clipped: bool


class Filed(msgspec.Struct, frozen=True):
    """Whether a file was laid or read; `error` is an errno, 0 for none."""

    error: int
    why: str


class Line:
    """Asks for one thing after the other. Used by one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def open(self, within_s: float) -> None:
        """Send the first process its program and wait until it serves. Raises `LineClosed`."""
        until = time.monotonic() + within_s
        self._send(HOLDER.read_bytes(), until)
        if self._frame(until) != b"R{}":
            raise LineClosed

    def ask(
        self,
        asked: Mapping[str, Any],
        content: bytes,
        kind: type[_Told],
        *,
        within_s: float,
        on_piece: Callable[[bytes, bytes], None] = lambda _kind, _piece: None,
    ) -> _Told:
        """One request and its answer. Raises `LineClosed` when there is none, or a broken one."""
        until = time.monotonic() + within_s
        self._send(marshal.dumps(dict(asked), _MARSHAL), until)
        self._send(content, until)
        while True:
            frame = self._frame(until)
            if frame[:1] == b"R":
                try:
                    return msgspec.json.decode(frame[1:], type=kind)
                except (msgspec.DecodeError, UnicodeDecodeError) as problem:
                    raise LineClosed from problem
            on_piece(frame[:1], frame[1:])

    def close(self) -> None:
        """Hang up; the first process ends with that."""
        self._sock.close()

    def _send(self, message: bytes, until: float) -> None:
        self._sock.settimeout(max(0.001, until - time.monotonic()))
        try:
            self._sock.sendall(len(message).to_bytes(4, "big") + message)
        except OSError as problem:
            raise LineClosed from problem

    def _frame(self, until: float) -> bytes:
        size = int.from_bytes(self._take(4, until), "big")
        if not 0 < size <= _LARGEST_FRAME:
            raise LineClosed
        return self._take(size, until)

    def _take(self, size: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise LineClosed
            self._sock.settimeout(left)
            try:
                piece = self._sock.recv(min(_PIECE, size - len(data)))
            except OSError as problem:
                raise LineClosed from problem
            if not piece:
                raise LineClosed
            data += piece
        return bytes(data)


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a line."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

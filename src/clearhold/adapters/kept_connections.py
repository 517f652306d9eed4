"""HTTP/1.1 over connections that are kept for a while (RFC 9112), for few requests asked often.

llhttp reads what comes; here are sockets, times, bounds, and which connection is used again. One is
kept only when the answer ended in order, its server means to keep it, and nothing came after it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httptools

BROKEN: Final = OSError
"""What an exchange raises that does not end in order; running out of time is an `OSError` too."""
_KEPT_S: Final = 2.0
"""How long one is kept idle: less than servers keep theirs, commonly five seconds. A request that
crosses their end of it would be lost, and is sent again by nobody."""
_OLDEST_S: Final = 60.0
"""How long one is used at most, so that what a name and its certificate say is heeded soon."""
_MOST: Final = 256
"""More than there are calls at once (`calls.PLACES`): who shares a place waits for nobody."""
_FRAMING: Final = 8
"""Bytes that the framing of a chunk may take, of any number of chunks."""
_PIECE_S: Final = 300.0
_CONNECT_S: Final = 10.0
_LARGEST_HEAD: Final = 100 * 1024
_READ: Final = 65536
_EARLY_READS: Final = 16
_SWITCHING: Final = 101
_FINAL: Final = 200

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class There:
    """Whom to connect to: a literal address, a port, and the name its certificate must bear, if any."""

    address: str
    port: int
    tls_name: str | None


class Connection:
    """One connection, and the time that the exchange under way may take."""

    def __init__(self, there: There, context: ssl.SSLContext | None, until: float) -> None:
        self._until = until
        within = min(_CONNECT_S, self._left())
        self._socket = socket.create_connection((there.address, there.port), within)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._socket = self._secured(context, there.tls_name)
        except BaseException:
            self._socket.close()
            raise
        self._answer = _Answer()
        self._made = time.monotonic()
        self._idle_since = 0.0

    def fit(self, now: float) -> bool:
        """Whether it may be used again: not old or long idle, and nothing came meanwhile, as its end."""
        if now - self._idle_since > _KEPT_S or now - self._made > _OLDEST_S:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, target: str, headers: Headers, body: bytes, until: float) -> None:
        """Send a POST. Raises `ConnectionError` for what is no line of a head."""
        self._until = until
        self._answer = _Answer()
        lines = (f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers))
        if not all(each.isascii() and each.isprintable() for each in lines):
            message = "a line of the head holds what none may hold"
            raise ConnectionError(message)
        left = memoryview("\r\n".join((*lines, "", "")).encode() + body)
        # Whoever answers before it has read all may have said why: that is read in any case.
        with suppress(BrokenPipeError, ConnectionResetError):
            while left:
                self._socket.settimeout(min(_PIECE_S, self._left()))
                left = left[self._socket.send(left) :]

    def answered(self, within_s: float) -> bool:
        """Whether the whole answer comes within so many seconds, and in a few reads."""
        soon = time.monotonic() + within_s
        try:
            for _ in range(_EARLY_READS):
                if self._answer.ended:
                    return True
                left = min(soon - time.monotonic(), self._left())
                if left <= 0:
                    return False
                self._socket.settimeout(left)
                self._answer.hear(self._socket.recv(_READ))
        except TimeoutError:
            return False
        return self._answer.ended

    def head(self) -> tuple[int, dict[bytes, bytes]]:
        """The status of the answer and its headers, by names in small letters."""
        while not self._answer.begun:
            self._read()
        return self._answer.status, dict(self._answer.headers)

    def pieces(self) -> Iterator[bytes]:
        """The body of the answer."""
        while True:
            pieces, self._answer.pieces = self._answer.pieces, []
            yield from pieces
            if self._answer.ended and not self._answer.pieces:
                return
            if not self._answer.ended:
                self._read()

    def again(self) -> bool:
        """Whether it may be kept for the next exchange."""
        self._idle_since = time.monotonic()
        return self._answer.ended and self._answer.kept

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _read(self) -> None:
        self._socket.settimeout(min(_PIECE_S, self._left()))
        self._answer.hear(self._socket.recv(_READ))

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _secured(self, context: ssl.SSLContext, name: str | None) -> socket.socket:
        """The socket under TLS; a handshake takes many pieces, and has one time for them all."""
        known = self._socket.dup()
        watch = threading.Timer(self._left(), _end, (known,))
        watch.daemon = True
        watch.start()
        try:
            return context.wrap_socket(self._socket, server_hostname=name)
        finally:
            watch.cancel()
            known.close()


class _Answer:
    """An answer as far as it was heard; the parser calls what begins with `on_`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.begun = self.ended = self.kept = False
        self._beside_body = 0
        self._parser = httptools.HttpResponseParser(self)

    def hear(self, data: bytes) -> None:
        """Read on; `data` is empty at the connection's end.

        Raises `ConnectionError` for an end in the middle, and for a head or framing without end.
        """
        if not data:
            self._end_of_connection()
            return
        self._beside_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.kept = False
            if not self.ended:
                message = "the answer cannot be read"
                raise ConnectionError(message) from error
        if self._beside_body > _LARGEST_HEAD:
            message = "the head is too long"
            raise ConnectionError(message)

    def on_message_begin(self) -> None:
        """A message follows: the answer, or what comes after it and was not asked for."""
        self.kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or a trailer, which nobody reads."""
        if not self.begun:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is over; that of an interim answer is forgotten (RFC 9110 section 15.2)."""
        if self.begun:
            return
        self.status = self._parser.get_status_code()
        if self.status == _SWITCHING:
            message = "nobody asked for another protocol"
            raise ConnectionError(message)
        self.begun = self.status >= _FINAL
        if not self.begun:
            self.headers = []

    def on_body(self, body: bytes) -> None:
        """A piece of the body; what is said after the answer's end belongs to no answer."""
        self._beside_body -= len(body) + _FRAMING
        if not self.ended:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        """A message is over: the answer, unless it was an interim one."""
        if self.begun and not self.ended:
            self.ended = True
            self.kept = self._parser.should_keep_alive()

    def _end_of_connection(self) -> None:
        """What told no length ends here (RFC 9112 section 6.3)."""
        told = {name for name, _ in self.headers}
        if not self.begun or told & {b"content-length", b"transfer-encoding"}:
            message = "the connection was closed"
            raise ConnectionError(message)
        self.ended, self.kept = True, False


def _end(known: socket.socket) -> None:
    with suppress(OSError):
        known.shutdown(socket.SHUT_RDWR)


@dataclass
class Place:
    """The connections to one place; more than `_MOST` at once wait for each other."""

    connect: Callable[[There, float], Connection]
    _idle: list[Connection] = field(default_factory=list)
    _room: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_MOST)
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def take(self, there: There, until: float) -> Connection:
        """A connection, kept or new; `give_back` follows. Raises `BROKEN`."""
        if not self._room.acquire(timeout=_CONNECT_S):
            raise TimeoutError
        try:
            return self._kept() or self.connect(there, until)
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose exchange ended in order, and close any other."""
        good = connection.again()
        with self._lock:
            if kept := good and not self._closed:
                self._idle.append(connection)
        if not kept:
            connection.close()
        self._room.release()

    def close(self) -> None:
        """Close all connections, those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _kept(self) -> Connection | None:
        now = time.monotonic()
        while True:
            with self._lock:
                if not self._idle:
                    return None
                last = self._idle.pop()
            if last.fit(now):
                return last
            last.close()

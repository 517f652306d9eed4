"""HTTP/1.1 as the hub's server reads it: llhttp's parser, bounded where it and uvicorn are not.

uvicorn's protocol over httptools keeps whatever a head or trailers bring, without end; it reads on
while requests wait for the answers to others; it takes the body of a request that wishes another
protocol for the next request; it waits for ever for what was begun; and it takes any number of
connections. Whoever does so is left here.
"""

from __future__ import annotations

from asyncio import Transport
from typing import ClassVar, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from clearhold.access.fair_share import FairShare
from clearhold.access.throttle import network_of

LARGEST_HEAD: Final = 64 * 1024
MOST_CONNECTIONS: Final = 512
"""Of which no address has more than are left to the others."""
MOST_WAITING: Final = 32
"""Requests of one connection that wait for the answers to those before them."""
PATIENCE_S: Final = 30.0
LEAST_READ: Final = 32 * 1024
"""Bytes that come in that time of a request that has begun, or it ends."""
_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_FULL: Final = b"As many are connected as may be now. Come back in a moment."
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s"
)


class BoundedHttp(HttpToolsProtocol):
    """One connection; counts the bytes of a request that are no body: head, framing and trailers."""

    places: ClassVar[FairShare] = FairShare(MOST_CONNECTIONS)
    _source: str | None = None
    _beside_body = 0
    _came = 0
    _in_body = False
    _moved = True
    _answered: RequestResponseCycle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Look after it from time to time, unless it has no place."""
        super().connection_made(transport)
        source = network_of(self.client[0] if self.client else "")
        if self.places.take(source):
            self._source = source
        else:
            transport.write(_REFUSAL % (len(_FULL), _FULL))
            transport.close()
        self._watch = self.loop.call_later(PATIENCE_S, self.look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._watch.cancel()
        if self._source is not None:
            self.places.give_back(self._source)
        self._leave()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say so, and nothing after it."""
        super().send_400_response(msg)
        self._leave()

    def look(self) -> None:
        """End the connection when what it has begun to say has hardly gone on since the last look.

        While an answer is under way, or reading is put off, whoever is there owes nothing.
        """
        answering = self.cycle is not None and not self.cycle.response_complete
        owes = (self._in_body or not answering) and not self.flow.read_paused
        if owes and not self._moved and self._came < LEAST_READ:
            self.transport.close()
            return
        self._moved, self._came = not owes, 0
        self._watch = self.loop.call_later(PATIENCE_S, self.look)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _leave(self) -> None:
        """Let the answer under way go nowhere; uvicorn knows the newest request alone, not this one's."""
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._beside_body = 0

    def on_headers_complete(self) -> None:
        """Begin to answer, unless what follows would be read as something else than it is.

        To llhttp a request that wishes another protocol has no body, and what comes then is the next
        request. Here no other protocol is spoken: one without a body is answered as if it had no
        such wish, and is the last of its connection; one with a body is none (RFC 9110 section 7.8).
        """
        changes = self.parser.should_upgrade()
        if len(self.pipeline) >= MOST_WAITING or (
            changes and not _BODY.isdisjoint(name for name, _ in self.headers)
        ):
            message = "such a request is not taken"
            raise ValueError(message)
        super().on_headers_complete()
        self._in_body = True
        if changes:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """What is a body has bounds of its own."""
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._in_body, self._moved = False, True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, and stop at what is too long."""
        if self._source is None:
            return
        self._beside_body += len(data)
        self._came += len(data)
        super().data_received(data)
        if self._beside_body > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")


def with_places(connections: int) -> type[BoundedHttp]:
    """The protocol of a server that has at most so many connections, half of them of one address."""

    class Counted(BoundedHttp):
        places = FairShare(connections)

    return Counted

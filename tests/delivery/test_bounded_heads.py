"""The hub's server reads nothing without end and takes no body for a request, whatever its parser would."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from clearhold.delivery.http.wire_protocol import (
    LARGEST_HEAD,
    LEAST_READ,
    MOST_WAITING,
    BoundedHttp,
)

PIECE = b"x" * 4096
WHOLE = b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n"


class Wire(asyncio.Transport):
    """The server's side of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.closing = self.late = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        self.late |= self.closing
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        """Nobody reads ahead here."""

    def resume_reading(self) -> None:
        """Nobody reads ahead here."""


async def _counts(_scope: Any, receive: Any, send: Any) -> None:
    """Answers how long a body is."""
    size = 0
    while (heard := await receive())["type"] == "http.request":
        size += len(heard["body"])
        if not heard["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


async def answered(pieces: list[bytes]) -> tuple[bytes, int]:
    """What is said to somebody who sends these pieces, and how many were taken."""

    wire = Wire()
    protocol = BoundedHttp(Config(_counts), ServerState(), {})
    protocol.connection_made(wire)
    taken = 0
    for piece in pieces:
        protocol.data_received(piece)
        taken += len(piece)
        await asyncio.sleep(0)
        if wire.closing:
            break
    for _ in range(100):
        await asyncio.sleep(0)
    assert not wire.late  # of which uvloop would make an error in the log
    protocol.connection_lost(None)
    return wire.said, taken


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: hub\r\nX-Long: ",
        b"POST / HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Long: ",
    ],
)
def test_what_has_no_end_is_left_when_it_is_too_long(begin: bytes) -> None:
    said, taken = asyncio.run(answered([begin, *[PIECE] * 100]))
    assert b" 400 " in said
    assert taken <= LARGEST_HEAD + 2 * len(PIECE) + len(begin)


def test_a_body_may_be_longer_than_a_head() -> None:
    pieces = [WHOLE % (100 * len(PIECE)), *[PIECE] * 100]
    said, taken = asyncio.run(answered(pieces * 2))
    assert said.count(b"HTTP/1.1 200") == 2
    assert taken == 2 * sum(map(len, pieces))


def test_many_short_heads_are_no_long_one() -> None:
    said, _ = asyncio.run(answered([WHOLE % 1 + b"x"] * 2000))
    assert said.count(b"HTTP/1.1 200") == 2000


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: hub\r\n\r\n"
WISH = b"%s / HTTP/1.1\r\nHost: hub\r\nConnection: upgrade\r\nUpgrade: %s\r\n%s\r\n"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("length", [b"Content-Length: 37\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_wish_for_another_protocol_makes_no_body_a_request(
    protocol: bytes, method: bytes, length: bytes
) -> None:
    wish = WISH % (method, protocol, length)
    for pieces in ([wish, HIDDEN], [wish + HIDDEN, HIDDEN]):
        said, _ = asyncio.run(answered(pieces))
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1


def test_a_wish_for_another_protocol_alone_is_not_heeded() -> None:
    said, _ = asyncio.run(answered([WISH % (b"GET", b"h2c", b""), HIDDEN]))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1") == 1
    assert b"connection: close" in said


def test_few_requests_wait_for_the_answers_to_others() -> None:
    said, _ = asyncio.run(answered([HIDDEN * MOST_WAITING]))
    assert said.count(b"HTTP/1.1 200 ") == MOST_WAITING
    said, _ = asyncio.run(answered([HIDDEN * (MOST_WAITING + 2)]))
    assert said.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        ([], True),
        ([b"GET / HTTP/1.1\r\nHost: "], True),
        ([WHOLE % 9, b"x"], True),
        ([b"\r\n"], True),  # which uvicorn takes for more than nothing, and the parser does not
        ([HIDDEN], False),
        ([WHOLE % (LEAST_READ + 9), b"x" * LEAST_READ], False),
    ],
)
def test_what_was_begun_and_hardly_goes_on_is_left(pieces: list[bytes], *, left: bool) -> None:
    assert asyncio.run(_left(pieces)) is left


@pytest.mark.parametrize(
    "more", [b"\0", HIDDEN + b"\0", WISH % (b"POST", b"x", b"Content-Length: 1\r\n")]
)
def test_after_what_is_no_request_nothing_more_is_said(more: bytes) -> None:
    for pieces in (
        [HIDDEN + more],
        [WHOLE % 9 + b"123456789" + more],
        [HIDDEN, WHOLE % 1 + b"1" + more],
    ):
        said, _ = asyncio.run(answered(pieces))
        assert b"HTTP/1.1 400 " in said
        assert said.endswith(b"Invalid HTTP request received.")


async def _left(pieces: list[bytes]) -> bool:
    """Whether somebody who said these pieces between two looks, and before that nothing, is left."""
    wire = Wire()
    protocol = BoundedHttp(Config(_counts), ServerState(), {})
    protocol.connection_made(wire)
    protocol.look()
    for piece in pieces:
        protocol.data_received(piece)
        for _ in range(10):
            await asyncio.sleep(0)
    protocol.look()
    closing = wire.closing
    protocol.connection_lost(None)
    return closing

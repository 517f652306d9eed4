"""Endpoints of developers are asked within bounds: of place, of time, and of what they may make the hub do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from clearhold.adapters.endpoints_https import HttpsEndpoints
from clearhold.kernel.errors import InvalidError, UnavailableError
from scripted_model import LOOPBACK

SOON = "clearhold.adapters.endpoints_https._SOON_S"


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """A server that sends `first`, and then a byte now and then without end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(first)
                while not over.wait(0.02):
                    try:
                        accepted.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst",  # cut off
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfirst",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nfirst",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\nContent-Length: 5\r\n\r\nfirst",
        b"HTTP/1.1 200 OK\r\n X-Folded: 1\r\n\r\nfirst",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_whole_answer_is_none(said: bytes) -> None:
    endpoints = HttpsEndpoints(LOOPBACK)
    with (
        answering(said, then_close=True) as (address, _),
        pytest.raises(UnavailableError),
        endpoints.ask(f"{address}/x", {}, b"{}", within_s=30) as given,
    ):
        b"".join(given.pieces)
    endpoints.close()


def test_no_header_makes_another_line_of_the_head() -> None:
    endpoints = HttpsEndpoints(LOOPBACK)
    with (
        answering(ANSWER % b"") as (address, heard),
        pytest.raises(UnavailableError),
        endpoints.ask(f"{address}/x", {"X-Key": "a\r\nX-Other: b"}, b"{}", within_s=30),
    ):
        pass
    assert heard in ([], [0])
    endpoints.close()


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: ",  # headers that never end
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",  # an answer that does not
        b"not HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_an_endpoint_that_never_ends_is_left_when_its_time_is_over(first: bytes) -> None:
    endpoints = HttpsEndpoints(LOOPBACK)
    with (
        dripping(first) as address,
        pytest.raises(UnavailableError),
        endpoints.ask(f"{address}/x", {}, b"{}", within_s=0.5) as given,
    ):
        b"".join(given.pieces)
    endpoints.close()


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"2\r\nfi\r\n3\r\nrst\r\n0\r\nX-Late: 1\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n%s\r\nfirst"


@contextmanager
def answering(said: bytes, *, then_close: bool = False) -> Iterator[tuple[str, list[int]]]:
    """A server that says the same to every request, and how many it heard on each connection."""
    heard: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak(accepted: socket.socket, place: int) -> None:
            with accepted, suppress(OSError):  # whoever asked may have had enough
                while accepted.recv(65536):
                    heard[place] += 1
                    accepted.sendall(said)
                    if then_close:
                        return

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                heard.append(0)
                threading.Thread(target=speak, args=(accepted, len(heard) - 1), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", heard
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def said_to(endpoints: HttpsEndpoints, address: str, times: int) -> list[bytes]:
    told = []
    for _ in range(times):
        with endpoints.ask(f"{address}/x", {}, b"{}", within_s=30) as given:
            told.append(b"".join(given.pieces))
    endpoints.close()
    return told


def test_a_connection_that_ended_its_message_in_order_is_used_again() -> None:
    with answering(ANSWER % b"") as (address, heard):
        assert said_to(HttpsEndpoints(LOOPBACK), address, 3) == [b"first"] * 3
        assert heard == [3]


@pytest.mark.parametrize(
    "said",
    [
        ANSWER % b"" + (ANSWER % b"").replace(b"first", b"other"),  # an answer nobody asked for
        ANSWER % b"" + b"x",
        ANSWER % b"Connection: close\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER % b"Connection: close\r\n",
        (ANSWER % b"").replace(b"1.1", b"1.0"),
        CHUNKED,
    ],
)
def test_no_answer_is_taken_for_the_next_one_s(said: bytes) -> None:
    with answering(said) as (address, heard):
        assert said_to(HttpsEndpoints(LOOPBACK), address, 3) == [b"first"] * 3
        assert heard == [1, 1, 1]


@pytest.mark.parametrize("said", [ANSWER % b"", b"HTTP/1.1 200 OK\r\n\r\nfirst"])
def test_a_connection_that_the_server_closed_is_not_used_again(said: bytes) -> None:
    with answering(said, then_close=True) as (address, heard):
        endpoints = HttpsEndpoints(LOOPBACK)
        for _ in range(2):
            with endpoints.ask(f"{address}/x", {}, b"{}", within_s=30) as given:
                assert b"".join(given.pieces) == b"first"
            time.sleep(0.1)  # for the end of the connection to arrive
        endpoints.close()
        assert heard == [1, 1]


def test_what_is_done_meanwhile_is_done_once_unless_the_answer_comes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(ANSWER % b"") as (address, heard):
        endpoints = HttpsEndpoints(LOOPBACK)
        done: list[int] = []
        for soon, times in ((0.0, 1), (30.0, 1), (0.0, 2)):
            monkeypatch.setattr(SOON, soon)
            with endpoints.ask(
                f"{address}/x", {}, b"{}", within_s=30, meanwhile=lambda: done.append(len(heard))
            ) as given:
                assert len(done) == times
                assert b"".join(given.pieces) == b"first"
        with (
            pytest.raises(OSError, match="the disk"),  # which is no endpoint's fault
            endpoints.ask(f"{address}/x", {}, b"{}", within_s=30, meanwhile=_fail),
        ):
            pass
        assert len(done) == 2
        endpoints.close()


def test_who_has_but_begun_to_answer_has_not_answered_at_once() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nfirst") as address:
        endpoints = HttpsEndpoints(LOOPBACK)
        done: list[bool] = []
        with (
            pytest.raises(UnavailableError),
            endpoints.ask(
                f"{address}/x", {}, b"{}", within_s=2, meanwhile=lambda: done.append(True)
            ) as given,
        ):
            list(given.pieces)
        assert done == [True]
        endpoints.close()


def _fail() -> None:
    message = "the disk"
    raise OSError(message)


def test_two_keys_share_no_connection() -> None:
    endpoints = HttpsEndpoints(LOOPBACK)
    with answering(ANSWER % b"") as (address, heard):
        for key in "abab":
            with endpoints.ask(f"{address}/x", {"X-Key": key}, b"{}", within_s=30) as given:
                assert b"".join(given.pieces) == b"first"
        endpoints.close()
        assert heard == [2, 2]


@pytest.mark.parametrize("bound", ["_KEPT_S", "_OLDEST_S"])
def test_a_connection_is_not_used_for_ever(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"clearhold.adapters.kept_connections.{bound}", 0.0)
    with answering(ANSWER % b"") as (address, heard):
        assert said_to(HttpsEndpoints(LOOPBACK), address, 3) == [b"first"] * 3
        assert heard == [1, 1, 1]


def test_an_answer_may_come_in_as_many_small_chunks_as_it_likes() -> None:
    words = 30_000
    said = CHUNKED.replace(b"2\r\nfi\r\n3\r\nrst\r\n", b"4\r\nword\r\n" * words)
    with answering(said) as (address, _):
        assert said_to(HttpsEndpoints(LOOPBACK), address, 1) == [b"word" * words]


@pytest.mark.parametrize("far", ["X" * 200_000, "1;" + "x" * 200_000, "0\r\nX: " + "x" * 200_000])
def test_what_stands_between_chunks_has_an_end(far: str) -> None:
    endpoints = HttpsEndpoints(LOOPBACK)
    said = CHUNKED.replace(b"2\r\nfi\r\n", far.encode())
    with (
        answering(said) as (address, _),
        pytest.raises(UnavailableError),
        endpoints.ask(f"{address}/x", {}, b"{}", within_s=30) as given,
    ):
        b"".join(given.pieces)
    endpoints.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/v1",
        "https://127.0.0.1/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://169.254.169.254/latest",
        "https://localhost/v1",
        "ftp://example.org/v1",
    ],
)
def test_without_a_network_that_is_named_only_public_addresses_are_asked(address: str) -> None:
    endpoints = HttpsEndpoints()
    with pytest.raises(InvalidError):
        endpoints.check(address)
    with pytest.raises(InvalidError), endpoints.ask(address, {}, b"{}", within_s=1):
        pass
    endpoints.close()

"""The hub reads strangers' pages from the public internet alone, whatever their names resolve to."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from clearhold.adapters.outside import public
from clearhold.adapters.pages_https import LARGEST, HttpsPages, resolve
from clearhold.kernel.errors import UnavailableError
from own_certificates import HOST, certify

LOOPBACK = "127.0.0.1"


@dataclass
class Server:
    """A real HTTPS server on the loopback interface whose certificate is for example.org."""

    port: int
    authority: str
    seen: list[tuple[str, str]] = field(default_factory=list)

    def pages(self, *found: str, **options: Any) -> HttpsPages:
        given = {"permitted": lambda _address: True, "trusted": self.authority} | options
        addresses = [ip_address(each) for each in found or ("127.0.0.1",)]
        return HttpsPages(resolve=lambda _host: addresses, port=self.port, **given)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    certificate, key = certify(tmp_path)
    running = Server(0, str(certificate))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.seen.append((self.headers["Host"], self.path))
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "https://example.org/there")
                self.end_headers()
                return
            body = b"x" * (LARGEST + 1) if self.path == "/long" else b"a line\n"
            self.send_response(404 if self.path == "/gone" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    running.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield running
    listening.shutdown()
    thread.join()
    listening.server_close()


def refused(read: Callable[[], bytes]) -> str:
    with pytest.raises(UnavailableError) as told:
        read()
    return told.value.message


def test_a_page_is_read_from_the_checked_address_under_its_own_name(server: Server) -> None:
    assert server.pages().read(f"https://{HOST}/there") == b"a line\n"
    assert server.seen == [(HOST, "/there")]


@pytest.mark.parametrize(
    ("path", "reason"), [("/moved", "302"), ("/gone", "404"), ("/long", "too long")]
)
def test_no_redirect_is_followed_and_nothing_long_is_read(
    server: Server, path: str, reason: str
) -> None:
    assert reason in refused(lambda: server.pages().read(f"https://{HOST}{path}"))
    assert server.seen == [(HOST, path)]


def test_a_certificate_for_another_name_or_of_nobody_trusted_is_refused(server: Server) -> None:
    refused(lambda: server.pages().read("https://other.example/"))
    refused(lambda: server.pages(trusted=None).read(f"https://{HOST}/"))
    assert server.seen == []


@pytest.mark.parametrize("found", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], []])
def test_a_name_with_any_address_inside_is_refused_before_anything_is_sent(
    server: Server, found: list[str]
) -> None:
    addresses = [ip_address(each) for each in found]
    pages = HttpsPages(resolve=lambda _host: addresses, port=server.port, trusted=server.authority)
    assert "public internet" in refused(lambda: pages.read(f"https://{HOST}/"))
    assert server.seen == []


def test_a_name_is_resolved_once_so_that_a_second_answer_leads_nowhere(server: Server) -> None:
    answers = [[ip_address("127.0.0.1")], [ip_address("169.254.169.254")]]
    pages = HttpsPages(
        resolve=lambda _host: answers.pop(0),
        permitted=lambda address: str(address) == "127.0.0.1",
        port=server.port,
        trusted=server.authority,
    )
    assert pages.read(f"https://{HOST}/") == b"a line\n"
    assert len(answers) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
        "::7f00:1",
        "::ffff:0:127.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "2001:0:7f00:1::",
    ],
)
def test_no_address_inside_counts_as_public(address: str) -> None:
    assert not public(ip_address(address))


def test_addresses_of_the_internet_count_as_public() -> None:
    assert public(ip_address("93.184.216.34"))
    assert public(ip_address("2606:2800:220:1:248:1893:25c8:1946"))


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/",
        "https://example.org:8443/",
        "https://user@example.org/",
        "file:///etc/passwd",
        "https:///x",
    ],
)
def test_only_plain_https_addresses_are_read(server: Server, address: str) -> None:
    assert "plain https" in refused(lambda: server.pages().read(address))


def test_the_systems_resolver_says_where_a_loopback_name_leads() -> None:
    assert all(each.is_loopback for each in resolve("localhost"))


@pytest.mark.parametrize("stage", ["handshake", "headers"])
def test_a_server_that_drips_its_answer_is_left_at_the_limit(tmp_path: Path, stage: str) -> None:
    certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    stop = threading.Event()
    with socket.create_server((LOOPBACK, 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            piece = b"\x16\x03\x03\x40\x00" if stage == "handshake" else b"a"
            with contextlib.suppress(OSError), contextlib.ExitStack() as open_:
                if stage == "headers":
                    connection = context.wrap_socket(connection, server_side=True)
                open_.enter_context(connection)
                if stage == "headers":
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.1):
                    connection.sendall(piece)
                    piece = b"a"

        server = threading.Thread(target=drip, daemon=True)
        server.start()
        pages = HttpsPages(
            resolve=lambda _host: [ip_address(LOOPBACK)],
            permitted=lambda _address: True,
            port=listening.getsockname()[1],
            trusted=str(certificate),
            seconds=0.8,
        )
        refused: list[UnavailableError] = []

        def read() -> None:
            try:
                pages.read(f"https://{HOST}/x")
            except UnavailableError as error:
                refused.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(30)
        stop.set()
        server.join(30)
        assert not reader.is_alive()
        assert refused

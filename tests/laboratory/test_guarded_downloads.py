"""Whatever a server answers, archives and packages come from where the machine may ask alone."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from clearhold.adapters import release_lists
from clearhold.adapters.guarded_client import guarded_client
from clearhold.adapters.sources_npm import NpmFetcher, RegistrySettings
from clearhold.adapters.sources_pypi import IndexSettings, PypiFetcher
from clearhold.adapters.sources_web import WebFetcher
from clearhold.kernel.errors import UnavailableError
from own_certificates import HOST, certify

OWN = (ip_network("127.0.0.0/8"),)
CAP = 1 << 20
OTHER = "other.example"
CONTENT = b"an archive"


@dataclass
class Server:
    """A server on the loopback interface that sends on to wherever it is told to."""

    tls: bool
    port: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    leads: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def address(self, path: str = "", *, host: str = "") -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{host or (HOST if self.tls else '127.0.0.1')}:{self.port}/{path}"


def serve(server: Server, root: Path) -> tuple[http.server.ThreadingHTTPServer, threading.Thread]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which keeps connections

        def do_GET(self) -> None:
            server.seen.append((self.headers["Host"], self.path))
            server.tokens.append(self.headers["Authorization"])
            body = server.files.get(self.path)
            lead = server.leads.get(self.path)
            self.send_response(302 if lead else 200 if body is not None else 404)
            if lead:
                self.send_header("Location", lead)
            if self.path.endswith("/"):
                self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_words: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if server.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(root / "cert.pem", root / "key.pem")
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    return listening, thread


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    """One with TLS by a trusted certificate, and one without at a port that nobody configured."""
    certify(tmp_path)
    looked_up = socket.getaddrinfo

    def here(host: str, *rest: object, **options: object) -> object:
        named = host in {HOST, OTHER}
        return looked_up("127.0.0.1" if named else host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    both = (Server(tls=True), Server(tls=False))
    running = [serve(each, tmp_path) for each in both]
    yield both
    for listening, thread in running:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_an_archive_is_followed_within_the_networks_that_are_named(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    server.files["/a.tgz"] = CONTENT
    server.leads["/moved.tgz"] = "/a.tgz"
    for name in ("a.tgz", "moved.tgz"):
        WebFetcher(OWN).fetch(server.address(name), tmp_path / name, size_cap=CAP)
        assert (tmp_path / name).read_bytes() == CONTENT
    assert {host for host, _ in server.seen} == {f"{HOST}:{server.port}"}


def test_an_archive_at_a_private_address_is_not_asked_for(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    server.files["/a.tgz"] = CONTENT
    private = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "2130706433", "localhost", "[::1]", HOST)
    for host in private:
        with pytest.raises(UnavailableError, match="CLEARHOLD_SOURCE_NETWORKS"):
            WebFetcher().fetch(server.address("a.tgz", host=host), tmp_path / "f", size_cap=CAP)
    assert server.seen == []
    assert not (tmp_path / "f").exists()


def test_no_redirect_of_an_archive_leads_outside_the_guard(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, plain = servers
    plain.files["/f"] = CONTENT
    for number, lead in enumerate(
        (
            "https://10.1.2.3/f",
            "https://169.254.169.254/f",
            plain.address("f"),
            "file:///etc/passwd",
        )
    ):
        server.leads[f"/{number}"] = lead
        with pytest.raises(UnavailableError) as refused:
            WebFetcher(OWN).fetch(server.address(str(number)), tmp_path / "f", size_cap=CAP)
        assert refused.value.next_step
    server.leads["/loop"] = "/loop"
    with pytest.raises(UnavailableError, match="TooManyRedirects"):
        WebFetcher(OWN).fetch(server.address("loop"), tmp_path / "f", size_cap=CAP)
    assert plain.seen == []
    assert not (tmp_path / "f").exists()


def test_each_name_of_one_address_shows_its_own_certificate(
    servers: tuple[Server, Server],
) -> None:
    server, _ = servers
    server.files["/a.tgz"] = CONTENT
    with guarded_client(also=OWN) as client:
        assert client.get(server.address("a.tgz")).content == CONTENT
        with pytest.raises(httpx.ConnectError):
            client.get(server.address("a.tgz", host=OTHER))
    assert {host for host, _ in server.seen} == {f"{HOST}:{server.port}"}


def test_a_configured_registry_is_asked_where_it_is_and_sends_nobody_inside(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    inside, registry = servers
    at = "/thing/-/thing-1.0.0.tgz"
    inside.files["/f"] = CONTENT
    place = f"//127.0.0.1:{registry.port}/"
    fetcher = NpmFetcher(RegistrySettings(registry.address(), None, {}, {place: "token"}))
    for lead in (inside.address("f"), f"http://localhost:{registry.port}{at}"):
        registry.leads[at] = lead
        with pytest.raises(UnavailableError, match="CLEARHOLD_SOURCE_NETWORKS"):
            fetcher.fetch("thing@1.0.0", tmp_path / "f", size_cap=CAP)
    assert inside.seen == []
    named = NpmFetcher(RegistrySettings(registry.address(), None, {}, {place: "token"}), also=OWN)
    registry.leads[at] = inside.address("f")
    named.fetch("thing@1.0.0", tmp_path / "f", size_cap=CAP)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert set(registry.tokens) == {"Bearer token"}
    assert inside.tokens == [None]


def test_a_package_index_links_and_leads_nobody_inside(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    inside, index = servers
    inside.files["/f"] = CONTENT
    settings = IndexSettings((index.address("simple"),), (), None)
    links = {"files": [{"filename": "thing-1.tar.gz", "url": inside.address("f")}]}
    index.files["/simple/thing/"] = json.dumps(links).encode()
    locator = "thing==1:thing-1.tar.gz"
    with pytest.raises(UnavailableError, match="CLEARHOLD_SOURCE_NETWORKS"):
        PypiFetcher(settings).fetch(locator, tmp_path / "f", size_cap=CAP)
    index.leads["/simple/thing/"] = inside.address("simple/thing/")
    with pytest.raises(UnavailableError, match="CLEARHOLD_SOURCE_NETWORKS"):
        PypiFetcher(settings).fetch(locator, tmp_path / "f", size_cap=CAP)
    assert inside.seen == []
    del index.leads["/simple/thing/"]
    PypiFetcher(settings, also=OWN).fetch(locator, tmp_path / "f", size_cap=CAP)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_list_of_releases_leads_nobody_inside(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, index = servers
    for path in ("/thing/", "/thing"):
        index.leads[path] = inside.address("list")
    monkeypatch.setattr(
        release_lists, "pip_settings", lambda: IndexSettings((index.address(),), (), None)
    )
    monkeypatch.setattr(
        release_lists, "npm_settings", lambda: RegistrySettings(index.address(), None)
    )
    for asked in (release_lists.of_npm, release_lists.of_pypi):
        with pytest.raises(UnavailableError, match="CLEARHOLD_SOURCE_NETWORKS"):
            asked("thing")
    assert len(index.seen) == 2
    assert inside.seen == []

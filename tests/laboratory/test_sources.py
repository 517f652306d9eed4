"""Source is bytes with a known hash: nothing else is given out, and nothing is asked for twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clearhold.adapters.sources_cache import CachedSources
from clearhold.adapters.sources_pypi import IndexSettings, PypiFetcher
from clearhold.kernel.errors import (
    IntegrityError,
    InvalidError,
    TooLargeError,
    UnavailableError,
)

CONTENT = b"a published archive"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Shelf:
    """An origin that counts how often it is asked."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked = 0

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        self.asked += 1
        target.write_bytes(self.content)


class Index(BaseHTTPRequestHandler):
    """A package index with one project, in PEP 691's form or PEP 503's."""

    as_json = True

    def do_GET(self) -> None:
        if self.path == "/simple/thing/":
            page = {"files": [{"filename": "thing-1.tar.gz", "url": "../../files/thing-1.tar.gz"}]}
            body = (
                json.dumps(page).encode()
                if self.as_json
                else b'<a href="/files/thing-1.tar.gz#sha256=00">thing-1.tar.gz</a>'
            )
            kind = "application/vnd.pypi.simple.v1+json" if self.as_json else "text/html"
        elif self.path == "/files/thing-1.tar.gz":
            body, kind = CONTENT, "application/gzip"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its own signature)
        """Print nothing."""


@pytest.fixture(params=["json", "html"])
def index(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Chosen", (Index,), {"as_json": request.param == "json"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_source_is_fetched_once_and_then_given_without_its_origin(tmp_path: Path) -> None:
    shelf = Shelf()
    sources = CachedSources(tmp_path, origins={"shelf": shelf})
    first = sources.fetch("shelf:x", SHA256)
    assert first.read_bytes() == CONTENT
    assert sources.fetch("shelf:x", SHA256) == first
    assert shelf.asked == 1
    assert CachedSources(tmp_path, origins={}).fetch("shelf:x", SHA256) == first


def test_bytes_that_are_not_the_pinned_ones_are_refused_and_not_kept(tmp_path: Path) -> None:
    sources = CachedSources(tmp_path, origins={"shelf": Shelf(b"something else")})
    with pytest.raises(IntegrityError) as refused:
        sources.fetch("shelf:x", SHA256)
    assert SHA256 in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    shelf = Shelf()
    sources = CachedSources(tmp_path, origins={"shelf": shelf})
    kept = sources.fetch("shelf:x", SHA256)
    kept.chmod(0o644)
    kept.write_bytes(b"damaged")
    assert sources.fetch("shelf:x", SHA256).read_bytes() == CONTENT
    assert shelf.asked == 2


@pytest.mark.parametrize(
    ("origin", "sha256"), [("attic:x", SHA256), ("shelf", SHA256), ("shelf:x", "../" + SHA256)]
)
def test_an_origin_or_hash_that_makes_no_sense_is_refused(
    tmp_path: Path, origin: str, sha256: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        CachedSources(tmp_path, origins={"shelf": Shelf()}).fetch(origin, sha256)
    assert refused.value.next_step


def test_a_file_is_found_through_the_index(tmp_path: Path, index: str) -> None:
    fetcher = PypiFetcher(IndexSettings((index,), (), None))
    fetcher.fetch("thing==1:thing-1.tar.gz", tmp_path / "file", size_cap=1000)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_larger_than_its_cap_is_not_fetched(tmp_path: Path, index: str) -> None:
    fetcher = PypiFetcher(IndexSettings((index,), (), None))
    with pytest.raises(TooLargeError):
        fetcher.fetch("thing==1:thing-1.tar.gz", tmp_path / "file", size_cap=5)


@pytest.mark.parametrize("locator", ["thing==2:thing-2.tar.gz", "other==1:other-1.tar.gz"])
def test_what_no_index_has_is_named_with_the_next_step(
    tmp_path: Path, index: str, locator: str
) -> None:
    fetcher = PypiFetcher(IndexSettings((index,), (), None))
    with pytest.raises(UnavailableError) as missing:
        fetcher.fetch(locator, tmp_path / "file", size_cap=1000)
    assert locator.partition(":")[2] in missing.value.message
    assert missing.value.next_step


def test_a_local_directory_of_files_serves_without_an_index(tmp_path: Path) -> None:
    (tmp_path / "thing-1.tar.gz").write_bytes(CONTENT)
    fetcher = PypiFetcher(IndexSettings((), (tmp_path,), None))
    fetcher.fetch("thing==1:thing-1.tar.gz", tmp_path / "file", size_cap=1000)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("locator", ["thing", "thing==1", "thing==1:../../etc/passwd", "a b==1:x"])
def test_a_locator_that_is_no_published_file_is_refused(tmp_path: Path, locator: str) -> None:
    with pytest.raises(InvalidError):
        PypiFetcher(IndexSettings((), (), None)).fetch(locator, tmp_path / "f", size_cap=10)

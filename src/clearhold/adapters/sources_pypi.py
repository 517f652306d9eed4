"""Published Python files by name from the index pip is configured for (PEP 503, PEP 691).

Only bytes are brought: no metadata is computed and no build code runs, which `pip download` of a
source archive would do. Which index, certificate and local directories to use is read from pip's
own configuration and built-in default, so that a site configures its mirror once.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import httpx
from packaging.utils import canonicalize_name

from clearhold.adapters.download import reason_of, write_within
from clearhold.adapters.guarded_address import Network
from clearhold.adapters.guarded_client import guarded_client
from clearhold.kernel.errors import InvalidError, UnavailableError, refuse_full_disk

_LOCATOR = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+):([A-Za-z0-9][A-Za-z0-9.+_-]*)")
_PAGE_CAP = 32 * 1024 * 1024
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What pip would use: index URLs in order, local directories of files, a CA bundle or None.

    `files` are the other servers that pip is built to take files from.
    """

    indexes: tuple[str, ...]
    directories: tuple[Path, ...]
    certificate: str | None
    files: tuple[str, ...] = ()


def pip_settings() -> IndexSettings:
    """Read pip's configuration files, `PIP_*` variables and built-in default index.

    Raises `UnavailableError` when pip's configuration cannot be read.
    """
    # pip offers no public way to ask for these; an incompatible pip is reported, so the
    # imports stand inside.
    try:
        from pip._internal.configuration import Configuration  # noqa: PLC0415
        from pip._internal.models.index import PyPI  # noqa: PLC0415

        default, files = str(PyPI.simple_url), f"https://{PyPI.file_storage_domain}/"
        configuration = Configuration(isolated=False)
        configuration.load()
        found: dict[str, str] = {}
        for key, value in configuration.items():
            # Older releases of pip give pairs, newer ones one mapping per file.
            pairs = value.items() if isinstance(value, dict) else ((key, value),)
            for name, setting in pairs:
                section, _, option = name.partition(".")
                if section in {"global", "download", ":env:"}:
                    found[option] = setting
    except Exception as error:
        raise UnavailableError(
            f"pip's configuration cannot be read ({type(error).__name__}).",
            next_step="Check `python -m pip config list`.",
        ) from error
    indexes = [found.get("index-url", default), *found.get("extra-index-url", "").split()]
    if found.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        indexes = []
    return IndexSettings(
        indexes=tuple(url for url in indexes if urlsplit(url).scheme in {"http", "https"}),
        directories=tuple(
            Path(unquote(urlsplit(place).path)) if place.startswith("file:") else Path(place)
            for place in found.get("find-links", "").split()
            if "://" not in place or place.startswith("file:")
        ),
        certificate=found.get("cert"),
        files=(files,),
    )


class _Anchors(HTMLParser):
    """Collects (file name, address) of the links of a PEP 503 page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href" and value:
                address = urldefrag(value).url
                self.links.append((unquote(urlsplit(address).path).rsplit("/", 1)[-1], address))


def _links(page: httpx.Response, body: bytes) -> Iterator[tuple[str, str]]:
    if "json" in page.headers.get("content-type", ""):
        document = json.loads(body)
        for entry in document.get("files", []):
            yield str(entry["filename"]), str(entry["url"])
        return
    anchors = _Anchors()
    anchors.feed(body.decode("utf-8", "replace"))
    yield from anchors.links


class PypiFetcher:
    """`ports.sources.Fetcher` for locators `NAME==VERSION:FILENAME`."""

    def __init__(
        self,
        settings: IndexSettings | None = None,
        *,
        also: Sequence[Network] = (),
        timeout_s: float = 30.0,
    ) -> None:
        self._settings = settings
        self._also = tuple(also)
        self._timeout_s = timeout_s

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write the named file of the named release to `target`."""
        match = _LOCATOR.fullmatch(locator)
        if match is None:
            raise InvalidError(
                f"{locator!r} names no published Python file.",
                next_step="Write NAME==VERSION:FILENAME.",
            )
        name, filename = match.group(1), match.group(3)
        settings = self._settings or pip_settings()
        for directory in settings.directories:
            local = directory / filename
            if local.is_file() and local.stat().st_size <= size_cap:
                shutil.copyfile(local, target)
                return
        reasons: list[str] = []
        with guarded_client(
            also=self._also,
            own=(*settings.indexes, *settings.files),
            certificate=settings.certificate,
            timeout_s=self._timeout_s,
        ) as client:
            for index in settings.indexes:
                try:
                    if _download(client, index, name, filename, target, size_cap=size_cap):
                        return
                    reasons.append("the index does not list it")
                except (
                    httpx.HTTPError,
                    httpx.InvalidURL,
                    ValueError,
                    KeyError,
                    OSError,
                ) as error:
                    refuse_full_disk(error)
                    reasons.append(reason_of(error))
        raise UnavailableError(
            f"{filename} could not be fetched ({'; '.join(reasons) or 'pip has no index'}).",
            next_step=(
                "Connect to the package index, or place the file in a directory that pip's"
                " find-links setting names."
            ),
        )


def _download(
    client: httpx.Client, index: str, name: str, filename: str, target: Path, *, size_cap: int
) -> bool:
    page_address = f"{index.rstrip('/')}/{canonicalize_name(name)}/"
    with client.stream("GET", page_address, headers={"accept": _ACCEPT}) as page:
        if page.status_code == httpx.codes.NOT_FOUND:
            return False
        page.raise_for_status()
        body = bytearray()
        for piece in page.iter_bytes():
            body += piece
            if len(body) > _PAGE_CAP:
                raise ValueError("index page too large")
        links = dict(_links(page, bytes(body)))
        base = str(page.url)
    if filename not in links:
        return False
    with client.stream("GET", urljoin(base, links[filename])) as response:
        response.raise_for_status()
        write_within(response, target, size_cap=size_cap)
    return True

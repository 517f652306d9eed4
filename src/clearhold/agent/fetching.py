"""How repository files are reached: from a directory (`file://`) or over HTTP, nothing else."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

_CHUNK: Final = 64 * 1024
_TIMEOUT: Final = httpx.Timeout(30.0)


class RepositoryFetcher(FetcherInterface):
    """Reads repository files from a directory or over HTTP, without following redirects."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return _file_chunks(Path(unquote(parts.path)))
        return _http_chunks(url)


def _file_chunks(path: Path) -> Iterator[bytes]:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DownloadHTTPError(f"no file {path.name}", 404) from error
    if not stat.S_ISREG(mode):
        raise DownloadError(f"{path.name} is not a plain file")
    return _read_chunks(path)


def _read_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise DownloadError(f"{path.name} cannot be read") from error


def _http_chunks(url: str) -> Iterator[bytes]:
    try:
        # Lengths and hashes are of the bytes as published, so nothing may re-encode them on the way.
        plain = {"Accept-Encoding": "identity"}
        with httpx.stream("GET", url, timeout=_TIMEOUT, headers=plain) as response:
            if response.status_code != httpx.codes.OK:
                raise DownloadHTTPError(f"status {response.status_code}", response.status_code)
            yield from response.iter_raw(_CHUNK)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"{type(error).__name__} while fetching") from error

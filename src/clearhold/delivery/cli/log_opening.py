"""Where a public log is read from: a directory, or an address.

Apart from `log_reading`, for an HTTP client takes longer to import than most files to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError
from clearhold.ledger.files import LogFiles
from clearhold.ledger.public_log import Read
from clearhold.wire.tlog_tiles import MAX_TILE_BYTES

_TIMEOUT_S: Final = 30


@contextmanager
def opened(log: str) -> Iterator[Read]:
    """How the files of a log are read, from a directory or over HTTP."""
    if not log.startswith(("https://", "http://")):
        if not Path(log).is_dir():
            raise InvalidError(
                "There is no directory of a log there.",
                next_step="Name the directory that holds `checkpoint`, or the log's https address.",
            )
        yield LogFiles(Path(log)).read
        return
    with httpx.Client(base_url=log.rstrip("/") + "/", timeout=_TIMEOUT_S, trust_env=False) as http:
        yield lambda path: _fetch(http, path)


def _fetch(http: httpx.Client, path: str) -> bytes | None:
    content = bytearray()
    try:
        with http.stream("GET", path) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.status_code != httpx.codes.OK:
                raise UnavailableError(
                    f"The log answered {answer.status_code} for {path}.",
                    next_step="Check the address; it is that of the directory with `checkpoint`.",
                )
            for part in answer.iter_bytes():
                content += part
                if len(content) > MAX_TILE_BYTES:
                    raise TooLargeError(f"The log's {path} is larger than any file of a log.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(
            "The log does not answer.", next_step="Check the address and the network."
        ) from error
    return bytes(content)

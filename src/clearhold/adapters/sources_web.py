"""Published archives by their address on the web, over https alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from clearhold.adapters.download import download
from clearhold.adapters.guarded_address import Network
from clearhold.adapters.guarded_client import guarded_client
from clearhold.kernel.errors import InvalidError, UnavailableError


class WebFetcher:
    """`ports.sources.Fetcher` for locators that are https addresses, public or in networks `also`."""

    def __init__(self, also: Sequence[Network] = (), *, timeout_s: float = 30.0) -> None:
        self._also = tuple(also)
        self._timeout_s = timeout_s

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write what stands at the address to `target`; redirects stay on https."""
        parts = urlsplit(locator)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise InvalidError(
                f"{locator[:200]!a} is no https address without a name and password.",
                next_step="Write tarball:https://HOST/PATH.",
            )
        with guarded_client(also=self._also, timeout_s=self._timeout_s) as client:
            client.event_hooks = {"request": [_https_alone]}
            reason = download(client, locator, target, size_cap=size_cap)
        if reason:
            raise UnavailableError(
                f"{parts.hostname} did not give the archive ({reason}).",
                next_step="Check the network, or copy the file into the source cache.",
            )


def _https_alone(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        message = "a redirect leaves https"
        raise httpx.UnsupportedProtocol(message, request=request)

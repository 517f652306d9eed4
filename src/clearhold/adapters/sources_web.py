"""Published archives by their address on the web, over https alone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from clearhold.adapters.download import download, trusting
from clearhold.kernel.errors import InvalidError, UnavailableError


class WebFetcher:
    """`ports.sources.Fetcher` for locators that are https addresses."""

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write what stands at the address to `target`; redirects stay on https."""
        parts = urlsplit(locator)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise InvalidError(
                f"{locator[:200]!a} is no https address without a name and password.",
                next_step="Write tarball:https://HOST/PATH.",
            )
        with httpx.Client(
            verify=trusting(None),
            timeout=self._timeout_s,
            follow_redirects=True,
            event_hooks={"request": [_https_alone]},
        ) as client:
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

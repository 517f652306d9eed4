"""Reading small public pages of strangers: what a party publishes to show that a place is its own."""

from __future__ import annotations

from typing import Protocol


class PageReader(Protocol):
    """Reads one page from a server that anybody may have named."""

    def read(self, address: str) -> bytes:
        """The bytes at an https address, a few kilobytes at most; no redirect is followed.

        Raises `UnavailableError` when the page is not there, is too long or too slow, or its server
        is not on the public internet.
        """
        ...

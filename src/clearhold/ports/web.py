"""Asking servers on the web that somebody else named, without becoming their way into this network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Web(Protocol):
    """Exchanges small JSON documents with servers that may be asked at all."""

    def get(self, address: str) -> Mapping[str, Any]:
        """The JSON object at `address`.

        Raises `InvalidError` for an address that may not be asked, `UnavailableError` when the
        server gives no such answer.
        """
        ...

    def post(
        self, address: str, form: Mapping[str, str], *, user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        """The JSON object that answers a form, as `user` (name and password) if given.

        Raises as `get` does, and `DeniedError` when the server refuses what the form asks.
        """
        ...

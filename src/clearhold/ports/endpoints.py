"""Endpoints of developers at which models are reached by HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Given:
    """What an endpoint gives: its status, the `Retry-After` it sent, and its answer by pieces.

    Reading a piece raises `UnavailableError` when the endpoint breaks off, or time is over.
    """

    status: int
    retry_after: str
    pieces: Iterator[bytes]


class Endpoints(Protocol):
    """Asks endpoints, and only where the hub may ask."""

    def check(self, address: str) -> None:
        """Raise `InvalidError` for an address that may not be asked, `UnavailableError` for none."""
        ...

    def ask(
        self,
        address: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        within_s: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> AbstractContextManager[Given]:
        """POST `body`; the whole exchange takes `within_s` seconds at most.

        `meanwhile` is for what may be done while the endpoint thinks: it is called once, after the
        request was sent and before this gives anything, unless the whole answer came at once or none
        will; what it raises is raised. Raises as `check` does beside, and `UnavailableError` when
        there is no answer.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept between calls; none is under way any more."""
        ...

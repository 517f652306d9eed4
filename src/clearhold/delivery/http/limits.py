"""What every request is held to before anything of it is read, and what every answer says to browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from clearhold.access.fair_share import FairShare
from clearhold.delivery.http import problems
from clearhold.kernel.errors import ClearholdError

LARGEST_BODY: Final = 64 * 1024 * 1024
OF_STRANGERS: Final = 64 * 1024
"""Bytes of a body that are read before it is known whose it is."""
IN_MEMORY: Final = 512 * 1024 * 1024
"""Bytes of longer bodies in memory at once, of which nobody has more than is left to the others."""
_bodies: Final = FairShare(IN_MEMORY)
_MOST_DIGITS: Final = 20
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@asynccontextmanager
async def read_within(
    request: Request, whose: Callable[[Request], str]
) -> AsyncIterator[Response | None]:
    """What is answered in place of reading a request's body; None when it may be read within.

    `whose` says from the head alone who sent it, and raises `ClearholdError` where that is nobody:
    for longer bodies, which else would fill the memory before anybody looks at a token.
    """
    size = _size(request)
    if size is None:
        yield _unbounded()
        return
    if size <= OF_STRANGERS:
        yield None
        return
    try:
        who = await run_in_threadpool(whose, request)
    except ClearholdError as error:
        yield problems.told(error)
        return
    if not _bodies.take(who, size):
        response = problems.problem(
            503,
            "unavailable",
            "As much is being sent to the hub as it can take at once.",
            "Send it again in a moment.",
        )
        response.headers["Retry-After"] = "5"
        yield response
        return
    try:
        yield None
    finally:
        _bodies.give_back(who, size)


def _size(request: Request) -> int | None:
    """How long a request says its body is; None where it does not say, or that is too long.

    One that says it in two ways does not say it (RFC 9112 section 6.1): servers heed the other.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit() or len(length) > _MOST_DIGITS or "transfer-encoding" in request.headers:
        return None
    return int(length) if int(length) <= LARGEST_BODY else None


def _unbounded() -> Response:
    """The answer to one that does not."""
    return problems.problem(
        413,
        "too_large",
        "A request body needs a Content-Length of at most 64 MiB.",
        "Send the length, or split the upload.",
    )


def protect(response: Response) -> None:
    """Say to browsers what no answer allows them, where it says nothing itself."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)

"""The other organisation's endpoint: half of each answer to a question whether a flaw is known.

It is asked by the hub alone, by a token, sees blinded elements, and keeps nothing but a count of
them for the day, so that a hub that is taken over cannot ask without bound.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import FastAPI, Header, Path, Request, Response
from pydantic import BaseModel, Field

from clearhold.delivery.http import problems
from clearhold.delivery.http.known import Bytes32, EvaluationView, Number, Room
from clearhold.delivery.http.limits import read_within
from clearhold.findings.known.keys import KeyHalf
from clearhold.findings.known.oprf import MOST_AT_ONCE
from clearhold.kernel.errors import LimitError, UnauthenticatedError

MOST_A_DAY: Final = 1_000_000
Epoch = Annotated[int, Path(ge=0, lt=1 << 31)]
Authorization = Annotated[str, Header()]


class PublicsView(BaseModel):
    """The public keys of an epoch, one a room."""

    publics: list[str]


class Wanted(BaseModel):
    """Blinded elements to evaluate."""

    epoch: Number
    room: Room
    elements: Annotated[list[Bytes32], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Allowance:
    """How many elements may still be evaluated today, by the clock in UTC."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._day = datetime.now(UTC).date()
        self._used = 0
        self._lock = threading.Lock()

    def use(self, count: int) -> None:
        """Raise `LimitError` when it is used up."""
        with self._lock:
            today = datetime.now(UTC).date()
            if today != self._day:
                self._day, self._used = today, 0
            if self._used + count > self._most:
                raise LimitError("No more elements are evaluated today.")
            self._used += count


def make_second_app(half: KeyHalf, *, token: str, most_a_day: int = MOST_A_DAY) -> FastAPI:
    """The application that answers for one half of the key."""
    app = FastAPI(title="Second key", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    allowance = Allowance(most_a_day)

    @app.middleware("http")
    async def _guard(
        request: Request, handle: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.method == "GET":
            return await handle(request)
        async with read_within(request, sender) as instead:
            return instead or await handle(request)

    def sender(request: Request) -> str:
        known(request.headers.get("authorization", ""))
        return "the hub"

    def known(authorization: str) -> None:
        given = authorization.removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, token.encode()):
            raise UnauthenticatedError("This needs the hub's token.")

    @app.get("/keys/{epoch}")
    def keys(epoch: Epoch, authorization: Authorization = "") -> PublicsView:
        known(authorization)
        return PublicsView(publics=[each.hex() for each in half.publics(epoch)])

    @app.post("/evaluations")
    def evaluate(wanted: Wanted, authorization: Authorization = "") -> EvaluationView:
        known(authorization)
        allowance.use(len(wanted.elements))
        elements, proof = half.evaluate(
            wanted.epoch, wanted.room, [bytes.fromhex(each) for each in wanted.elements]
        )
        return EvaluationView(elements=[each.hex() for each in elements], proof=proof.hex())

    return app

"""The gateway to models under test, as OpenAI's and Anthropic's clients speak to an endpoint.

Whoever calls shows the token of a grant, which is none of the hub's own and opens nothing else. Calls
take as long as models think, so they wait in threads of their own and never in those that the rest of
the hub answers from. They come so often that finding their route among hundreds, and all that stands
before the others, would cost more than the call: `Straight` leads them to their handlers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from clearhold.assembly.hub import Hub
from clearhold.delivery.http import problems
from clearhold.delivery.http.declare import PUBLIC, HubDep, requires
from clearhold.delivery.http.doors import hub_of, source_of
from clearhold.delivery.http.limits import protect, read_within
from clearhold.evaluations.gateway.calls import PLACES, Answered
from clearhold.kernel.errors import ClearholdError
from clearhold.wire.model_calls import Dialect

router = APIRouter(prefix="/gateway/v1", tags=["gateway"])

_BESIDE: Final = 16
"""Threads in which it is found out whose call it is, when all places are taken."""
_threads: Final = ThreadPoolExecutor(PLACES + _BESIDE, "model-call")


@router.post("/chat/completions", **requires(PUBLIC))
async def chat(request: Request) -> Response:
    """A call as OpenAI's clients make it, without streaming; `model` names a variant."""
    return await _called(request, Dialect.OPENAI)


@router.post("/messages", **requires(PUBLIC))
async def messages(request: Request) -> Response:
    """A call as Anthropic's clients make it, without streaming; `model` names a variant."""
    return await _called(request, Dialect.ANTHROPIC)


@router.get("/models", **requires(PUBLIC))
def models(hub: HubDep, request: Request) -> dict[str, Any]:
    """The variants that the caller's grant is for."""
    presented = _presented(request)
    with hub.throttle.attempt(source_of(request), presented[:35]):
        found = hub.models.gateway.variants(presented)
    listed = [{"id": each, "object": "model", "owned_by": "developer"} for each in found]
    return {"object": "list", "data": listed}


class Straight:
    """Leads calls to models to their handlers, and everything else on to the application.

    What the application does before a handler is done here too, but for the fence of requests
    (`store.fence`): a call acts for nobody, and reads as the hub itself from its first statement on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            f"{router.prefix}/chat/completions": chat,
            f"{router.prefix}/messages": messages,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        plain = scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]
        handler = self._handlers.get(scope["path"]) if plain else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            async with read_within(request, _holder) as instead:
                response = instead or await handler(request)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # let through, the server would log its text
            response = problems.unforeseen(error)
        protect(response)
        await response(scope, receive, send)


async def _called(request: Request, dialect: Dialect) -> Response:
    data = await request.body()
    call = partial(_call, hub_of(request), source_of(request), _presented(request), dialect, data)
    try:
        answered = await asyncio.get_running_loop().run_in_executor(_threads, call)
    except ClearholdError as error:
        told = {"error": {"message": error.message, "type": error.code}}
        response = problems.problem(
            error.status, error.code, error.message, error.next_step, error.facts | told
        )
        if "retry_after" in error.facts:
            response.headers["Retry-After"] = str(error.facts["retry_after"])
        return response
    return Response(
        answered.body,
        media_type="application/json",
        headers={"X-Clearhold-Call": str(answered.number)},
    )


def _holder(request: Request) -> str:
    hub, presented = hub_of(request), _presented(request)
    with hub.throttle.attempt(source_of(request), presented[:35]):
        return hub.models.gateway.holder(presented)


def _call(hub: Hub, source: str, presented: str, dialect: Dialect, data: bytes) -> Answered:
    with hub.throttle.attempt(source, presented[:35]):
        return hub.models.gateway.call(presented, dialect, data)


def _presented(request: Request) -> str:
    """The token: a bearer's, or the key that Anthropic's clients send."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return presented.strip()
    return request.headers.get("x-api-key", "").strip()

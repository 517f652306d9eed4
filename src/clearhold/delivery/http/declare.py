"""Declaring who may call a route; the application refuses to start with a route that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.doors import ActorDep, HubDep
from clearhold.kernel.errors import InvalidError

__all__ = [
    "BY_TOOL",
    "PUBLIC",
    "ActorDep",
    "HubDep",
    "IdempotencyKey",
    "RawBody",
    "SealingDep",
    "declared",
    "requires",
    "storable_text",
    "undeclared",
    "walk",
]

PUBLIC: Final = "public"
BY_TOOL: Final = "that of the tool called"
_MARK: Final = "clearhold_permission"
_SUSPECT: Final = re.compile(rb"\x00|\\u(0000|[dD][89a-fA-F])")  # \x00: UTF-16 or UTF-32
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ESCAPE: Final = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])')
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


async def _body(request: Request) -> bytes:
    return await request.body()


async def storable_text(request: Request) -> None:
    """Refuse JSON with characters that no database keeps: NUL and halves of surrogate pairs.

    Raises `InvalidError`.
    """
    body = await request.body()
    written_as_json = "json" in request.headers.get("content-type", "json")
    if not written_as_json or not _SUSPECT.search(body):
        return
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        whole = _UNSTORABLE.sub("?", _ESCAPE.sub("?", text))  # which this decoder would refuse
        msgspec.json.decode(whole, type=msgspec.Raw)  # builds nothing, however much there is
    except (ValueError, RecursionError):
        return  # bytes without a declared type, which the route itself reads
    for written in _STRING.finditer(text):
        if _UNSTORABLE.search(_unescaped(written[0])):
            raise InvalidError(
                "The request holds a NUL character or half of a surrogate pair.",
                next_step="Leave it out, or send such content in base64 where bytes are taken.",
            )


def _unescaped(written: str) -> str:
    if "\\" not in written:
        return written
    try:
        return str(json.loads(written))
    except ValueError:
        return ""  # no JSON after all


class Sealing:
    """Answers an artefact as it is, or sealed to a recipient of the caller's own party."""

    def __init__(self, hub: Hub, actor: Actor, sealed_to: str | None) -> None:
        self._hub = hub
        self._actor = actor
        self.to = sealed_to

    def __call__(self, release: Callable[[], bytes]) -> bytes:
        """What `release` gives; raises `NotFoundError` before it for a recipient not one's own."""
        if self.to is None:
            return release()
        self._hub.recipients.check(self._actor, self.to)
        return self._hub.recipients.seal(self._actor, self.to, release())


def sealing_of(
    hub: HubDep, actor: ActorDep, sealed_to: Annotated[str | None, Query(max_length=64)] = None
) -> Sealing:
    """How the caller wants an artefact; `sealed_to` is the fingerprint of an age recipient."""
    return Sealing(hub, actor, sealed_to)


SealingDep = Annotated[Sealing, Depends(sealing_of)]
RawBody = Annotated[bytes, Depends(_body)]
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


def requires(permission: Permission | str) -> dict[str, Any]:
    """Keyword arguments for a route decorator that declare its permission, or `PUBLIC`.

    `BY_TOOL` is for the one route that calls tools, each of which declares its own.
    """
    return {"openapi_extra": {_MARK: str(permission)}}


def declared(route: APIRoute) -> str | None:
    """What a route declared."""
    return (route.openapi_extra or {}).get(_MARK)


def undeclared(app: FastAPI) -> list[str]:
    """Every route that declares no permission; the application must have none."""
    return [name for name, permission in walk(app.routes) if permission is None]


def walk(routes: Sequence[BaseRoute], prefix: str = "") -> list[tuple[str, str | None]]:
    """Every route as (methods and path, declared permission), those of included routers too."""
    found: list[tuple[str, str | None]] = []
    for route in routes:
        included = getattr(route, "original_router", None)
        if isinstance(route, APIRoute):
            methods = ",".join(sorted(route.methods or ()))
            found.append((f"{methods} {prefix}{route.path}", declared(route)))
        elif included is not None:
            found += walk(included.routes, f"{prefix}{route.include_context.prefix}")  # type: ignore[attr-defined]
        else:
            # Anything of a kind not known here could serve something: it counts as undeclared.
            found.append((f"{prefix}{getattr(route, 'path', route)}", None))
    return found

"""Who is at the door: a bearer token or a browser's session, never both.

A cookie is sent by the browser whoever made it call. So a request with one counts only when it comes
from the hub's own pages (`Sec-Fetch-Site`, or `Origin` from a browser that does not send it) and, to
change anything, when it repeats the session's token, which no other site can read.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Final

from fastapi import Depends, Request, Response

from clearhold.access.browser_sessions import LONGEST, SignedIn
from clearhold.access.ceremonies import LIFE
from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import DeniedError, UnauthenticatedError
from clearhold.store import fence

CSRF_HEADER: Final = "X-Clearhold-Csrf"
_SESSION: Final = "clearhold-session"
_CEREMONY: Final = "clearhold-ceremony"
_SAFE: Final = frozenset({"GET", "HEAD"})
_OWN: Final = frozenset({"same-origin", "none"})


def hub_of(request: Request) -> Hub:
    """The hub this application serves."""
    hub: Hub = request.app.state.hub
    return hub


def source_of(request: Request) -> str:
    """Where a request comes from, as the server saw it or a proxy on this machine told it."""
    return request.client.host if request.client else ""


def agent_of(request: Request) -> str:
    """How the browser calls itself, for its owner's list of sessions."""
    return request.headers.get("user-agent", "")


def actor_of(request: Request) -> Actor:
    """Who calls, by a bearer token or a session. Raises `UnauthenticatedError`."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return acting(signed_in_of(request))
    if _cookie(request, _SESSION):
        raise UnauthenticatedError(
            "A token and a session came with one request.", next_step="Send one of the two."
        )
    presented = presented.strip()
    if scheme.lower() != "bearer" or not presented:
        raise _nobody()
    hub = hub_of(request)
    with hub.throttle.attempt(source_of(request), presented[:35]):
        return _known(hub.authenticate(presented))


def sender_of(request: Request) -> str:
    """Whose a request is, as its head tells: a party's, or a person's. Raises `UnauthenticatedError`."""
    if request.headers.get("authorization"):
        return actor_of(request).party
    signed = signed_in_of(request)
    return signed.person if signed.actor is None else signed.actor.party


def bearer_of(request: Request) -> Actor:
    """Who calls, by a bearer token alone. Raises `UnauthenticatedError`."""
    if not request.headers.get("authorization"):
        raise _nobody()
    return actor_of(request)


def signed_in_of(request: Request) -> SignedIn:
    """Whose session it is, from the hub's own pages. Raises `UnauthenticatedError`."""
    presented = _cookie(request, _SESSION)
    if not presented:
        raise _nobody()
    own_page(request)
    hub = hub_of(request)
    with (
        hub.throttle.attempt(source_of(request), presented[:35]),
        hub.sessions.transaction() as unit,
    ):
        signed = hub.browsers.authenticate(unit, presented)
    told = request.headers.get(CSRF_HEADER, "")
    if request.method not in _SAFE and not hmac.compare_digest(told.encode(), signed.csrf.encode()):
        raise DeniedError(
            "The request did not come from a page of this hub.", next_step="Load the page anew."
        )
    if signed.actor is not None:
        _known(signed.actor)
    return signed


def acting(signed: SignedIn) -> Actor:
    """For whom somebody acts. Raises `UnauthenticatedError` until they have chosen."""
    if signed.actor is None:
        raise UnauthenticatedError(
            "You have not chosen for which party you act.",
            next_step="Choose it under your account.",
        )
    return signed.actor


def own_page(request: Request) -> None:
    """Raise `DeniedError` for what another site made a browser send."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # Arriving by a link from elsewhere shows a page to its own reader and changes nothing.
        arriving = request.method in _SAFE and request.headers.get("sec-fetch-mode") == "navigate"
        own = site in _OWN or (arriving and not request.url.path.startswith("/api/"))
    elif request.method in _SAFE:
        own = True
    else:
        public = hub_of(request).settings.public_url.rstrip("/").lower()
        own = request.headers.get("origin", "").lower() == public
    if not own:
        raise DeniedError(
            "The request did not come from a page of this hub.", next_step="Load the page anew."
        )


def give_session(request: Request, response: Response, cookie: str) -> None:
    """Hand a session to its browser, and take the attempt back that led to it."""
    _give(request, response, _SESSION, cookie, int(LONGEST.total_seconds()))
    take_back(request, response, _CEREMONY)


def give_ceremony(request: Request, response: Response, cookie: str) -> None:
    """Bind an attempt to its browser."""
    _give(request, response, _CEREMONY, cookie, int(LIFE.total_seconds()))


def ceremony_of(request: Request) -> str:
    """The attempt this browser has begun; empty when it has none."""
    return _cookie(request, _CEREMONY)


def sign_out(request: Request, response: Response) -> None:
    """Take the session's cookie back."""
    take_back(request, response, _SESSION)


def take_back(request: Request, response: Response, name: str) -> None:
    """Make a browser forget a cookie."""
    _give(request, response, name, "", 0)


def _known(actor: Actor) -> Actor:
    """Let the rest of the request read secret rows as far as this actor may."""
    fence.identify(fence.Identity(actor.party, actor.principal, actor.person or ""))
    return actor


def _secure(request: Request) -> bool:
    return hub_of(request).settings.public_url.startswith("https:")


def _named(request: Request, name: str) -> str:
    # __Host-: the browser takes it from this very host alone, over TLS alone.
    return f"__Host-{name}" if _secure(request) else name


def _cookie(request: Request, name: str) -> str:
    return request.cookies.get(_named(request, name), "")


def _give(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _named(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=_secure(request),
        httponly=True,
        samesite="lax",  # not strict: people return from their provider's site
    )


def _nobody() -> UnauthenticatedError:
    return UnauthenticatedError(
        "This needs a token or a session.",
        next_step="Send the header Authorization: Bearer ch_…, or sign in at /sign-in.",
    )


async def _hub(request: Request) -> Hub:
    return hub_of(request)  # waits for nothing, and would be given a thread were it not async


HubDep = Annotated[Hub, Depends(_hub)]
ActorDep = Annotated[Actor, Depends(actor_of)]
SignedInDep = Annotated[SignedIn, Depends(signed_in_of)]

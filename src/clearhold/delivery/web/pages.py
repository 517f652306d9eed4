"""The pages; what people do on them goes to the same API that programs use."""

from __future__ import annotations

from importlib import resources
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from clearhold.access.approvals import Act
from clearhold.access.browser_sessions import SignedIn
from clearhold.access.permissions import Permission
from clearhold.access.recovery import Recovery
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.declare import PUBLIC, HubDep, requires
from clearhold.delivery.http.doors import SignedInDep, acting
from clearhold.delivery.web.rendering import page, within
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import ProviderId

router = APIRouter(tags=["pages"], include_in_schema=False)

_ASSETS: Final = {"pages.js": "text/javascript", "styles.css": "text/css"}


@router.get("/", **requires(PUBLIC))
def front() -> Response:
    """Whoever comes without a path is shown their account, or how to sign in."""
    return RedirectResponse("/account", status_code=303)


@router.get("/assets/{name}", **requires(PUBLIC))
def asset(name: str) -> Response:
    """The script and the style of every page."""
    if name not in _ASSETS:
        raise NotFoundError("There is no such file.")
    content = resources.files("clearhold.delivery.web").joinpath("assets", name).read_bytes()
    return Response(
        content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=300"}
    )


@router.get("/sign-in", **requires(PUBLIC))
def sign_in(hub: HubDep, provider: str = "", next: str = "/account") -> HTMLResponse:  # noqa: A002  # stands in addresses
    """Where people sign in; a party's own provider is shown to who was given its address."""
    try:
        known = hub.oidc.named(ProviderId(provider)) if provider else None
    except NotFoundError:
        known = None
    return page("sign_in", provider=known, next=within(next))


@router.get("/enrol", **requires(PUBLIC))
def enrol() -> HTMLResponse:
    """Where people register their first passkey."""
    return page("enrol")


@router.get("/confirm", **requires(Permission.ACCOUNT_READ))
def confirm(signed: SignedInDep, next: str = "/account") -> HTMLResponse:  # noqa: A002  # as above
    """Where people confirm a session."""
    return page("confirm", csrf=signed.csrf, next=within(next))


@router.get("/account", **requires(Permission.ACCOUNT_READ))
def account(hub: HubDep, signed: SignedInDep) -> HTMLResponse:
    """A person's own account."""
    with hub.sessions.transaction() as unit:
        sessions = hub.browsers.of_person(unit, signed.person)
    actor = signed.actor
    return page(
        "account",
        csrf=signed.csrf,
        signed=signed,
        memberships=hub.party_sign_in.memberships(signed),
        passkeys=hub.passkeys.list(signed.person),
        identities=hub.oidc.identities(signed.person),
        sessions=sessions,
        tokens=() if actor is None else hub.party_sign_in.own_tokens(actor),
        notices=_running(hub, signed),
        coordinates=actor is not None and Permission.ACCESS_APPROVE in actor.permissions,
    )


@router.get("/recoveries", **requires(Permission.ACCESS_READ))
def recoveries(hub: HubDep, signed: SignedInDep) -> HTMLResponse:
    """Where coordinators propose, approve and open recoveries."""
    actor = acting(signed)
    proposals = [each for each in hub.approvals.list(actor) if each.act is Act.RECOVERY]
    return page(
        "recoveries",
        csrf=signed.csrf,
        signed=signed,
        actor=actor,
        proposals=proposals,
        recoveries=hub.recoveries.list(actor),
    )


def _running(hub: Hub, signed: SignedIn) -> tuple[Recovery, ...]:
    """What must be noticed by whoever looks: recoveries that were not used yet."""
    mine = hub.recoveries.of_person(signed.person)
    if signed.actor is None:
        return mine
    others = hub.recoveries.list(signed.actor)
    known = {each.id for each in mine}
    return mine + tuple(
        each for each in others if each.id not in known and each.state in {"waiting", "open"}
    )

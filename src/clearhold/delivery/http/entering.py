"""Routes for whoever is not known yet: signing in and enrolling. No one else's are public."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from clearhold.access.oidc import is_link
from clearhold.access.passkeys import Asked
from clearhold.delivery.http.declare import PUBLIC, HubDep, requires
from clearhold.delivery.http.doors import (
    agent_of,
    ceremony_of,
    give_ceremony,
    give_session,
    own_page,
    signed_in_of,
    source_of,
)
from clearhold.delivery.http.parties import TokenView
from clearhold.kernel.ids import ProviderId

router = APIRouter(tags=["entering"])
_own = [Depends(own_page)]


class PasskeyAnswer(BaseModel):
    """What an authenticator answered, as the browser encodes it; `name` for a new passkey."""

    credential: dict[str, Any] = Field(max_length=20)
    name: str = "Passkey"


class Redeemed(BaseModel):
    """An enrolment, to be used up; the token it buys lives so many days."""

    enrolment: str = Field(max_length=200)
    days: int = Field(default=30, ge=1, le=366)


class EnrolmentShown(BaseModel):
    """An enrolment, to register a passkey with."""

    enrolment: str = Field(max_length=200)


class ProviderChosen(BaseModel):
    """The provider whose id somebody was given."""

    provider: str = Field(max_length=100)


class Options(BaseModel):
    """What the browser hands to its authenticator, as JSON."""

    options: str


class Entered(BaseModel):
    """Signed in; `chosen` says whether for a party already."""

    chosen: bool


class Elsewhere(BaseModel):
    """Where the browser goes on."""

    address: str


def asked(request: Request, response: Response, wanted: Asked) -> Options:
    """The question for the authenticator, bound to this browser."""
    give_ceremony(request, response, wanted.cookie)
    return Options(options=wanted.options)


@router.post("/sign-in/passkey/options", dependencies=_own, **requires(PUBLIC))
def begin_sign_in(request: Request, response: Response, hub: HubDep) -> Options:
    """Begin to sign in with a passkey."""
    hub.throttle.start(source_of(request))
    return asked(request, response, hub.passkeys.begin_sign_in())


@router.post("/sign-in/passkey", dependencies=_own, **requires(PUBLIC))
def sign_in(request: Request, response: Response, hub: HubDep, answer: PasskeyAnswer) -> Entered:
    """Sign in with a passkey."""
    with hub.throttle.attempt(source_of(request), str(answer.credential.get("rawId"))[:100]):
        opened = hub.passkeys.sign_in(
            ceremony_of(request), answer.credential, agent=agent_of(request)
        )
    give_session(request, response, opened.cookie)
    return Entered(chosen=opened.chosen)


@router.post("/sign-in/provider", dependencies=_own, **requires(PUBLIC))
def begin_provider(
    request: Request, response: Response, hub: HubDep, wish: ProviderChosen
) -> Elsewhere:
    """Begin to sign in through a party's own provider."""
    hub.throttle.start(source_of(request))
    sent = hub.oidc.begin(ProviderId(wish.provider))
    give_ceremony(request, response, sent.cookie)
    return Elsewhere(address=sent.address)


def answer_of(request: Request) -> dict[str, str]:
    """What a provider sent a browser back with, of each name the only value."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


AnswerDep = Annotated[dict[str, str], Depends(answer_of)]


@router.get("/sign-in/returned", response_class=RedirectResponse, **requires(PUBLIC))
def returned(request: Request, hub: HubDep, answer: AnswerDep) -> Response:
    """Where a provider sends a browser back to; it is the provider's word that counts, not this."""
    response = RedirectResponse("/account", status_code=303)
    cookie = ceremony_of(request)
    with hub.throttle.attempt(source_of(request), cookie[:35]):
        if is_link(answer):
            hub.oidc.link(signed_in_of(request), cookie, answer)
            return response
        opened = hub.oidc.sign_in(cookie, answer, agent=agent_of(request))
    give_session(request, response, opened.cookie)
    return response


@router.post("/enrol/options", dependencies=_own, **requires(PUBLIC))
def begin_enrol(
    request: Request, response: Response, hub: HubDep, shown: EnrolmentShown
) -> Options:
    """Begin to register a passkey on an enrolment."""
    with hub.throttle.attempt(source_of(request), shown.enrolment[:35]):
        return asked(request, response, hub.passkeys.begin_enrol(shown.enrolment))


@router.post("/enrol/passkey", dependencies=_own, **requires(PUBLIC))
def enrol(request: Request, response: Response, hub: HubDep, answer: PasskeyAnswer) -> Entered:
    """Register the passkey, use the enrolment up and sign in."""
    with hub.throttle.attempt(source_of(request), ceremony_of(request)[:35]):
        opened = hub.passkeys.enrol(
            ceremony_of(request), answer.credential, name=answer.name, agent=agent_of(request)
        )
    give_session(request, response, opened.cookie)
    return Entered(chosen=opened.chosen)


@router.post("/enrol/token", status_code=201, **requires(PUBLIC))
def redeem(request: Request, hub: HubDep, wish: Redeemed) -> TokenView:
    """Use an enrolment up for a token, without a browser."""
    with hub.throttle.attempt(source_of(request), wish.enrolment[:35]):
        issued = hub.enrolments.redeem_for_token(wish.enrolment, life=timedelta(days=wish.days))
    return TokenView(id=issued.id, token=issued.secret)

"""Routes of a person's own account: memberships, passkeys, sessions, identities, tokens."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import MemberRole, Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.delivery.http.doors import (
    SignedInDep,
    ceremony_of,
    give_ceremony,
    give_session,
    sign_out,
    source_of,
)
from clearhold.delivery.http.entering import (
    Elsewhere,
    Entered,
    Options,
    PasskeyAnswer,
    ProviderChosen,
    asked,
)
from clearhold.delivery.http.parties import EnrolmentView, KnownTokenView, enrolment_view
from clearhold.kernel.ids import IdentityId, PasskeyId, PrincipalId, ProviderId, TokenId

router = APIRouter(prefix="/account", tags=["account"])
_READ = requires(Permission.ACCOUNT_READ)
_WRITE = requires(Permission.ACCOUNT_WRITE)


class Membership(BaseModel):
    """A party somebody may act for, with what they are there."""

    model_config = ConfigDict(from_attributes=True)

    principal: str
    party: str
    party_name: str
    roles: list[MemberRole]


class SessionSelf(BaseModel):
    """A browser's own session."""

    person: str
    principal: str | None
    confirmed: bool
    memberships: list[Membership]


class Choice(BaseModel):
    """The membership to act with."""

    principal: str = Field(max_length=100)


class PasskeyView(BaseModel):
    """A passkey; `copied` when its counter betrayed a copy."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    made_at: datetime
    last_used_at: datetime | None
    copied: bool


class PasskeyName(BaseModel):
    """How its owner calls a passkey."""

    name: str = Field(max_length=200)


class SessionView(BaseModel):
    """A session of the caller."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


class IdentityView(BaseModel):
    """What a provider calls the caller."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    issuer: str
    subject: str
    made_at: datetime
    last_used_at: datetime | None


@router.get("/session", **_READ)
def session_self(hub: HubDep, signed: SignedInDep) -> SessionSelf:
    """Whose session this is and for whom they may act."""
    return SessionSelf(
        person=signed.person,
        principal=None if signed.actor is None else signed.actor.principal,
        confirmed=signed.confirmed,
        memberships=[
            Membership.model_validate(each) for each in hub.party_sign_in.memberships(signed)
        ],
    )


@router.post("/membership", **_WRITE)
def choose(
    request: Request, response: Response, hub: HubDep, signed: SignedInDep, choice: Choice
) -> Entered:
    """Act for another party from now on."""
    with hub.sessions.transaction() as unit:
        opened = hub.browsers.choose(unit, signed, PrincipalId(choice.principal))
    give_session(request, response, opened.cookie)
    return Entered(chosen=opened.chosen)


@router.post("/confirmation/options", **_WRITE)
def begin_confirm(
    request: Request, response: Response, hub: HubDep, signed: SignedInDep
) -> Options:
    """Begin to confirm a session."""
    return asked(request, response, hub.passkeys.begin_confirm(signed))


@router.post("/confirmation", **_WRITE)
def confirm(
    request: Request,
    response: Response,
    hub: HubDep,
    signed: SignedInDep,
    answer: PasskeyAnswer,
) -> Entered:
    """Confirm a session with a passkey, for what is under embargo."""
    with hub.throttle.attempt(source_of(request), signed.session):
        opened = hub.passkeys.confirm(signed, ceremony_of(request), answer.credential)
    give_session(request, response, opened.cookie)
    return Entered(chosen=opened.chosen)


@router.get("/passkeys", **_READ)
def passkeys(hub: HubDep, signed: SignedInDep) -> list[PasskeyView]:
    """The caller's passkeys."""
    return [PasskeyView.model_validate(each) for each in hub.passkeys.list(signed.person)]


@router.post("/passkeys/options", **_WRITE)
def begin_add(request: Request, response: Response, hub: HubDep, signed: SignedInDep) -> Options:
    """Begin to add a passkey."""
    return asked(request, response, hub.passkeys.begin_add(signed))


@router.post("/passkeys", status_code=201, **_WRITE)
def add_passkey(
    request: Request, hub: HubDep, signed: SignedInDep, answer: PasskeyAnswer
) -> PasskeyView:
    """Add a passkey."""
    return PasskeyView.model_validate(
        hub.passkeys.add(signed, ceremony_of(request), answer.credential, name=answer.name)
    )


@router.post("/passkeys/{passkey}/name", **_WRITE)
def rename(hub: HubDep, signed: SignedInDep, passkey: str, new: PasskeyName) -> PasskeyView:
    """Name a passkey."""
    return PasskeyView.model_validate(
        hub.passkeys.rename(signed, PasskeyId(passkey), name=new.name)
    )


@router.post("/passkeys/{passkey}/removal", **_WRITE)
def remove_passkey(hub: HubDep, signed: SignedInDep, passkey: str) -> list[PasskeyView]:
    """Take a passkey away, and end every other session."""
    hub.passkeys.remove(signed, PasskeyId(passkey))
    return passkeys(hub, signed)


@router.get("/sessions", **_READ)
def sessions(hub: HubDep, signed: SignedInDep) -> list[SessionView]:
    """The caller's sessions."""
    with hub.sessions.transaction() as unit:
        mine = hub.browsers.of_person(unit, signed.person)
    return [SessionView.model_validate(each) for each in mine]


@router.post("/sessions/{session}/end", **_WRITE)
def end_session(
    request: Request, response: Response, hub: HubDep, signed: SignedInDep, session: str
) -> list[SessionView]:
    """End a session of the caller; the one that asks is signed out."""
    with hub.sessions.transaction() as unit:
        hub.browsers.end(unit, signed.person, session, by=signed.name)
    if session == signed.session:
        sign_out(request, response)
    return sessions(hub, signed)


@router.post("/sign-out", **_WRITE)
def leave(request: Request, response: Response, hub: HubDep, signed: SignedInDep) -> Elsewhere:
    """End the session that asks."""
    end_session(request, response, hub, signed, signed.session)
    return Elsewhere(address="/sign-in")


@router.get("/identities", **_READ)
def identities(hub: HubDep, signed: SignedInDep) -> list[IdentityView]:
    """What providers call the caller."""
    return [IdentityView.model_validate(each) for each in hub.oidc.identities(signed.person)]


@router.post("/identities", **_WRITE)
def begin_link(
    request: Request, response: Response, hub: HubDep, signed: SignedInDep, wish: ProviderChosen
) -> Elsewhere:
    """Begin to link what a provider calls the caller."""
    sent = hub.oidc.begin(ProviderId(wish.provider), signed)
    give_ceremony(request, response, sent.cookie)
    return Elsewhere(address=sent.address)


@router.post("/identities/{identity}/removal", **_WRITE)
def unlink(hub: HubDep, signed: SignedInDep, identity: str) -> list[IdentityView]:
    """Take a link away, and end every other session."""
    hub.oidc.unlink(signed, IdentityId(identity))
    return identities(hub, signed)


@router.get("/tokens", **_READ)
def tokens(hub: HubDep, actor: ActorDep) -> list[KnownTokenView]:
    """The caller's own tokens."""
    return [KnownTokenView.model_validate(each) for each in hub.party_sign_in.own_tokens(actor)]


@router.post("/tokens/{token}/revocation", **_WRITE)
def revoke(hub: HubDep, actor: ActorDep, token: str) -> list[KnownTokenView]:
    """End a token: one's own, or as admin any of one's party."""
    hub.party_sign_in.revoke_token(actor, TokenId(token))
    return tokens(hub, actor)


@router.post("/enrolment", status_code=201, **_WRITE)
def own_enrolment(hub: HubDep, actor: ActorDep) -> EnrolmentView:
    """An enrolment to register a first passkey with, for who has only tokens yet."""
    return enrolment_view(hub.enrolments.issue_own(actor))

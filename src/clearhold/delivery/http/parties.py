"""Routes of the register of parties."""

from __future__ import annotations

import base64
import binascii
from datetime import date, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.enrolments import IssuedEnrolment
from clearhold.access.members import Member
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import PartyId, PrincipalId, ProviderId
from clearhold.parties.model import Party

router = APIRouter(prefix="/parties", tags=["parties"])


class NewParty(BaseModel):
    """A party to register."""

    handle: str
    name: str
    kind: PartyKind
    sector: str | None = None


class PartyView(BaseModel):
    """A party as its viewers see it."""

    id: str
    handle: str
    name: str
    kind: PartyKind
    sector: str | None
    registered_at: datetime


class SelfView(BaseModel):
    """A caller's party, and the principal that stands in the ledger."""

    party: str
    principal: str
    kind: PartyKind


class NewMember(BaseModel):
    """A person who shall act for a party."""

    name: str
    roles: list[MemberRole] = Field(default=[MemberRole.HANDLER], max_length=len(MemberRole))


class MemberView(BaseModel):
    """Somebody who acts for a party; `person` is None for its service account."""

    id: str
    person: str | None
    name: str
    roles: list[MemberRole]
    made_at: datetime
    ended_at: datetime | None


class NewMemberView(MemberView):
    """A new member, with the enrolment they get in with; it is shown this once."""

    enrolment: str
    enrolment_expires_at: datetime


class EnrolmentView(BaseModel):
    """An enrolment, shown this once; it opens and expires."""

    id: str
    enrolment: str
    opens_at: datetime
    expires_at: datetime


class NewProvider(BaseModel):
    """A party's own OIDC provider; `secret_name` names a file below oidc/ of the key directory."""

    name: str
    issuer: str = Field(max_length=500)
    client: str
    secret_name: str | None = None
    enforced: bool = False


class ProviderView(BaseModel):
    """A provider of a party."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    issuer: str
    client: str
    enforced: bool


class KnownTokenView(BaseModel):
    """A token, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    owner: str
    owner_name: str
    permissions: list[str]
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_on: date | None


class TokenWish(BaseModel):
    """A new token: how many days it lives, for which member, and what it may do (default: all)."""

    days: int = Field(default=30, ge=1, le=366)
    member: str | None = None
    permissions: list[Permission] | None = Field(default=None, max_length=len(Permission))


class TokenView(BaseModel):
    """A fresh token; its secret is shown this once."""

    id: str
    token: str


class PublicKey(BaseModel):
    """A raw Ed25519 public key and what shows that the party holds it, both in base64."""

    public_key: str
    signature: str


class KeyView(BaseModel):
    """The id of a registered key."""

    id: str


class NewRecipient(BaseModel):
    """An X25519 age recipient, and whether other parties may find it by the party's handle."""

    recipient: str = Field(max_length=100)
    findable: bool = False


class RecipientView(BaseModel):
    """A recipient; people compare its fingerprint by another way than this hub."""

    model_config = ConfigDict(from_attributes=True)

    fingerprint: str
    recipient: str
    findable: bool


class ReadingView(BaseModel):
    """How much sealed content a principal was given, and how often it was refused."""

    model_config = ConfigDict(from_attributes=True)

    principal: str
    party: str
    last_hour: int
    last_day: int
    refused: int


def view(party: Party) -> PartyView:
    """A party for the wire."""
    return PartyView(
        id=party.id,
        handle=party.handle,
        name=party.name,
        kind=party.kind,
        sector=party.sector,
        registered_at=party.registered_at,
    )


def member_view(member: Member) -> MemberView:
    """A member for the wire."""
    return MemberView(
        id=member.id,
        person=member.person,
        name=member.name,
        roles=list(member.roles),
        made_at=member.made_at,
        ended_at=member.ended_at,
    )


def enrolment_view(issued: IssuedEnrolment) -> EnrolmentView:
    """A fresh enrolment for the wire."""
    return EnrolmentView(
        id=issued.id,
        enrolment=issued.secret,
        opens_at=issued.opens_at,
        expires_at=issued.expires_at,
    )


@router.post("", status_code=201, **requires(Permission.PARTIES_WRITE))
def register(hub: HubDep, actor: ActorDep, new: NewParty) -> PartyView:
    """Register a party."""
    return view(
        hub.parties.register(
            actor, handle=new.handle, name=new.name, kind=new.kind, sector=new.sector
        )
    )


@router.get("", **requires(Permission.PARTIES_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[PartyView]:
    """The parties the caller may see."""
    return [view(party) for party in hub.parties.list(actor)]


@router.get("/self", **requires(Permission.PARTIES_READ))
def self_view(actor: ActorDep) -> SelfView:
    """Whom the caller's token stands for, as the ledger names them."""
    return SelfView(party=actor.party, principal=actor.principal, kind=actor.kind)


@router.get("/{party}/members", **requires(Permission.PARTIES_READ))
def members(hub: HubDep, actor: ActorDep, party: str) -> list[MemberView]:
    """Who acts for a party."""
    return [member_view(each) for each in hub.parties.members(actor, PartyId(party))]


@router.post("/{party}/members", status_code=201, **requires(Permission.PARTIES_MEMBERS))
def add_member(hub: HubDep, actor: ActorDep, party: str, new: NewMember) -> NewMemberView:
    """Make a person a member of a party."""
    made = hub.parties.add_member(actor, PartyId(party), name=new.name, roles=new.roles)
    issued = hub.party_sign_in.enrol(actor, PartyId(party), made.id)
    return NewMemberView(
        **member_view(made).model_dump(),
        enrolment=issued.secret,
        enrolment_expires_at=issued.expires_at,
    )


@router.post(
    "/{party}/members/{member}/enrolment", status_code=201, **requires(Permission.PARTIES_MEMBERS)
)
def enrol(hub: HubDep, actor: ActorDep, party: str, member: str) -> EnrolmentView:
    """Give a member who has not entered yet a new enrolment."""
    return enrolment_view(hub.party_sign_in.enrol(actor, PartyId(party), PrincipalId(member)))


@router.post("/{party}/members/{member}/end", **requires(Permission.PARTIES_MEMBERS))
def end_member(hub: HubDep, actor: ActorDep, party: str, member: str) -> list[MemberView]:
    """End what a member may do, at once."""
    hub.parties.end_member(actor, PartyId(party), PrincipalId(member))
    return members(hub, actor, party)


@router.post("/{party}/tokens", status_code=201, **requires(Permission.PARTIES_READ))
def issue_token(hub: HubDep, actor: ActorDep, party: str, wish: TokenWish) -> TokenView:
    """Issue a token to a party's service account, or to a member."""
    issued = hub.parties.issue_token(
        actor,
        PartyId(party),
        life=timedelta(days=wish.days),
        member=None if wish.member is None else PrincipalId(wish.member),
        permissions=wish.permissions,
    )
    return TokenView(id=issued.id, token=issued.secret)


@router.get("/{party}/tokens", **requires(Permission.PARTIES_MEMBERS))
def party_tokens(hub: HubDep, actor: ActorDep, party: str) -> list[KnownTokenView]:
    """The tokens of everyone who acts for the caller's party."""
    return [
        KnownTokenView.model_validate(each)
        for each in hub.party_sign_in.party_tokens(actor, PartyId(party))
    ]


@router.get("/{party}/providers", **requires(Permission.PARTIES_READ))
def providers(hub: HubDep, actor: ActorDep, party: str) -> list[ProviderView]:
    """The OIDC providers of a party."""
    return [
        ProviderView.model_validate(each)
        for each in hub.party_sign_in.providers(actor, PartyId(party))
    ]


@router.post("/{party}/providers", status_code=201, **requires(Permission.PARTIES_WRITE))
def add_provider(hub: HubDep, actor: ActorDep, party: str, new: NewProvider) -> ProviderView:
    """Let a party's people sign in through its own provider."""
    return ProviderView.model_validate(
        hub.party_sign_in.add_provider(
            actor,
            PartyId(party),
            name=new.name,
            issuer=new.issuer,
            client=new.client,
            secret_name=new.secret_name,
            enforced=new.enforced,
        )
    )


@router.post("/{party}/providers/{provider}/removal", **requires(Permission.PARTIES_WRITE))
def remove_provider(hub: HubDep, actor: ActorDep, party: str, provider: str) -> list[ProviderView]:
    """End a provider and the sessions it vouched for."""
    hub.party_sign_in.remove_provider(actor, PartyId(party), ProviderId(provider))
    return providers(hub, actor, party)


@router.post("/keys", status_code=201, **requires(Permission.PARTIES_KEYS))
def add_key(hub: HubDep, actor: ActorDep, key: PublicKey) -> KeyView:
    """Register a key the caller's party signs with."""
    try:
        raw = base64.b64decode(key.public_key, validate=True)
        signature = base64.b64decode(key.signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The key or its signature is not base64.",
            next_step="Encode the raw 32 and 64 bytes.",
        ) from error
    return KeyView(id=hub.parties.add_key(actor, raw, signature))


@router.post("/recipients", status_code=201, **requires(Permission.PARTIES_KEYS))
def add_recipient(hub: HubDep, actor: ActorDep, new: NewRecipient) -> RecipientView:
    """Register an age recipient of the caller's party."""
    added = hub.recipients.add(actor, new.recipient, findable=new.findable)
    return RecipientView.model_validate(added)


@router.get("/recipients", **requires(Permission.PARTIES_READ))
def own_recipients(hub: HubDep, actor: ActorDep) -> list[RecipientView]:
    """The age recipients of the caller's party."""
    return [RecipientView.model_validate(each) for each in hub.recipients.own(actor)]


@router.post("/recipients/{fingerprint}/withdrawal", **requires(Permission.PARTIES_KEYS))
def withdraw_recipient(hub: HubDep, actor: ActorDep, fingerprint: str) -> list[RecipientView]:
    """Seal nothing more to a recipient of the caller's party."""
    hub.recipients.withdraw(actor, fingerprint)
    return own_recipients(hub, actor)


@router.get("/readings", **requires(Permission.PARTIES_OVERSEE))
def readings(hub: HubDep, actor: ActorDep) -> list[ReadingView]:
    """Who was given how much sealed content within a day, the busiest first."""
    return [ReadingView.model_validate(each) for each in hub.oversight.readings(actor)]


@router.get("/{handle}/recipients", **requires(Permission.CASES_SEAL))
def recipients_of(hub: HubDep, actor: ActorDep, handle: str) -> list[RecipientView]:
    """The age recipients that a party lets others find."""
    return [RecipientView.model_validate(each) for each in hub.recipients.of(actor, handle)]

"""Routes of the register of parties."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clearhold.access.permissions import PartyKind, Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import PartyId
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


class TokenWish(BaseModel):
    """How long a new token shall live, in days."""

    days: int = Field(default=30, ge=1, le=366)


class TokenView(BaseModel):
    """A fresh token; its secret is shown this once."""

    id: str
    token: str


class PublicKey(BaseModel):
    """A raw Ed25519 public key in base64."""

    public_key: str


class KeyView(BaseModel):
    """The id of a registered key."""

    id: str


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


@router.post("/{party}/tokens", status_code=201, **requires(Permission.PARTIES_WRITE))
def issue_token(hub: HubDep, actor: ActorDep, party: str, wish: TokenWish) -> TokenView:
    """Issue a token to a party's service account."""
    issued = hub.parties.issue_token(actor, PartyId(party), life=timedelta(days=wish.days))
    return TokenView(id=issued.id, token=issued.secret)


@router.post("/keys", status_code=201, **requires(Permission.PARTIES_READ))
def add_key(hub: HubDep, actor: ActorDep, key: PublicKey) -> KeyView:
    """Register a key the caller's party signs with."""
    try:
        raw = base64.b64decode(key.public_key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The key is not base64.", next_step="Encode the raw 32 bytes."
        ) from error
    return KeyView(id=hub.parties.add_key(actor, raw))

"""Routes of agreements: read, accept with a signature, suspend, withdraw; coordinators publish."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import PartyKind, Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.ids import PartyId
from clearhold.parties.agreement_records import SignedAcceptance
from clearhold.parties.terms import Act, Adherence, Agreement, Terms

router = APIRouter(prefix="/agreements", tags=["agreements"])

Version = Annotated[int | None, Query(ge=1, le=1_000_000)]


class NewVersion(BaseModel):
    """A version to publish; by `reaccept_by` whoever accepted an earlier one accepts it anew."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=100_000)
    kinds: list[PartyKind] = Field(min_length=1, max_length=len(PartyKind))
    opens: list[Permission] = Field(min_length=1, max_length=len(Permission))
    reaccept_by: datetime | None = None


class AgreementView(BaseModel):
    """One version of an agreement."""

    name: str
    version: int
    text: str
    sha256: str
    kinds: list[PartyKind]
    opens: list[Permission]
    reaccept_by: datetime | None
    published_at: datetime
    for_you: bool


class AdherenceView(BaseModel):
    """How a party stands to an agreement it accepted once."""

    agreement: str
    party: str
    version: int
    status: str
    since: datetime
    ends_at: datetime | None


class SignedView(BaseModel):
    """An acceptance as it was signed: a DSSE envelope."""

    id: str
    agreement: str
    version: int
    accepted_at: datetime
    key: str
    envelope: str


class Envelope(BaseModel):
    """A signed acceptance, as `clearhold agreement accept` makes it."""

    envelope: str = Field(min_length=1, max_length=16 * 1024)


class PartyAct(BaseModel):
    """What a coordinator does about a party's agreement, and why in plain words."""

    act: Literal[Act.SUSPEND, Act.RESUME, Act.END]
    reason: str


class OwnAct(BaseModel):
    """What a party does about an agreement of its own."""

    act: Literal[Act.SUSPEND, Act.RESUME, Act.WITHDRAW]


def _view(found: Agreement, kind: PartyKind) -> AgreementView:
    return AgreementView(
        name=found.name,
        version=found.version,
        text=found.terms.text,
        sha256=found.terms.sha256,
        kinds=sorted(found.terms.kinds),
        opens=sorted(found.terms.opens),
        reaccept_by=found.terms.reaccept_by,
        published_at=found.published_at,
        for_you=kind in found.terms.kinds,
    )


def _standing(hub: HubDep, found: Adherence) -> AdherenceView:
    return AdherenceView(
        agreement=found.agreement,
        party=found.party,
        version=found.version,
        status=found.status(hub.clock.now()),
        since=found.since,
        ends_at=found.ends_at,
    )


def _signed(found: SignedAcceptance) -> SignedView:
    return SignedView(
        id=found.id,
        agreement=found.agreement,
        version=found.version,
        accepted_at=found.accepted_at,
        key=found.key,
        envelope=found.envelope.decode(),
    )


@router.get("", **requires(Permission.PARTIES_AGREEMENTS))
def listing(hub: HubDep, actor: ActorDep) -> list[AgreementView]:
    """The newest version of every agreement."""
    return [_view(each, actor.kind) for each in hub.agreements.list(actor)]


@router.get("/standing", **requires(Permission.PARTIES_AGREEMENTS))
def standing(hub: HubDep, actor: ActorDep) -> list[AdherenceView]:
    """How the caller's party stands to what it accepted; for coordinators, how all do."""
    return [_standing(hub, each) for each in hub.agreements.standings(actor)]


@router.get("/signed", **requires(Permission.PARTIES_AGREEMENTS))
def signed(hub: HubDep, actor: ActorDep) -> list[SignedView]:
    """Everything the caller's party signed, as it was signed."""
    return [_signed(each) for each in hub.agreements.signed(actor)]


@router.get("/{name}", **requires(Permission.PARTIES_AGREEMENTS))
def single(hub: HubDep, actor: ActorDep, name: str, version: Version = None) -> AgreementView:
    """One version of an agreement, the newest by default."""
    return _view(hub.agreements.get(actor, name, version), actor.kind)


@router.post("/{name}/versions", status_code=201, **requires(Permission.PARTIES_PUBLISH))
def publish(hub: HubDep, actor: ActorDep, name: str, new: NewVersion) -> AgreementView:
    """Publish a version."""
    terms = Terms(new.text.strip(), frozenset(new.kinds), frozenset(new.opens), new.reaccept_by)
    return _view(hub.agreements.publish(actor, name, terms), actor.kind)


@router.post("/{name}/acceptance", status_code=201, **requires(Permission.PARTIES_ACCEPT))
def accept(hub: HubDep, actor: ActorDep, name: str, signed: Envelope) -> AdherenceView:
    """Accept the newest version for the caller's party."""
    return _standing(hub, hub.agreements.accept(actor, name, signed.envelope.encode()))


@router.post("/{name}/acts", **requires(Permission.PARTIES_ACCEPT))
def act(hub: HubDep, actor: ActorDep, name: str, wanted: OwnAct) -> AdherenceView:
    """Suspend, resume or withdraw from an agreement, at once."""
    return _standing(hub, hub.agreements.act(actor, name, wanted.act))


@router.post("/{name}/parties/{party}/acts", **requires(Permission.PARTIES_PUBLISH))
def bar(hub: HubDep, actor: ActorDep, name: str, party: str, wanted: PartyAct) -> AdherenceView:
    """Suspend or end a party's agreement as a coordinator, or take that back."""
    return _standing(
        hub, hub.agreements.bar(actor, name, PartyId(party), wanted.act, reason=wanted.reason)
    )

"""Routes of the model-testing desk: agreements between developers and evaluators, and engagements."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import AgreementView
from clearhold.evaluations.clock import Clock
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagement_rules import LONGEST_NOTE, Body
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.model import Act, AgreementState, EngagementState, Side, possible
from clearhold.wire.model_agreement import LARGEST

router = APIRouter(prefix="/evaluations", tags=["evaluations"])


class Envelope(BaseModel):
    """A DSSE envelope in which a key of the caller's party signed a statement."""

    envelope: str = Field(max_length=2 * LARGEST)


class AgreementSummary(BaseModel):
    """An agreement without its terms."""

    id: str
    developer: str
    evaluator: str
    state: AgreementState
    offered_by: Side
    suspended_by: list[Side]
    terms_sha256: str
    not_before: datetime
    until: datetime
    offered_at: datetime
    changed_at: datetime


class AgreementOut(AgreementSummary):
    """An agreement with its terms, and the envelope in which each side signed them."""

    terms: dict[str, Any]
    envelopes: dict[Side, str]


class AgreementMove(BaseModel):
    """How an agreement is to stand from now on."""

    state: AgreementState


class Proposal(BaseModel):
    """A test of a model that is proposed under an agreement."""

    agreement: str = Field(max_length=64)
    model: str = Field(max_length=200)
    variants: list[str] = Field(min_length=1, max_length=20)
    purpose: str = Field(default="", max_length=LONGEST_NOTE)
    days: float = Field(gt=0, le=30)
    release_at: AwareDatetime | None = None


class EngagementSummary(BaseModel):
    """An engagement without what it is about."""

    id: str
    agreement: str
    state: EngagementState
    proposed_at: datetime
    changed_at: datetime


class ClockOut(BaseModel):
    """How the clock of an engagement stands; spans are in seconds.

    `open` says whether access is given at this instant; `due` when both sides are told of the end.
    """

    began_at: datetime | None
    ends_at: datetime | None
    length_s: float
    spent_s: float
    left_s: float
    paused_until: datetime | None
    open: bool
    elapsed: bool
    due: list[datetime]


class EventOut(BaseModel):
    """Something that happened; `side` is whose doing it was, or `both`."""

    number: int
    act: str
    side: str
    at: datetime
    until: datetime | None
    length_s: int | None
    stops_clock: bool | None


class WaitingOut(BaseModel):
    """A change that one side has signed; the other may sign the same."""

    change: dict[str, Any]
    signed_by: Side
    envelope: str


class EngagementOut(EngagementSummary):
    """An engagement as its sides see it; `possible` is what may happen next."""

    model: str
    variants: list[str]
    purpose: str
    clock: ClockOut
    happened: list[EventOut]
    waiting: list[WaitingOut]
    possible: list[Act]


class EngagementAct(BaseModel):
    """What is to happen in an engagement."""

    act: Act


class SignedChange(BaseModel):
    """The SHA-256 of the change that was signed."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Release(BaseModel):
    """When the developer plans to release the model to others; None is no plan."""

    release_at: AwareDatetime | None


After = Annotated[str | None, Query(max_length=64)]


@router.post("/agreements", status_code=201, **requires(Permission.EVALUATIONS_AGREE))
def offer(hub: HubDep, actor: ActorDep, signed: Envelope) -> AgreementOut:
    """Offer an agreement that the caller's party has signed to the other side it names."""
    return _agreement(hub.models.agreements.offer(actor, signed.envelope.encode()))


@router.get("/agreements", **requires(Permission.EVALUATIONS_READ))
def agreements(hub: HubDep, actor: ActorDep, after: After = None) -> list[AgreementSummary]:
    """The agreements of the caller's party, so many at once."""
    found = hub.models.agreements.list(actor, after=after)
    return [AgreementSummary(**_summary(each)) for each in found]


@router.get("/agreements/{agreement}", **requires(Permission.EVALUATIONS_READ))
def agreement(hub: HubDep, actor: ActorDep, agreement: str) -> AgreementOut:
    """One agreement."""
    return _agreement(hub.models.agreements.get(actor, agreement))


@router.post("/agreements/{agreement}/signature", **requires(Permission.EVALUATIONS_AGREE))
def sign(hub: HubDep, actor: ActorDep, agreement: str, signed: Envelope) -> AgreementOut:
    """Sign what the other side offered; then it is in force."""
    return _agreement(hub.models.agreements.sign(actor, agreement, signed.envelope.encode()))


@router.post("/agreements/{agreement}/state", **requires(Permission.EVALUATIONS_AGREE))
def move(hub: HubDep, actor: ActorDep, agreement: str, to: AgreementMove) -> AgreementOut:
    """Refuse, suspend, resume or end an agreement for the caller's side, at once."""
    return _agreement(hub.models.agreements.move(actor, agreement, to.state))


@router.post("/engagements", status_code=201, **requires(Permission.EVALUATIONS_RUN))
def propose(hub: HubDep, actor: ActorDep, wanted: Proposal, key: IdempotencyKey) -> EngagementOut:
    """Propose to test a model under an agreement in force, or offer one to be tested."""
    body = Body(wanted.model, tuple(wanted.variants), wanted.purpose)
    return _engagement(
        hub.models.engagements.propose(
            actor,
            wanted.agreement,
            body,
            length=timedelta(days=wanted.days),
            release_at=wanted.release_at,
            key=key,
        )
    )


@router.get("/engagements", **requires(Permission.EVALUATIONS_READ))
def engagements(hub: HubDep, actor: ActorDep, after: After = None) -> list[EngagementSummary]:
    """The engagements of the caller's party, so many at once."""
    found = hub.models.engagements.list(actor, after=after)
    return [EngagementSummary(**_engagement_summary(each)) for each in found]


@router.get("/engagements/{engagement}", **requires(Permission.EVALUATIONS_READ))
def engagement(hub: HubDep, actor: ActorDep, engagement: str) -> EngagementOut:
    """One engagement with its clock and what happened."""
    return _engagement(hub.models.engagements.get(actor, engagement))


@router.post("/engagements/{engagement}/acts", **requires(Permission.EVALUATIONS_RUN))
def act(hub: HubDep, actor: ActorDep, engagement: str, what: EngagementAct) -> EngagementOut:
    """Move an engagement on, for the caller's side."""
    return _engagement(hub.models.engagements.act(actor, engagement, what.act))


@router.post("/engagements/{engagement}/release", **requires(Permission.EVALUATIONS_RUN))
def release(hub: HubDep, actor: ActorDep, engagement: str, when: Release) -> EngagementOut:
    """Move the planned release, as the developer."""
    return _engagement(hub.models.engagements.move_release(actor, engagement, when.release_at))


@router.post("/engagements/{engagement}/consents", **requires(Permission.EVALUATIONS_AGREE))
def consent(hub: HubDep, actor: ActorDep, engagement: str, signed: Envelope) -> EngagementOut:
    """Sign a pause, a resumption, more time or the end of a hold; it counts once both have."""
    return _engagement(hub.models.consents.consent(actor, engagement, signed.envelope.encode()))


@router.post(
    "/engagements/{engagement}/consents/taken-back", **requires(Permission.EVALUATIONS_AGREE)
)
def take_back(hub: HubDep, actor: ActorDep, engagement: str, change: SignedChange) -> EngagementOut:
    """Take back the caller's signature on a change that the other side has not signed."""
    digest = bytes.fromhex(change.sha256)
    return _engagement(hub.models.consents.take_back(actor, engagement, digest))


def _summary(stored: StoredAgreement) -> dict[str, Any]:
    return {
        "id": stored.id,
        "developer": stored.developer,
        "evaluator": stored.evaluator,
        "state": stored.state,
        "offered_by": stored.offered_by,
        "suspended_by": sorted(stored.suspended_by),
        "terms_sha256": stored.digest.hex(),
        "not_before": stored.not_before,
        "until": stored.until,
        "offered_at": stored.offered_at,
        "changed_at": stored.changed_at,
    }


def _agreement(view: AgreementView) -> AgreementOut:
    return AgreementOut(
        **_summary(view.stored),
        terms=msgspec.to_builtins(view.terms),
        envelopes={side: envelope.decode() for side, envelope in view.envelopes.items()},
    )


def _engagement_summary(stored: StoredEngagement) -> dict[str, Any]:
    names = ("id", "agreement", "state", "proposed_at", "changed_at")
    return {name: getattr(stored, name) for name in names}


def _engagement(view: EngagementView) -> EngagementOut:
    return EngagementOut(
        **_engagement_summary(view.stored),
        model=view.body.model,
        variants=list(view.body.variants),
        purpose=view.body.purpose,
        clock=_clock(view.clock),
        happened=[
            EventOut(**{name: getattr(each, name) for name in EventOut.model_fields})
            for each in view.happened
        ],
        waiting=[
            WaitingOut(
                change=msgspec.to_builtins(each.change),
                signed_by=each.signed_by,
                envelope=each.envelope.decode(),
            )
            for each in view.waiting
        ],
        possible=list(possible(view.stored.state)),
    )


def _clock(stands: Clock) -> ClockOut:
    return ClockOut(
        began_at=stands.began_at,
        ends_at=stands.ends_at,
        length_s=stands.length.total_seconds(),
        spent_s=stands.spent.total_seconds(),
        left_s=stands.left.total_seconds(),
        paused_until=stands.paused_until,
        open=stands.open,
        elapsed=stands.elapsed,
        due=list(stands.due),
    )

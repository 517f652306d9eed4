"""Routes of cases and their embargoes."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.cases.model import Consent, EmbargoState, ReportState, ReportStep, Role
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.delivery.http.standing import RoutesView
from clearhold.kernel.ids import CaseId, PrincipalId, VulnerabilityId
from clearhold.parties.wish import Channel

router = APIRouter(prefix="/cases", tags=["cases"])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewCase(_Strict):
    """The vulnerability a case is opened for, and the case's title."""

    vulnerability: str
    title: str


class NewParticipant(_Strict):
    """A party, or one member, to read in: as what, how soon (0 to 3), and why in words that reveal nothing."""

    party: str
    role: Role
    tier: int = Field(default=0, ge=0, le=3)
    reason: str
    member: str | None = None


class Step(_Strict):
    """What a participant does with the report."""

    step: ReportStep


class Status(_Strict):
    """One of the facts V, F, D, P, X and A."""

    fact: str


class Message(_Strict):
    """A message to everyone in the case."""

    text: str


class Proposal(_Strict):
    """An embargo until an instant with a time zone; without, as long as the vendors usually want."""

    until: datetime | None = None
    terms: str = ""
    operators_early_notice: bool = False


class ParticipantBody(_Shown):
    """Someone in a case, as the viewer may know them."""

    name: str
    role: Role
    you: bool
    tier: int
    report: ReportState
    status: str
    consent: Consent | None


class EmbargoBody(_Shown):
    """One proposal of an embargo."""

    id: str
    state: str
    proposed_by: str
    proposed_at: datetime
    until: datetime
    operators_early_notice: bool
    terms: str
    your_consent: Consent | None
    caution: str | None


class WaitingBody(_Shown):
    """A vendor that is read in later, as it wishes."""

    name: str
    because: str
    due_at: datetime | None


class ContactBody(_Shown):
    """How somebody in the case is reached."""

    name: str
    role: Role
    routes: RoutesView
    prefers: list[Channel]


class CaseBody(_Shown):
    """A case as one participant sees it."""

    id: str
    vulnerability: str
    title: str
    opened_at: datetime
    closed_at: datetime | None
    role: Role
    report: ReportState
    status: str
    fix_proved_at: datetime | None
    embargo_state: EmbargoState
    embargo: EmbargoBody | None
    proposal: EmbargoBody | None
    publication_time: datetime | None
    questioned: bool
    findings: list[str]
    participants: list[ParticipantBody]
    waiting: list[WaitingBody]


class MessageBody(_Shown):
    """A message as it was written."""

    id: str
    written_by: str
    written_at: datetime
    body: str


@router.post("", status_code=201, **requires(Permission.CASES_OPEN))
def open_case(hub: HubDep, actor: ActorDep, new: NewCase, key: IdempotencyKey) -> CaseBody:
    """Open the case of a vulnerability that was reproduced."""
    return CaseBody.model_validate(
        hub.cases.open(actor, VulnerabilityId(new.vulnerability), title=new.title, key=key)
    )


@router.get("", **requires(Permission.CASES_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[CaseBody]:
    """The cases the caller takes part in, newest first."""
    return [CaseBody.model_validate(each) for each in hub.cases.list(actor)]


@router.get("/{case}", **requires(Permission.CASES_READ))
def single(hub: HubDep, actor: ActorDep, case: str) -> CaseBody:
    """A case the caller takes part in."""
    return CaseBody.model_validate(hub.cases.get(actor, CaseId(case)))


@router.post("/{case}/participants", status_code=201, **requires(Permission.CASES_READ_IN))
def read_in(hub: HubDep, actor: ActorDep, case: str, new: NewParticipant) -> CaseBody:
    """Read a party in to the case."""
    return CaseBody.model_validate(
        hub.cases.read_in(
            actor,
            CaseId(case),
            new.party,
            role=new.role,
            tier=new.tier,
            reason=new.reason,
            member=None if new.member is None else PrincipalId(new.member),
        )
    )


@router.get("/{case}/contacts", **requires(Permission.CASES_READ))
def contacts(hub: HubDep, actor: ActorDep, case: str) -> list[ContactBody]:
    """How those in the case are reached whom the caller knows by name."""
    return [ContactBody.model_validate(each) for each in hub.cases.contacts(actor, CaseId(case))]


@router.post("/{case}/report", **requires(Permission.CASES_CONSENT))
def step(hub: HubDep, actor: ActorDep, case: str, taken: Step) -> CaseBody:
    """Say how far the caller has come with the report."""
    return CaseBody.model_validate(hub.cases.step(actor, CaseId(case), taken.step))


@router.post("/{case}/status", **requires(Permission.CASES_CONSENT))
def status(hub: HubDep, actor: ActorDep, case: str, reported: Status) -> CaseBody:
    """Report a fact; a public flaw or exploit ends the embargo at once."""
    return CaseBody.model_validate(hub.cases.report_status(actor, CaseId(case), reported.fact))


@router.get("/{case}/messages", **requires(Permission.CASES_READ))
def messages(hub: HubDep, actor: ActorDep, case: str) -> list[MessageBody]:
    """What was said in the case, oldest first."""
    return [MessageBody.model_validate(each) for each in hub.cases.messages(actor, CaseId(case))]


@router.post("/{case}/messages", status_code=201, **requires(Permission.CASES_CONSENT))
def say(
    hub: HubDep, actor: ActorDep, case: str, message: Message, key: IdempotencyKey
) -> MessageBody:
    """Write to everyone in the case."""
    return MessageBody.model_validate(hub.cases.say(actor, CaseId(case), message.text, key=key))


@router.post("/{case}/embargoes", status_code=201, **requires(Permission.CASES_CONSENT))
def propose(hub: HubDep, actor: ActorDep, case: str, proposal: Proposal) -> CaseBody:
    """Propose an embargo, or a revision of the one in force."""
    return CaseBody.model_validate(
        hub.embargoes.propose(
            actor,
            CaseId(case),
            until=proposal.until,
            terms=proposal.terms,
            operators_early_notice=proposal.operators_early_notice,
        )
    )


@router.post("/{case}/embargoes/{embargo}/acceptance", **requires(Permission.CASES_CONSENT))
def accept(hub: HubDep, actor: ActorDep, case: str, embargo: str) -> CaseBody:
    """Sign an embargo."""
    return CaseBody.model_validate(hub.embargoes.accept(actor, CaseId(case), embargo))


@router.post("/{case}/embargoes/{embargo}/refusal", **requires(Permission.CASES_CONSENT))
def decline(hub: HubDep, actor: ActorDep, case: str, embargo: str) -> CaseBody:
    """Decline an embargo."""
    return CaseBody.model_validate(hub.embargoes.decline(actor, CaseId(case), embargo))


@router.post("/{case}/termination", **requires(Permission.CASES_CONSENT))
def terminate(hub: HubDep, actor: ActorDep, case: str) -> CaseBody:
    """End the embargo in force at once."""
    return CaseBody.model_validate(hub.embargoes.terminate(actor, CaseId(case)))


@router.post("/{case}/closing", **requires(Permission.CASES_OPEN))
def close(hub: HubDep, actor: ActorDep, case: str) -> CaseBody:
    """Close the case."""
    return CaseBody.model_validate(hub.cases.close(actor, CaseId(case)))

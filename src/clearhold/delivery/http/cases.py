"""Routes of cases and their embargoes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.cases.model import Consent, EmbargoState, ReportState, ReportStep, Role
from clearhold.cases.service import MOST_LISTED
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, SealingDep, requires
from clearhold.delivery.http.standing import RoutesView
from clearhold.findings.danger import Danger
from clearhold.kernel.ids import CaseId, PersonId, PrincipalId, VulnerabilityId
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
    """A party, or one member, to read in: as what, how much (0 to 3), why, and until when.

    The reason is in words that reveal nothing.
    """

    party: str
    role: Role
    tier: int = Field(default=1, ge=0, le=3)
    reason: str
    member: str | None = None
    expires_at: datetime | None = None


class ReadOut(_Strict):
    """A party, or one member of it, that shall no longer see the case."""

    party: str
    member: str | None = None


class Recusal(_Strict):
    """A person to bar from the case, oneself when none is named, and why."""

    reason: str
    person: str | None = None


class Reason(_Strict):
    """Why, in words that reveal nothing."""

    reason: str


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
    terms: str | None
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


class GlassBody(_Shown):
    """That a coordinator who was not read in looked at the case."""

    party: str
    reason: str
    broken_at: datetime
    ends_at: datetime


class CaseBody(_Shown):
    """A case as one participant sees it; what its tier does not show is null or empty."""

    id: str
    tier: int
    vulnerability: str | None
    title: str | None
    opened_at: datetime
    closed_at: datetime | None
    role: Role
    report: ReportState
    status: str | None
    fix_proved_at: datetime | None
    embargo_state: EmbargoState
    embargo: EmbargoBody | None
    proposal: EmbargoBody | None
    publication_time: datetime | None
    questioned: bool
    collision: Danger | None
    collided_since: bool
    findings: list[str]
    participants: list[ParticipantBody]
    broken_glass: list[GlassBody]
    waiting: list[WaitingBody]


class CasePage(BaseModel):
    """Some of the caller's cases, and what to ask with for the next ones; null at the end."""

    cases: list[CaseBody]
    next: str | None


class ReaderBody(_Shown):
    """Somebody who is read in; `member` is null for a whole party."""

    party: str
    handle: str
    member: str | None
    name: str | None
    tier: int
    reason: str
    granted_by: str
    approved_by: str | None
    granted_at: datetime
    expires_at: datetime | None
    emergency: bool


class RecusedBody(_Shown):
    """Somebody who is barred from the case."""

    person: str
    name: str
    reason: str
    made_by: str
    made_at: datetime


class ReadersBody(_Shown):
    """Who is read in to a case and who is barred from it."""

    readers: list[ReaderBody]
    recused: list[RecusedBody]


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
def listing(
    hub: HubDep,
    actor: ActorDep,
    cursor: Annotated[str, Query(max_length=100)] = "",
    limit: int = MOST_LISTED,
) -> CasePage:
    """The cases the caller takes part in, newest first, a page at a time."""
    page, after = hub.cases.list(actor, cursor=cursor, limit=limit)
    return CasePage(cases=[CaseBody.model_validate(each) for each in page], next=after or None)


@router.get("/{case}", **requires(Permission.CASES_READ))
def single(hub: HubDep, actor: ActorDep, case: str) -> CaseBody:
    """A case the caller takes part in."""
    return CaseBody.model_validate(hub.cases.get(actor, CaseId(case)))


@router.post("/{case}/participants", status_code=201, **requires(Permission.CASES_READ_IN))
def read_in(hub: HubDep, actor: ActorDep, case: str, new: NewParticipant) -> CaseBody:
    """Read a party in to the case."""
    return CaseBody.model_validate(
        hub.readers.read_in(
            actor,
            CaseId(case),
            new.party,
            role=new.role,
            tier=new.tier,
            reason=new.reason,
            member=_member(new.member),
            expires_at=new.expires_at,
        )
    )


@router.post("/{case}/participants/end", **requires(Permission.CASES_READ_IN))
def read_out(hub: HubDep, actor: ActorDep, case: str, who: ReadOut) -> CaseBody:
    """End what a party, or one member of it, sees of the case."""
    return CaseBody.model_validate(
        hub.readers.read_out(actor, CaseId(case), who.party, member=_member(who.member))
    )


@router.get("/{case}/readers", **requires(Permission.CASES_READ))
def readers(hub: HubDep, actor: ActorDep, case: str) -> ReadersBody:
    """Who is read in, why, by whom and until when."""
    return ReadersBody.model_validate(hub.readers.list(actor, CaseId(case)))


@router.post("/{case}/recusals", status_code=201, **requires(Permission.CASES_READ))
def recuse(hub: HubDep, actor: ActorDep, case: str, who: Recusal) -> dict[str, str]:
    """Bar a person from the case for good."""
    person = None if who.person is None else PersonId(who.person)
    hub.readers.recuse(actor, CaseId(case), reason=who.reason, person=person)
    return {"case": case}


@router.post("/{case}/glass", status_code=201, **requires(Permission.CASES_READ_IN))
def break_glass(hub: HubDep, actor: ActorDep, case: str, why: Reason) -> CaseBody:
    """Look at a case one is not read in to, for an hour, with a second person's approval."""
    return CaseBody.model_validate(hub.readers.break_glass(actor, CaseId(case), reason=why.reason))


@router.post("/{case}/export", response_class=Response, **requires(Permission.CASES_READ_IN))
def export(hub: HubDep, actor: ActorDep, sealing: SealingDep, case: str) -> Response:
    """Everything the caller may see of the case, as a zip archive."""
    return Response(
        sealing(lambda: hub.exports.export(actor, CaseId(case), sealed_to=sealing.to)),
        media_type="application/zip",
        headers={"Content-Disposition": "attachment"},
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


def _member(named: str | None) -> PrincipalId | None:
    return None if named is None else PrincipalId(named)

"""Routes of the model-testing desk's reports: plan, draft, reply, and what is signed in the end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.evaluations.papers import Paper
from clearhold.evaluations.reporting.document import LARGEST, LONGEST_TEXT
from clearhold.evaluations.reports import FinalReport, PaperView

router = APIRouter(prefix="/evaluations", tags=["evaluations"])


class PlanDigest(BaseModel):
    """The SHA-256 of a plan's canonical bytes."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class DraftIn(BaseModel):
    """A draft, as canonical JSON in a string."""

    report: str = Field(max_length=LARGEST)


class ReplyIn(BaseModel):
    """What the developer replies."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class FinalIn(DraftIn):
    """A final report with the DSSE envelope in which the evaluator signed its statement."""

    envelope: str = Field(max_length=LARGEST)


class PaperSummary(BaseModel):
    """A paper without what stands in it; `about` names the paper it follows, or is empty."""

    id: str
    engagement: str
    number: int
    kind: str
    about: str
    party: str
    sha256: str
    made_at: datetime


class PaperOut(PaperSummary):
    """A paper with what stands in it."""

    content: str


class FactsOut(BaseModel):
    """What a draft has to say of an engagement, and until when it is sent."""

    tested: dict[str, Any]
    access: dict[str, Any] | None
    plan_sha256: str
    beside: dict[str, Any]
    draft_due: datetime | None
    late_draft_agreed: bool
    reply_until: datetime | None


class FinalOut(BaseModel):
    """A final report as its file, without the log's proof, and the ledger's leaf that names it."""

    file: str
    leaf: int | None


@router.get("/engagements/{engagement}/report", **requires(Permission.EVALUATIONS_READ))
def facts(hub: HubDep, actor: ActorDep, engagement: str) -> FactsOut:
    """What a draft has to say, and by when it is due."""
    found = hub.models.reports.facts(actor, engagement)
    return FactsOut(
        tested=msgspec.to_builtins(found.tested),
        access=msgspec.to_builtins(found.access),
        plan_sha256=found.plan_sha256,
        beside=msgspec.to_builtins(found.beside),
        draft_due=found.draft_due,
        late_draft_agreed=found.late_draft_agreed,
        reply_until=found.reply_until,
    )


@router.post("/engagements/{engagement}/plan", **requires(Permission.EVALUATIONS_RUN))
def plan(hub: HubDep, actor: ActorDep, engagement: str, known: PlanDigest) -> PaperSummary:
    """Register a plan by its digest, as the evaluator, before access begins."""
    return summary_of(hub.models.reports.plan(actor, engagement, known.sha256))


@router.post("/engagements/{engagement}/draft", **requires(Permission.EVALUATIONS_RUN))
def draft(hub: HubDep, actor: ActorDep, engagement: str, given: DraftIn) -> PaperSummary:
    """Send the developer the draft of the report, as the evaluator."""
    return summary_of(hub.models.reports.send(actor, engagement, given.report.encode()).paper)


@router.post("/engagements/{engagement}/reply", **requires(Permission.EVALUATIONS_RUN))
def reply(hub: HubDep, actor: ActorDep, engagement: str, given: ReplyIn) -> PaperSummary:
    """Reply to the draft, as the developer; the words go into the final report unchanged."""
    return summary_of(hub.models.reports.reply(actor, engagement, given.text).paper)


@router.post("/engagements/{engagement}/final", **requires(Permission.EVALUATIONS_AGREE))
def issue(hub: HubDep, actor: ActorDep, engagement: str, given: FinalIn) -> FinalOut:
    """Issue the final report, signed by the evaluator."""
    content, envelope = given.report.encode(), given.envelope.encode()
    return _final(hub.models.reports.issue(actor, engagement, content, envelope))


@router.get("/engagements/{engagement}/final", **requires(Permission.EVALUATIONS_READ))
def final(hub: HubDep, actor: ActorDep, engagement: str) -> FinalOut:
    """The final report of an engagement."""
    return _final(hub.models.reports.final(actor, engagement))


@router.get("/engagements/{engagement}/papers", **requires(Permission.EVALUATIONS_READ))
def papers(hub: HubDep, actor: ActorDep, engagement: str) -> list[PaperSummary]:
    """The papers of an engagement that the caller may read."""
    return [summary_of(each) for each in hub.models.reports.papers(actor, engagement)]


@router.get("/papers/{paper}", **requires(Permission.EVALUATIONS_READ))
def paper(hub: HubDep, actor: ActorDep, paper: str) -> PaperOut:
    """One paper."""
    return _paper(hub.models.reports.paper(actor, paper))


def summary_of(found: Paper) -> PaperSummary:
    """A paper as it is told of."""
    return PaperSummary(**_told(found))


def _paper(found: PaperView) -> PaperOut:
    return PaperOut(**_told(found.paper), content=found.content.decode())


def _final(found: FinalReport) -> FinalOut:
    return FinalOut(file=found.packed.decode(), leaf=found.leaf)


def _told(found: Paper) -> dict[str, Any]:
    names = ("id", "engagement", "number", "kind", "about", "party", "made_at")
    return {name: getattr(found, name) for name in names} | {"sha256": found.digest.hex()}

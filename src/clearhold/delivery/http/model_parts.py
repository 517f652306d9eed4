"""Routes beside a test: departments, ways around safeguards, what is handed over, and decisions."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.delivery.http.model_reports import PaperSummary, summary_of
from clearhold.delivery.http.model_tests import Envelope
from clearhold.evaluations.decisions import DecisionView, PartnerView
from clearhold.evaluations.departments import Department, Request, RequestView
from clearhold.evaluations.handover import HandedOver
from clearhold.evaluations.safeguard_steps import (
    SafeguardFinding,
    SafeguardView,
    Step,
    StepTaken,
)
from clearhold.evaluations.safeguards import LARGEST_KIT, LARGEST_LOG
from clearhold.kernel.errors import InvalidError

router = APIRouter(prefix="/evaluations", tags=["evaluations"])

Name = Annotated[str, Field(min_length=1, max_length=300)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_OF = "/engagements/{engagement}"


class FindingIn(BaseModel):
    """What a tested model found, in the project's own JSON and base64, and the trials it came up in."""

    finding: str = Field(max_length=12 * 1024 * 1024)
    trials_sha256: Digest
    task: Name


class HandedOverOut(BaseModel):
    """What became of it; `submission` only its submitter can open."""

    outcome: Literal["finding", "calibration"]
    credit: str
    known: list[str]
    sha256: str
    submission: str
    task: str
    trials_sha256: str


class SafeguardIn(BaseModel):
    """A way around safeguards; `kit` is an age file for the developer, in base64."""

    also_in: list[Name] = Field(default=[], max_length=50)
    automated: bool
    expert_hours: float = Field(ge=0, le=100_000, allow_inf_nan=False)
    reach: Literal["universal", "narrow"]
    severity: Literal["low", "medium", "high", "critical"]
    title: Name
    variant: Name
    kit: str = Field(default="", max_length=2 * LARGEST_KIT)


class StepIn(BaseModel):
    """A step of a safeguard finding."""

    to: Step
    configuration: str = Field(default="", max_length=64)
    reason: str = Field(default="", max_length=20_000)
    trials_sha256: str = Field(default="", max_length=64)


class EffortIn(BaseModel):
    """The log of attempts behind a finding, as clearhold-effort/1 in a string."""

    log: str = Field(max_length=LARGEST_LOG)


class SafeguardOut(BaseModel):
    """A safeguard finding with its steps; `kit` and `effort` name the papers with its kit and log."""

    id: str
    stands: Step
    finding: dict[str, Any]
    steps: list[dict[str, Any]]
    kit: str
    effort: str


class DecisionOut(BaseModel):
    """A decision as its authority signed it."""

    id: str
    decision: dict[str, Any]
    envelope: str


class PartnerOut(BaseModel):
    """A partner's early access, who has signed it, and whether it is in force now."""

    id: str
    access: dict[str, Any]
    signed_by: list[str]
    ended_by: str | None
    in_force: bool
    envelope: str


class DepartmentIn(BaseModel):
    """A department's part in an engagement."""

    begins_at: AwareDatetime
    department: Name
    ends_at: AwareDatetime
    reviewers: list[Name] = Field(min_length=1, max_length=50)
    scope: str = Field(min_length=1, max_length=4000)


class RequestIn(BaseModel):
    """What a department asks."""

    hours: float = Field(ge=0, le=10_000, allow_inf_nan=False)
    question: str = Field(min_length=1, max_length=4000)
    suite_sha256: Digest
    tokens: int = Field(ge=0, le=10**12)
    variant: Name


class RequestOut(BaseModel):
    """A request, and the one whose run serves it."""

    id: str
    department: str
    served_by: str
    request: dict[str, Any]


class DuplicateOut(BaseModel):
    """Two departments asked the same: whose run serves both."""

    asked_again_by: str
    request: str
    runs: str


class BurdenOut(BaseModel):
    """What an engagement costs its developer."""

    requests: int
    runs: int
    hours: float
    tokens: int
    spared_hours: float
    spared_tokens: int
    delay_s: int
    by_department: dict[str, int]


@router.post(_OF + "/findings", **requires(Permission.EVALUATIONS_RUN))
def hand_over(hub: HubDep, actor: ActorDep, engagement: str, given: FindingIn) -> HandedOverOut:
    """Hand over what a tested model found: maintainer first, in the developer's name."""
    try:
        raw = base64.b64decode(given.finding, validate=True)
    except ValueError as error:
        raise InvalidError("The finding is not in base64.") from error
    found = hub.models.handovers.hand_over(
        actor, engagement, raw, trials_sha256=given.trials_sha256, task=given.task
    )
    return _handed(found)


@router.get(_OF + "/findings", **requires(Permission.EVALUATIONS_READ))
def handed_over(hub: HubDep, actor: ActorDep, engagement: str) -> list[HandedOverOut]:
    """What was handed over in an engagement."""
    return [_handed(each) for each in hub.models.handovers.list(actor, engagement)]


@router.post(_OF + "/safeguards", **requires(Permission.EVALUATIONS_RUN))
def report_safeguard(
    hub: HubDep, actor: ActorDep, engagement: str, given: SafeguardIn
) -> SafeguardOut:
    """Report a way around safeguards, as the evaluator."""
    said = given.model_dump(exclude={"kit"}) | {"also_in": tuple(given.also_in)}
    finding = SafeguardFinding(**said)
    return _safeguard(hub.models.safeguards.report(actor, engagement, finding, given.kit))


@router.get(_OF + "/safeguards", **requires(Permission.EVALUATIONS_READ))
def safeguards(hub: HubDep, actor: ActorDep, engagement: str) -> list[SafeguardOut]:
    """The safeguard findings of an engagement."""
    return [_safeguard(each) for each in hub.models.safeguards.list(actor, engagement)]


@router.post(_OF + "/safeguards/{safeguard}/steps", **requires(Permission.EVALUATIONS_RUN))
def step_safeguard(
    hub: HubDep, actor: ActorDep, engagement: str, safeguard: str, given: StepIn
) -> SafeguardOut:
    """Say how a safeguard finding goes on, for the caller's side."""
    step = StepTaken(**given.model_dump())
    return _safeguard(hub.models.safeguards.step(actor, engagement, safeguard, step))


@router.post(_OF + "/safeguards/{safeguard}/effort", **requires(Permission.EVALUATIONS_RUN))
def log_effort(
    hub: HubDep, actor: ActorDep, engagement: str, safeguard: str, given: EffortIn
) -> SafeguardOut:
    """Give the log of what it took, as the evaluator; the last one given counts."""
    log = given.log.encode()
    return _safeguard(hub.models.safeguards.log_effort(actor, engagement, safeguard, log))


@router.post("/decisions", **requires(Permission.EVALUATIONS_AGREE))
def decide(hub: HubDep, actor: ActorDep, signed: Envelope) -> DecisionOut:
    """Record whether a model is covered, as the authority that decided and signed it."""
    return _decision(hub.models.decisions.decide(actor, signed.envelope.encode()))


@router.get(_OF + "/decisions", **requires(Permission.EVALUATIONS_READ))
def decisions(hub: HubDep, actor: ActorDep, engagement: str) -> list[DecisionOut]:
    """The decisions about an engagement that the caller may read."""
    return [_decision(each) for each in hub.models.decisions.decided(actor, engagement)]


@router.post("/partners", **requires(Permission.EVALUATIONS_AGREE))
def propose_partner(hub: HubDep, actor: ActorDep, signed: Envelope) -> PartnerOut:
    """Propose early access for a partner, as a side of the engagement."""
    return _partner(hub.models.decisions.propose(actor, signed.envelope.encode()))


@router.get(_OF + "/partners", **requires(Permission.EVALUATIONS_READ))
def partners(hub: HubDep, actor: ActorDep, engagement: str) -> list[PartnerOut]:
    """The early access under an engagement that the caller is a party to."""
    return [_partner(each) for each in hub.models.decisions.partners(actor, engagement)]


@router.post(_OF + "/partners/{partner}/signature", **requires(Permission.EVALUATIONS_AGREE))
def sign_partner(
    hub: HubDep, actor: ActorDep, engagement: str, partner: str, signed: Envelope
) -> PartnerOut:
    """Sign a partner's access, as the developer or the partner."""
    envelope = signed.envelope.encode()
    return _partner(hub.models.decisions.consent(actor, engagement, partner, envelope))


@router.post(_OF + "/partners/{partner}/end", **requires(Permission.EVALUATIONS_AGREE))
def end_partner(hub: HubDep, actor: ActorDep, engagement: str, partner: str) -> PartnerOut:
    """End a partner's access for good, as any of its parties."""
    return _partner(hub.models.decisions.end(actor, engagement, partner))


@router.post(_OF + "/departments", **requires(Permission.EVALUATIONS_RUN))
def add_department(
    hub: HubDep, actor: ActorDep, engagement: str, given: DepartmentIn
) -> PaperSummary:
    """Give a department its part, as the evaluator."""
    part = Department(**(given.model_dump() | {"reviewers": tuple(given.reviewers)}))
    return summary_of(hub.models.departments.add(actor, engagement, part))


@router.post(_OF + "/requests", **requires(Permission.EVALUATIONS_RUN))
def ask(hub: HubDep, actor: ActorDep, engagement: str, given: RequestIn) -> RequestOut:
    """Ask for a test, as a department in its slot."""
    wanted = Request(**given.model_dump())
    return _request(hub.models.departments.ask(actor, engagement, wanted))


@router.get(_OF + "/requests", **requires(Permission.EVALUATIONS_READ))
def requests(hub: HubDep, actor: ActorDep, engagement: str) -> list[RequestOut]:
    """The requests that the caller may read: a department its own, the sides all."""
    return [_request(each) for each in hub.models.departments.list(actor, engagement)]


@router.get(_OF + "/duplicates", **requires(Permission.EVALUATIONS_READ))
def duplicates(hub: HubDep, actor: ActorDep, engagement: str) -> list[DuplicateOut]:
    """Where several departments asked the same, as far as the caller was told."""
    found = hub.models.departments.duplicates(actor, engagement)
    return [DuplicateOut(**msgspec.to_builtins(each)) for each in found]


@router.get(_OF + "/burden", **requires(Permission.EVALUATIONS_READ))
def burden(hub: HubDep, actor: ActorDep, engagement: str) -> BurdenOut:
    """What an engagement costs its developer."""
    return BurdenOut(**asdict(hub.models.departments.burden(actor, engagement)))


def _handed(found: HandedOver) -> HandedOverOut:
    return HandedOverOut(**msgspec.to_builtins(found))


def _safeguard(found: SafeguardView) -> SafeguardOut:
    return SafeguardOut(
        id=found.id,
        stands=found.stands,
        finding=msgspec.to_builtins(found.finding),
        steps=[msgspec.to_builtins(each) for each in found.steps],
        kit=found.kit,
        effort=found.effort,
    )


def _decision(found: DecisionView) -> DecisionOut:
    return DecisionOut(
        id=found.paper.id,
        decision=msgspec.to_builtins(found.decision),
        envelope=found.envelope.decode(),
    )


def _partner(found: PartnerView) -> PartnerOut:
    return PartnerOut(
        id=found.id,
        access=msgspec.to_builtins(found.access),
        signed_by=list(found.signed_by),
        ended_by=found.ended_by,
        in_force=found.in_force,
        envelope=found.envelope.decode(),
    )


def _request(found: RequestView) -> RequestOut:
    return RequestOut(
        id=found.id,
        department=found.department,
        served_by=found.served_by,
        request=msgspec.to_builtins(found.request),
    )

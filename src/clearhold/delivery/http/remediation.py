"""Routes of remediation: an operator's plan and receipts, a coordinator's preparation and counts."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, RawBody, requires
from clearhold.kernel.ids import ActionId, AdvisoryId
from clearhold.kernel.matching import Verdict
from clearhold.remediation.model import ActionState, Input, Reasoned
from clearhold.remediation.service import Counts, Planned

router = APIRouter(prefix="/remediation", tags=["remediation"])


class InputView(BaseModel):
    """One fact that went into a decision, and where it comes from."""

    name: str
    value: str
    source: str


class DecisionView(BaseModel):
    """What a published decision table answered, with all it takes to decide again."""

    table: str
    inputs: list[InputView]
    assumed: list[str]
    outcome: str
    outcome_name: str


class HitView(BaseModel):
    """A component that is affected, or of which that cannot be told."""

    component: str
    verdict: Verdict
    reason: str


class AdviceView(BaseModel):
    """What to do, in plain words."""

    what: str
    where: str
    when: str
    who: str
    if_you_cannot_patch: str


class DetailsView(BaseModel):
    """Everything about an action, once its advisory is published."""

    advisory: str
    title: str
    inventory: str
    revision: int
    hits: list[HitView]
    directive: DecisionView
    human_impact: DecisionView
    deployer: DecisionView
    beside: list[InputView]
    advice: AdviceView


class ActionView(BaseModel):
    """One thing to do; before publication only that it is coming and how urgent it will be."""

    id: str
    state: ActionState
    tier: str
    starts_at: datetime
    due_at: datetime | None
    details: DetailsView | None


class ReceiptView(BaseModel):
    """A receipt that was accepted."""

    id: str
    action: str
    counter: int
    state: ActionState
    received_at: datetime


class CountsView(BaseModel):
    """How far an advisory's actions have come, over all operators together."""

    advisory: str
    actions: int
    states: dict[ActionState, int]


def _input(each: Input) -> InputView:
    return InputView(name=each.name, value=each.value, source=each.source)


def _decision(reasoned: Reasoned) -> DecisionView:
    return DecisionView(
        table=reasoned.table,
        inputs=[_input(each) for each in reasoned.inputs],
        assumed=list(reasoned.assumed),
        outcome=reasoned.outcome,
        outcome_name=reasoned.outcome_name,
    )


def _view(planned: Planned) -> ActionView:
    details = planned.details
    shown = None
    if details is not None:
        advice = details.advice
        shown = DetailsView(
            advisory=details.advisory,
            title=details.title,
            inventory=details.inventory,
            revision=details.revision,
            hits=[
                HitView(component=hit.component, verdict=hit.verdict, reason=hit.reason)
                for hit in details.hits
            ],
            directive=_decision(details.priority.directive),
            human_impact=_decision(details.priority.human_impact),
            deployer=_decision(details.priority.deployer),
            beside=[_input(each) for each in details.priority.beside],
            advice=AdviceView(
                what=advice.what,
                where=advice.where,
                when=advice.when,
                who=advice.who,
                if_you_cannot_patch=advice.if_you_cannot_patch,
            ),
        )
    return ActionView(
        id=planned.id,
        state=planned.state,
        tier=planned.tier,
        starts_at=planned.starts_at,
        due_at=planned.due_at,
        details=shown,
    )


def _counts(counts: Counts) -> CountsView:
    return CountsView(advisory=counts.advisory, actions=counts.actions, states=dict(counts.states))


@router.get("/actions", **requires(Permission.REMEDIATION_READ))
def plan(hub: HubDep, actor: ActorDep) -> list[ActionView]:
    """The caller's actions, most urgent first."""
    return [_view(each) for each in hub.remediation.plan(actor)]


@router.get("/actions/{action}", **requires(Permission.REMEDIATION_READ))
def get(hub: HubDep, actor: ActorDep, action: str) -> ActionView:
    """One action of the caller."""
    return _view(hub.remediation.get(actor, ActionId(action)))


@router.post("/receipts", status_code=201, **requires(Permission.REMEDIATION_REPORT))
def submit(
    hub: HubDep, actor: ActorDep, envelope: RawBody, action: str | None = None
) -> ReceiptView:
    """Accept an agent's signed receipt; the same one again gives the same answer."""
    filed = hub.remediation.submit(
        actor, envelope, action=None if action is None else ActionId(action)
    )
    return ReceiptView(
        id=filed.id,
        action=filed.action,
        counter=filed.counter,
        state=filed.state,
        received_at=filed.received_at,
    )


@router.post("/advisories/{advisory}", **requires(Permission.ADVISORIES_PUBLISH))
def prepare(hub: HubDep, actor: ActorDep, advisory: str) -> CountsView:
    """Queue the matching of every inventory against an advisory, under embargo or not."""
    return _counts(hub.remediation.prepare(actor, AdvisoryId(advisory)))


@router.get("/advisories/{advisory}", **requires(Permission.ADVISORIES_PUBLISH))
def counts(hub: HubDep, actor: ActorDep, advisory: str) -> CountsView:
    """How far the actions of an advisory have come, without saying whose they are."""
    return _counts(hub.remediation.counts(actor, AdvisoryId(advisory)))

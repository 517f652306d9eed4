"""Routes of leads: what engines and agents point at, for the party whose campaigns met it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.discovery.leads import LONGEST_REASON, LeadState, LeadView
from clearhold.kernel.ids import FindingId, LeadId

router = APIRouter(prefix="/discovery/leads", tags=["discovery"])


class LeadOut(BaseModel):
    """A place that an engine points at: no finding.

    `package` has the version in which it was met last; `gone_in` names a later campaign that read
    the same place and did not meet it, `finding` what proved it.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    engine: str
    state: LeadState
    package: str
    rule: str
    path: str
    line: int
    level: str
    message: str
    excerpt: str
    first_campaign: str
    last_campaign: str
    gone_in: str | None
    finding: str | None
    reason: str
    met_at: datetime
    decided_at: datetime | None


class LeadQuestion(BaseModel):
    """Which leads: of one package, in one state, after one that was told before."""

    package: str = Field(default="", max_length=1000)
    state: LeadState | None = None
    after: str | None = Field(default=None, max_length=64)


class Dismissal(BaseModel):
    """Why a lead is put aside."""

    reason: str = Field(max_length=LONGEST_REASON)


class Proof(BaseModel):
    """The finding that shows what a lead pointed at."""

    finding: str = Field(max_length=64)


@router.get("", **requires(Permission.DISCOVERY_READ))
def listing(hub: HubDep, actor: ActorDep, asked: Annotated[LeadQuestion, Query()]) -> list[LeadOut]:
    """The caller's leads in the order they were met, so many at once."""
    after = None if asked.after is None else LeadId(asked.after)
    found = hub.leads.list(actor, package=asked.package, state=asked.state, after=after)
    return [_out(each) for each in found]


@router.get("/{lead}", **requires(Permission.DISCOVERY_READ))
def one(hub: HubDep, actor: ActorDep, lead: str) -> LeadOut:
    """One lead."""
    return _out(hub.leads.get(actor, LeadId(lead)))


@router.post("/{lead}/dismissal", **requires(Permission.DISCOVERY_RUN))
def dismiss(hub: HubDep, actor: ActorDep, lead: str, why: Dismissal) -> LeadOut:
    """Put a lead aside; it stays so however often it is met again."""
    return _out(hub.leads.dismiss(actor, LeadId(lead), reason=why.reason))


@router.post("/{lead}/reopening", **requires(Permission.DISCOVERY_RUN))
def reopen(hub: HubDep, actor: ActorDep, lead: str) -> LeadOut:
    """Take a dismissal back."""
    return _out(hub.leads.reopen(actor, LeadId(lead)))


@router.post("/{lead}/proof", **requires(Permission.DISCOVERY_RUN))
def prove(hub: HubDep, actor: ActorDep, lead: str, by: Proof) -> LeadOut:
    """Say that a finding, which the laboratory reproduced, shows what a lead pointed at."""
    return _out(hub.leads.prove(actor, LeadId(lead), finding=FindingId(by.finding)))


def _out(view: LeadView) -> LeadOut:
    return LeadOut.model_validate(view)

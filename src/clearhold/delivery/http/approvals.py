"""Routes of the two-person rule."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.approvals import Act, ApprovalState
from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.ids import ApprovalId

router = APIRouter(prefix="/approvals", tags=["approvals"])


class Proposal(BaseModel):
    """An act to approve, exactly; `reason` reveals nothing of a flaw."""

    act: Act
    subject: str = Field(min_length=1, max_length=500)
    particulars: dict[str, str] = {}
    reason: str


class ApprovalView(BaseModel):
    """A proposed act and how far it has come."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    act: Act
    subject: str
    particulars: dict[str, str]
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    approved_by: str | None
    state: ApprovalState


@router.get("", **requires(Permission.ACCESS_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[ApprovalView]:
    """What the caller's party proposed, newest first."""
    return [ApprovalView.model_validate(each) for each in hub.approvals.list(actor)]


@router.post("", status_code=201, **requires(Permission.ACCESS_APPROVE))
def propose(hub: HubDep, actor: ActorDep, wish: Proposal) -> ApprovalView:
    """Ask a second person to approve an act."""
    return ApprovalView.model_validate(
        hub.approvals.propose(
            actor, wish.act, wish.subject, particulars=wish.particulars, reason=wish.reason
        )
    )


@router.post("/{approval}/approval", **requires(Permission.ACCESS_APPROVE))
def give(hub: HubDep, actor: ActorDep, approval: str) -> ApprovalView:
    """Approve what somebody else proposed."""
    return ApprovalView.model_validate(hub.approvals.give(actor, ApprovalId(approval)))


@router.post("/{approval}/refusal", **requires(Permission.ACCESS_APPROVE))
def refuse(hub: HubDep, actor: ActorDep, approval: str) -> ApprovalView:
    """Refuse or withdraw what is proposed."""
    return ApprovalView.model_validate(hub.approvals.refuse(actor, ApprovalId(approval)))

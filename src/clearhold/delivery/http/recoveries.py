"""Routes of recovery: opened by two coordinators, seen by those it concerns, stopped by the person."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.delivery.http.doors import actor_of, signed_in_of
from clearhold.kernel.ids import PrincipalId, RecoveryId

router = APIRouter(prefix="/recoveries", tags=["recoveries"])


class Lost(BaseModel):
    """The member who lost every credential."""

    member: str = Field(max_length=100)


class RecoveryView(BaseModel):
    """A recovery and how far it has come."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    member: str
    opened_at: datetime
    opens_at: datetime
    expires_at: datetime
    state: str


class OpenedRecovery(RecoveryView):
    """A fresh recovery; its enrolment is shown this once."""

    enrolment: str


@router.get("", **requires(Permission.ACCOUNT_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[RecoveryView]:
    """The recoveries the caller is to know of."""
    return [RecoveryView.model_validate(each) for each in hub.recoveries.list(actor)]


@router.post("", status_code=201, **requires(Permission.ACCESS_APPROVE))
def open_recovery(hub: HubDep, actor: ActorDep, lost: Lost) -> OpenedRecovery:
    """Issue an enrolment that opens after the wait, once a second coordinator has approved."""
    opened, issued = hub.recoveries.open(actor, PrincipalId(lost.member))
    return OpenedRecovery(
        **RecoveryView.model_validate(opened).model_dump(), enrolment=issued.secret
    )


@router.post("/{recovery}/veto", **requires(Permission.ACCOUNT_READ))
def veto(request: Request, hub: HubDep, recovery: str) -> RecoveryView:
    """Stop a recovery, with any credential of the person that still works."""
    identity = RecoveryId(recovery)
    if request.headers.get("authorization"):
        stopped = hub.recoveries.veto(actor_of(request), identity)
    else:
        signed = signed_in_of(request)
        stopped = (
            hub.recoveries.veto_own(signed.person, identity)
            if signed.actor is None
            else hub.recoveries.veto(signed.actor, identity)
        )
    return RecoveryView.model_validate(stopped)

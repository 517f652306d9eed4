"""Routes of discovery."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.discovery.records import Campaign
from clearhold.kernel.ids import DiscoveryId, LeaseId

router = APIRouter(prefix="/discovery", tags=["discovery"])


class NewCampaign(BaseModel):
    """A campaign to begin under a lease; without a seed the hub's clock gives one."""

    lease: str
    fence: int = Field(ge=1, lt=1 << 63)
    package: str
    target: str
    budget_s: int
    seed: int | None = Field(default=None, ge=1, lt=1 << 32)


class Begun(BaseModel):
    """The id of a campaign."""

    id: str


class CampaignOut(BaseModel):
    """How far a campaign got."""

    id: str
    lease: str
    state: str
    seed: int
    budget_s: int
    executions: int
    edges: int
    queued_at: datetime
    ended_at: datetime | None


class CampaignDetail(CampaignOut):
    """A campaign with what it searched and found; `crash` is base64."""

    package: str
    target: str
    crash: str | None
    note: str


def _out(known: Campaign) -> CampaignOut:
    return CampaignOut(
        id=known.id,
        lease=known.lease,
        state=known.state,
        seed=known.seed,
        budget_s=known.budget_s,
        executions=known.executions,
        edges=known.edges,
        queued_at=known.queued_at,
        ended_at=known.ended_at,
    )


@router.post("/campaigns", status_code=202, **requires(Permission.DISCOVERY_RUN))
def begin(
    hub: HubDep, actor: ActorDep, new: NewCampaign, idempotency_key: Annotated[str, Header()]
) -> Begun:
    """Begin a campaign."""
    identity = hub.discovery.begin(
        actor,
        lease=LeaseId(new.lease),
        fence=new.fence,
        package=new.package,
        target=new.target,
        seed=new.seed,
        budget_s=new.budget_s,
        key=idempotency_key,
    )
    return Begun(id=identity)


@router.get("/campaigns", **requires(Permission.DISCOVERY_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[CampaignOut]:
    """The caller's campaigns, newest first."""
    return [_out(known) for known in hub.discovery.list(actor)]


@router.get("/campaigns/{campaign}", **requires(Permission.DISCOVERY_READ))
def one(hub: HubDep, actor: ActorDep, campaign: str) -> CampaignDetail:
    """One campaign, with the input that crashed the target."""
    view = hub.discovery.get(actor, DiscoveryId(campaign))
    return CampaignDetail(
        **_out(view.campaign).model_dump(),
        package=view.plan.package,
        target=view.plan.target,
        crash=None if view.crash is None else base64.b64encode(view.crash).decode(),
        note=view.note,
    )

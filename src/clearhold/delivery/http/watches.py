"""Routes of watches: campaigns that are repeated on newer versions or commits."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.discovery.watching import WatchView
from clearhold.kernel.ids import DiscoveryId, LeaseId, WatchId

router = APIRouter(prefix="/discovery", tags=["discovery"])


class NewWatch(BaseModel):
    """The lease that a watch stands under, and the seconds that all its searches may take.

    `ref` names branches or tags to follow in place of releases, as `refs/heads/main`.
    """

    lease: str
    fence: int = Field(ge=1, lt=1 << 63)
    total_s: int = Field(ge=1, lt=1 << 31)
    ref: str = Field(default="", max_length=256)


class WatchOut(BaseModel):
    """A watch: `version` is the version or commit seen last, `note` what the last look came to.

    `ref` names the branches or tags that are followed, and is empty for releases.
    `ending` says why it is over: stopped, lease, suspended or budget.
    """

    id: str
    campaign: str
    lease: str
    package: str
    ref: str
    version: str
    note: str
    budget_s: int
    left_s: int
    looks: int
    last_campaign: str | None
    ending: str
    asked_at: datetime
    looked_at: datetime | None
    ended_at: datetime | None


@router.post("/campaigns/{campaign}/watch", status_code=202, **requires(Permission.DISCOVERY_RUN))
def watch(hub: HubDep, actor: ActorDep, campaign: str, new: NewWatch) -> WatchOut:
    """Search again whenever a newer version or commit is published, while the lease lasts."""
    identity = hub.watching.ask(
        actor,
        DiscoveryId(campaign),
        lease=LeaseId(new.lease),
        fence=new.fence,
        total_s=new.total_s,
        ref=new.ref,
    )
    return _out(hub.watching.get(actor, identity))


@router.get("/watches", **requires(Permission.DISCOVERY_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[WatchOut]:
    """The caller's watches, newest first."""
    return [_out(each) for each in hub.watching.list(actor)]


@router.post("/watches/{watch}/stop", **requires(Permission.DISCOVERY_RUN))
def stop(hub: HubDep, actor: ActorDep, watch: str) -> WatchOut:
    """End a watch; campaigns that it began go on."""
    hub.watching.stop(actor, WatchId(watch))
    return _out(hub.watching.get(actor, WatchId(watch)))


def _out(view: WatchView) -> WatchOut:
    known = view.watch
    return WatchOut(
        id=known.id,
        campaign=known.campaign,
        lease=known.lease,
        package=view.package,
        ref=view.state.ref,
        version=view.state.version,
        note=view.state.note,
        budget_s=known.budget_s,
        left_s=known.left_s,
        looks=known.looks,
        last_campaign=known.last_campaign,
        ending=known.ending,
        asked_at=known.asked_at,
        looked_at=known.looked_at,
        ended_at=known.ended_at,
    )

"""Routes of discovery."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.discovery.engine import Crash, Standing
from clearhold.discovery.records import Campaign
from clearhold.kernel.ids import DiscoveryId, LeaseId

router = APIRouter(prefix="/discovery", tags=["discovery"])


CrashNumber = Annotated[int, PathParameter(ge=0, lt=1 << 31)]
ShortText = Annotated[str, Field(max_length=400)]


class NewCampaign(BaseModel):
    """A campaign to begin under a lease.

    Without a seed the hub's clock gives one; without a target it is the only one there is.
    """

    lease: str
    fence: int = Field(ge=1, lt=1 << 63)
    package: str = Field(max_length=1000)
    target: str = Field(default="", max_length=200)
    budget_s: int
    seed: int | None = Field(default=None, ge=1, lt=1 << 32)
    engine: str = Field(default="libfuzzer", max_length=40)
    options: dict[ShortText, ShortText] = Field(default={}, max_length=16)


class Begun(BaseModel):
    """The id of a campaign."""

    id: str


class CampaignOut(BaseModel):
    """How far a campaign got; `ending` says why it is over, `spent_s` how long it searched."""

    id: str
    lease: str
    engine: str
    state: str
    ending: str
    seed: int
    budget_s: int
    spent_s: int
    executions: int
    edges: int
    queued_at: datetime
    ended_at: datetime | None


class CrashOut(BaseModel):
    """A crash that a campaign met, without its input, of which it tells the size and the digest.

    `standing` is confirmed when the laboratory showed it again, harness when it is our own
    harness's, else unconfirmed; `times` counts how often this signature was met.
    """

    number: int
    target: str
    standing: str
    verdict: str
    reason: str
    signature: list[str]
    times: int
    size: int
    sha256: str
    known_since: str


class CrashInput(CrashOut):
    """A crash with its input, base64."""

    content: str


class CorpusOut(BaseModel):
    """The inputs that the caller's party keeps for a campaign's target, each in base64."""

    inputs: list[str]


class CampaignDetail(CampaignOut):
    """A campaign with what it searched and found; `crash` is the number of the first confirmed one."""

    package: str
    target: str
    options: dict[str, str]
    crash: int | None
    crashes: list[CrashOut]
    note: str


def _out(known: Campaign) -> CampaignOut:
    return CampaignOut(
        id=known.id,
        lease=known.lease,
        engine=known.engine,
        state=known.state,
        ending=known.ending,
        seed=known.seed,
        budget_s=known.budget_s,
        spent_s=known.spent_s,
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
        engine=new.engine,
        options=new.options,
    )
    return Begun(id=identity)


@router.get("/campaigns", **requires(Permission.DISCOVERY_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[CampaignOut]:
    """The caller's campaigns, newest first."""
    return [_out(known) for known in hub.discovery.list(actor)]


@router.get("/campaigns/{campaign}", **requires(Permission.DISCOVERY_READ))
def one(hub: HubDep, actor: ActorDep, campaign: str) -> CampaignDetail:
    """One campaign, with what is known of each crash but its input."""
    view = hub.discovery.get(actor, DiscoveryId(campaign))
    return CampaignDetail(
        **_out(view.campaign).model_dump(),
        package=view.plan.package,
        target=view.plan.target,
        options=dict(view.plan.options),
        crashes=[_crash(number, each) for number, each in enumerate(view.crashes, start=1)],
        crash=next(
            (
                number
                for number, each in enumerate(view.crashes, start=1)
                if each.standing is Standing.CONFIRMED
            ),
            None,
        ),
        note=view.note,
    )


@router.post("/campaigns/{campaign}/stop", status_code=202, **requires(Permission.DISCOVERY_RUN))
def stop(hub: HubDep, actor: ActorDep, campaign: str) -> Begun:
    """End a campaign: at once, or within seconds when it runs."""
    hub.discovery.stop(actor, DiscoveryId(campaign))
    return Begun(id=campaign)


@router.get("/campaigns/{campaign}/crashes/{number}", **requires(Permission.DISCOVERY_READ))
def crash(hub: HubDep, actor: ActorDep, campaign: str, number: CrashNumber) -> CrashInput:
    """One crash, with the input that brought it about."""
    met = hub.discovery.crash(actor, DiscoveryId(campaign), number)
    content = base64.b64encode(met.content).decode()
    return CrashInput(**_crash(number, met).model_dump(), content=content)


@router.get("/campaigns/{campaign}/corpus", **requires(Permission.DISCOVERY_READ))
def corpus(hub: HubDep, actor: ActorDep, campaign: str) -> CorpusOut:
    """The inputs that the caller's party keeps for the target of a campaign of its own."""
    kept = hub.discovery.corpus(actor, DiscoveryId(campaign))
    return CorpusOut(inputs=[base64.b64encode(each).decode() for each in kept])


def _crash(number: int, crash: Crash) -> CrashOut:
    return CrashOut(
        number=number,
        target=crash.target,
        standing=crash.standing,
        verdict=crash.verdict,
        reason=crash.reason,
        signature=list(crash.signature),
        times=crash.times,
        size=len(crash.content),
        sha256=hashlib.sha256(crash.content).hexdigest(),
        known_since=crash.known_since,
    )

"""Routes for when scopes meet: queues, pre-emption, introductions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.delivery.http.scanning import LeasePath, NewLease, ScopeView, scope_of
from clearhold.kernel.ids import LeaseId
from clearhold.scanning.claim_records import Waits
from clearhold.scanning.introductions import LONGEST_CONTACT
from clearhold.scanning.model import LARGEST_BUDGET_S, Mode, StopReason
from clearhold.scanning.queue import Place

router = APIRouter(prefix="/scanning", tags=["scanning"])

PlacePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class PlaceView(BaseModel):
    """A place in a queue of the caller's; `lease` is what came of it."""

    id: str
    state: Waits
    scope: ScopeView
    mode: Mode
    window_hours: float
    budget_s: int
    joined_at: datetime
    lease: str | None


class Preemption(ScopeView):
    """What must be scanned at once, why, and by whom; without `party` what stands there just ends."""

    reason: StopReason
    party: Annotated[str, Field(max_length=64)] | None = None
    window_hours: float = Field(default=8, gt=0, le=720)
    budget_s: int = Field(default=3600, gt=0, le=LARGEST_BUDGET_S)


class PreemptionView(BaseModel):
    """That what stood against the scope, if anything did, has ended."""

    package: str
    party: str | None


class Willing(BaseModel):
    """Words for whoever is introduced; null to be introduced to nobody."""

    contact: Annotated[str, Field(max_length=LONGEST_CONTACT)] | None


class WillingView(BaseModel):
    """What was said; never whether anybody else said so too."""

    willing: bool


class IntroductionView(BaseModel):
    """Another party whose scope met the caller's, once both would be introduced."""

    id: str
    made_at: datetime
    handle: str
    name: str
    contact: str


def _place(held: Place) -> PlaceView:
    return PlaceView(
        id=held.id,
        state=held.state,
        scope=ScopeView.model_validate(held.scope.to_plain()),
        mode=held.mode,
        window_hours=held.window / timedelta(hours=1),
        budget_s=held.budget_s,
        joined_at=held.joined_at,
        lease=held.lease,
    )


@router.post("/queue", status_code=201, **requires(Permission.SCANNING_CLAIM))
def join(hub: HubDep, actor: ActorDep, new: NewLease, key: IdempotencyKey) -> PlaceView:
    """Wait for a scope: a lease is granted when it is free, and lapses unless it is kept soon."""
    return _place(
        hub.scanning.queue.join(
            actor,
            scope_of(new),
            mode=new.mode,
            window=timedelta(hours=new.window_hours),
            budget_s=new.budget_s,
            key=key,
        )
    )


@router.get("/queue", **requires(Permission.SCANNING_READ))
def places(hub: HubDep, actor: ActorDep) -> list[PlaceView]:
    """The caller's own places in queues, the newest first."""
    return [_place(each) for each in hub.scanning.queue.list(actor)]


@router.get("/queue/{place}", **requires(Permission.SCANNING_READ))
def place(hub: HubDep, actor: ActorDep, place: PlacePath) -> PlaceView:
    """One of the caller's own places."""
    return _place(hub.scanning.queue.get(actor, place))


@router.post("/queue/{place}/leaving", **requires(Permission.SCANNING_CLAIM))
def leave(hub: HubDep, actor: ActorDep, place: PlacePath) -> PlaceView:
    """Wait no longer."""
    return _place(hub.scanning.queue.leave(actor, place))


@router.post("/preemptions", status_code=201, **requires(Permission.SCANNING_REVOKE))
def preempt(
    hub: HubDep, actor: ActorDep, wanted: Preemption, key: IdempotencyKey
) -> PreemptionView:
    """End what stands against a scope and lease it to a party at once."""
    scope = scope_of(wanted)
    hub.scanning.preempt(
        actor,
        scope,
        reason=wanted.reason,
        to=wanted.party,
        window=timedelta(hours=wanted.window_hours),
        budget_s=wanted.budget_s,
        key=key,
    )
    return PreemptionView(package=str(scope.package), party=wanted.party)


@router.post("/leases/{lease}/introduction", **requires(Permission.SCANNING_CLAIM))
def introduce_holder(hub: HubDep, actor: ActorDep, lease: LeasePath, given: Willing) -> WillingView:
    """Be introduced to whoever this lease is in the way of, if they would be too."""
    hub.scanning.introductions.of_lease(actor, LeaseId(lease), given.contact)
    return WillingView(willing=given.contact is not None)


@router.post("/attempts/{attempt}/introduction", **requires(Permission.SCANNING_CLAIM))
def introduce_asker(
    hub: HubDep, actor: ActorDep, attempt: PlacePath, given: Willing
) -> WillingView:
    """Be introduced to who stood in the way of a refused claim, if they would be too."""
    hub.scanning.introductions.of_attempt(actor, attempt, given.contact)
    return WillingView(willing=given.contact is not None)


@router.get("/introductions", **requires(Permission.SCANNING_READ))
def introductions(hub: HubDep, actor: ActorDep) -> list[IntroductionView]:
    """To whom the caller's party was introduced, the newest first."""
    return [
        IntroductionView(
            id=each.id,
            made_at=each.made_at,
            handle=each.handle,
            name=each.name,
            contact=each.contact,
        )
        for each in hub.scanning.introductions.list(actor)
    ]

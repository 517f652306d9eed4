"""Routes of scan leases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.kernel.ids import LeaseId
from clearhold.scanning.model import (
    LARGEST_BUDGET_S,
    Depth,
    Mode,
    SoftwareScope,
    State,
    StopReason,
    Versions,
    make_scope,
)
from clearhold.scanning.scopes import LeaseView as HeldLease
from clearhold.scanning.spans import MOST_COMMITS

router = APIRouter(prefix="/scanning", tags=["scanning"])

LeasePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class VersionSpan(BaseModel):
    """One version (`exact`), or those from `start` ("0": the first) to before `before`.

    Or full names of `commits` in their place.
    """

    exact: str | None = None
    start: str = "0"
    before: str | None = None
    commits: Annotated[tuple[str, ...], Field(max_length=MOST_COMMITS)] = ()


class ScopeView(BaseModel):
    """What is looked at: a package, versions of it, path and function globs in it, and how."""

    package: str
    versions: VersionSpan = VersionSpan()
    paths: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    technique: Technique
    depth: Depth = Depth.STANDARD


class NewLease(ScopeView):
    """A scope to lease, for how long at most, and how many seconds of scanning are meant."""

    mode: Mode = Mode.EXCLUSIVE
    window_hours: float = Field(default=8, gt=0, le=720)
    budget_s: int = Field(default=3600, gt=0, le=LARGEST_BUDGET_S)


class LeaseView(BaseModel):
    """A lease of the caller's.

    `others_there`: somebody else's lease overlapped it when it was granted. `end_reason`: why a
    coordinator ended it. `introduces`: its holder would be introduced to whoever it is in the way.
    """

    id: str
    fence: int
    state: State
    mode: Mode
    scope: ScopeView
    others_there: bool
    introduces: bool
    end_reason: StopReason | None
    granted_at: datetime
    expires_at: datetime
    window_ends_at: datetime
    budget_s: int


class NewCheck(ScopeView):
    """A scope that somebody thinks of claiming."""

    mode: Mode = Mode.EXCLUSIVE


class RefusalView(BaseModel):
    """Why a claim would be refused, as it would be told then."""

    code: str
    title: str
    next_step: str


class CheckView(BaseModel):
    """What is known to stand against a claim before it is made, others' leases left out."""

    refusal: RefusalView | None
    own_leases: tuple[str, ...]


class Fence(BaseModel):
    """The fencing token that came with a lease."""

    fence: int = Field(ge=1, lt=1 << 63)


class Revocation(BaseModel):
    """A package whose leases shall end, and why."""

    package: str
    reason: StopReason


class RevocationView(BaseModel):
    """That a package's leases, if there were any, have ended."""

    package: str


def _lease(held: HeldLease) -> LeaseView:
    lease = held.lease
    return LeaseView(
        id=lease.id,
        fence=lease.fence,
        state=held.state,
        mode=lease.mode,
        scope=ScopeView.model_validate(held.scope.to_plain()),
        others_there=held.others_there,
        introduces=held.introduces,
        end_reason=lease.end_reason,
        granted_at=lease.granted_at,
        expires_at=lease.expires_at,
        window_ends_at=lease.window_ends_at,
        budget_s=lease.budget_s,
    )


def scope_of(given: ScopeView) -> SoftwareScope:
    """The scope that was sent, checked."""
    span = given.versions
    return make_scope(
        given.package,
        versions=Versions(span.exact, span.start, span.before, span.commits),
        paths=given.paths,
        functions=given.functions,
        technique=given.technique,
        depth=given.depth,
    )


@router.post("/leases", status_code=201, **requires(Permission.SCANNING_CLAIM))
def claim(hub: HubDep, actor: ActorDep, new: NewLease, key: IdempotencyKey) -> LeaseView:
    """Lease a scope; a conflict tells that it is one, and perhaps what is free instead."""
    scope = scope_of(new)
    return _lease(
        hub.scanning.claim(
            actor,
            scope,
            mode=new.mode,
            window=timedelta(hours=new.window_hours),
            budget_s=new.budget_s,
            key=key,
        )
    )


@router.get("/leases", **requires(Permission.SCANNING_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[LeaseView]:
    """The caller's own leases, the newest first."""
    return [_lease(held) for held in hub.scanning.list(actor)]


@router.get("/leases/{lease}", **requires(Permission.SCANNING_READ))
def one(hub: HubDep, actor: ActorDep, lease: LeasePath) -> LeaseView:
    """One of the caller's own leases."""
    return _lease(hub.scanning.get(actor, LeaseId(lease)))


@router.post("/leases/{lease}/heartbeat", **requires(Permission.SCANNING_CLAIM))
def heartbeat(hub: HubDep, actor: ActorDep, lease: LeasePath, given: Fence) -> LeaseView:
    """Keep a lease from lapsing."""
    return _lease(hub.scanning.heartbeat(actor, LeaseId(lease), fence=given.fence))


@router.post("/leases/{lease}/release", **requires(Permission.SCANNING_CLAIM))
def release(hub: HubDep, actor: ActorDep, lease: LeasePath, given: Fence) -> LeaseView:
    """Give a lease back."""
    return _lease(hub.scanning.release(actor, LeaseId(lease), fence=given.fence))


@router.post("/revocations", status_code=201, **requires(Permission.SCANNING_REVOKE))
def revoke(hub: HubDep, actor: ActorDep, wanted: Revocation) -> RevocationView:
    """End every lease on a package."""
    hub.scanning.revoke(actor, wanted.package, reason=wanted.reason)
    return RevocationView(package=wanted.package)


@router.post("/checks", **requires(Permission.SCANNING_CLAIM))
def check(hub: HubDep, actor: ActorDep, new: NewCheck) -> CheckView:
    """What stands against a claim whatever others hold; it is not counted and leases nothing."""
    found = hub.scanning.check(actor, scope_of(new), mode=new.mode)
    refusal = found.refusal
    return CheckView(
        refusal=None
        if refusal is None
        else RefusalView(code=refusal.code, title=refusal.message, next_step=refusal.next_step),
        own_leases=found.own,
    )

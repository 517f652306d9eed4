"""Routes of scans of live systems: consent, leases, passports, stops, and the public check."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.delivery.http.declare import (
    PUBLIC,
    ActorDep,
    HubDep,
    IdempotencyKey,
    RawBody,
    requires,
)
from clearhold.delivery.http.doors import source_of
from clearhold.kernel.ids import LeaseId
from clearhold.scanning import authorisations, emergency, live_leases
from clearhold.scanning.live_records import Notice
from clearhold.scanning.live_scope import Depth, make_live_scope
from clearhold.scanning.model import LARGEST_BUDGET_S, Mode, State
from clearhold.wire.scan_passport import CHECK_PATH, KEYS_PATH, STATUS_PATH

router = APIRouter(prefix="/scanning", tags=["scanning"])
public = APIRouter(tags=["scanning"])

Identity = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Targets = Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=64)]
_LIST: Final = "application/statuslist+jwt"


class AuthorisationView(BaseModel):
    """A consent of the caller's own."""

    id: str
    targets: list[str]
    techniques: list[str]
    depth: Depth
    not_before: datetime
    until: datetime
    blackouts: list[str]
    requests_per_second: int
    concurrency: int
    holders: list[str] | None
    contact: str
    lodged_at: datetime
    withdrawn_at: datetime | None


class Withdrawn(BaseModel):
    """That a consent counts no more."""

    id: str


class NewLiveLease(BaseModel):
    """Targets to lease, by which technique and how deeply, for how long at most."""

    targets: Annotated[Targets, Field(min_length=1)]
    technique: Technique
    depth: Depth = Depth.CHECKS
    mode: Mode = Mode.EXCLUSIVE
    window_hours: float = Field(default=4, gt=0, le=168)
    budget_s: int = Field(default=3600, gt=0, le=LARGEST_BUDGET_S)


class LiveLeaseView(BaseModel):
    """A live lease of the caller's."""

    id: str
    fence: int
    state: State
    mode: Mode
    targets: list[str]
    technique: Technique
    depth: Depth
    granted_at: datetime
    expires_at: datetime
    window_ends_at: datetime
    budget_s: int


class LiveFence(BaseModel):
    """The fencing token that came with a lease."""

    fence: int = Field(ge=1, lt=1 << 63)


class NewPassport(LiveFence):
    """From where the lease's targets, or some of them, will be scanned, and for how long."""

    sources: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=16)
    ]
    minutes: float = Field(default=60, ge=1, le=240)
    targets: Targets = []


class PassportView(BaseModel):
    """A passport and its code; the hub keeps neither."""

    id: str
    token: str
    code: str
    expires_at: datetime


class Revoked(BaseModel):
    """That a passport counts no more."""

    id: str


class NewStop(BaseModel):
    """Where all scans shall stop, and why."""

    targets: Annotated[Targets, Field(min_length=1)]
    reason: str = Field(min_length=1, max_length=200)


class ToldView(BaseModel):
    """A holder who was told to stop, by the pseudonym its passports show."""

    holder: str
    told_at: datetime
    acknowledged_at: datetime | None


class StopView(BaseModel):
    """A stop of the caller's."""

    id: str
    targets: list[str]
    reason: str
    made_at: datetime
    lifted_at: datetime | None
    told: list[ToldView]


class Lifted(BaseModel):
    """That a stop stands no more."""

    id: str


class NoticeView(BaseModel):
    """A lease of the caller's that was ended, and must be acknowledged."""

    id: str
    lease: str
    reason: str
    made_at: datetime
    acknowledged_at: datetime | None


class Question(BaseModel):
    """What a probe showed (its passport or code), at which target, and from which address."""

    passport: str = Field(min_length=1, max_length=16384)
    target: str = Field(min_length=1, max_length=1024)
    source: str = Field(min_length=1, max_length=64)


class Answer(BaseModel):
    """Yes or no, and nothing else."""

    authorised: bool


def _authorisation(each: authorisations.Authorisation) -> AuthorisationView:
    consent, stored = each.consent, each.stored
    return AuthorisationView(
        id=stored.id,
        targets=[target.text for target in each.targets],
        techniques=sorted(each.techniques),
        depth=each.depth,
        not_before=consent.not_before,
        until=consent.until,
        blackouts=list(consent.blackouts),
        requests_per_second=consent.requests_per_second,
        concurrency=consent.concurrency,
        holders=None if consent.holders is None else list(consent.holders),
        contact=consent.contact,
        lodged_at=stored.lodged_at,
        withdrawn_at=stored.withdrawn_at,
    )


def _lease(each: live_leases.LiveLeaseView) -> LiveLeaseView:
    lease = each.lease
    return LiveLeaseView(
        id=lease.id,
        fence=lease.fence,
        state=each.state,
        mode=lease.mode,
        targets=[target.text for target in each.scope.targets],
        technique=each.scope.technique,
        depth=each.scope.depth,
        granted_at=lease.granted_at,
        expires_at=lease.expires_at,
        window_ends_at=lease.window_ends_at,
        budget_s=lease.budget_s,
    )


def _told(each: emergency.Told) -> ToldView:
    return ToldView(holder=each.holder, told_at=each.told_at, acknowledged_at=each.acknowledged_at)


def _stop(each: emergency.Stop) -> StopView:
    return StopView(
        id=each.id,
        targets=list(each.targets),
        reason=each.reason,
        made_at=each.made_at,
        lifted_at=each.lifted_at,
        told=[_told(told) for told in each.told],
    )


def _notice(each: Notice) -> NoticeView:
    return NoticeView(
        id=each.id,
        lease=each.lease,
        reason=each.reason,
        made_at=each.made_at,
        acknowledged_at=each.acknowledged_at,
    )


@router.post("/authorisations", status_code=201, **requires(Permission.PARTIES_WISH))
def lodge(hub: HubDep, actor: ActorDep, envelope: RawBody) -> AuthorisationView:
    """Lodge a signed consent to scans of one's own live systems (a DSSE envelope)."""
    return _authorisation(hub.live.authorisations.lodge(actor, envelope))


@router.get("/authorisations", **requires(Permission.PARTIES_STANDING))
def lodged(hub: HubDep, actor: ActorDep) -> list[AuthorisationView]:
    """The caller's own consents, the newest first."""
    return [_authorisation(each) for each in hub.live.authorisations.list(actor)]


@router.get("/authorisations/{authorisation}", **requires(Permission.PARTIES_STANDING))
def one_lodged(hub: HubDep, actor: ActorDep, authorisation: Identity) -> AuthorisationView:
    """One of the caller's own consents."""
    return _authorisation(hub.live.authorisations.get(actor, authorisation))


@router.post("/authorisations/{authorisation}/withdrawal", **requires(Permission.SCANNING_STOP))
def withdraw(hub: HubDep, actor: ActorDep, authorisation: Identity) -> Withdrawn:
    """Take a consent back: what stands on it ends at once."""
    hub.live.authorisations.withdraw(actor, authorisation)
    return Withdrawn(id=authorisation)


@router.get("/authorisations/{authorisation}/told", **requires(Permission.SCANNING_STOP))
def told(hub: HubDep, actor: ActorDep, authorisation: Identity) -> list[ToldView]:
    """Who was told that a lease under a consent of the caller's ended, and has acknowledged it."""
    return [_told(each) for each in hub.live.emergency.withdrawal(actor, authorisation)]


@router.post("/live/leases", status_code=201, **requires(Permission.SCANNING_CLAIM))
def claim(hub: HubDep, actor: ActorDep, new: NewLiveLease, key: IdempotencyKey) -> LiveLeaseView:
    """Lease live systems under an owner's consent."""
    return _lease(
        hub.live.leases.claim(
            actor,
            make_live_scope(new.targets, technique=new.technique, depth=new.depth),
            mode=new.mode,
            window=timedelta(hours=new.window_hours),
            budget_s=new.budget_s,
            key=key,
        )
    )


@router.get("/live/leases", **requires(Permission.SCANNING_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[LiveLeaseView]:
    """The caller's own live leases, the newest first."""
    return [_lease(each) for each in hub.live.leases.list(actor)]


@router.get("/live/leases/{live_lease}", **requires(Permission.SCANNING_READ))
def one(hub: HubDep, actor: ActorDep, live_lease: Identity) -> LiveLeaseView:
    """One of the caller's own live leases."""
    return _lease(hub.live.leases.get(actor, LeaseId(live_lease)))


@router.post("/live/leases/{live_lease}/heartbeat", **requires(Permission.SCANNING_CLAIM))
def heartbeat(
    hub: HubDep, actor: ActorDep, live_lease: Identity, given: LiveFence
) -> LiveLeaseView:
    """Keep a live lease from lapsing; when it was stopped, the answer says so."""
    return _lease(hub.live.leases.heartbeat(actor, LeaseId(live_lease), fence=given.fence))


@router.post("/live/leases/{live_lease}/release", **requires(Permission.SCANNING_CLAIM))
def release(hub: HubDep, actor: ActorDep, live_lease: Identity, given: LiveFence) -> LiveLeaseView:
    """Give a live lease back, with its passports."""
    return _lease(hub.live.leases.release(actor, LeaseId(live_lease), fence=given.fence))


@router.post(
    "/live/leases/{live_lease}/passports", status_code=201, **requires(Permission.SCANNING_CLAIM)
)
def issue(hub: HubDep, actor: ActorDep, live_lease: Identity, new: NewPassport) -> PassportView:
    """A passport for a live lease; to renew one, ask for another."""
    issued = hub.live.passports.issue(
        actor,
        LeaseId(live_lease),
        fence=new.fence,
        sources=new.sources,
        life=timedelta(minutes=new.minutes),
        targets=new.targets,
    )
    return PassportView(
        id=issued.id, token=issued.token, code=issued.code, expires_at=issued.expires_at
    )


@router.post("/live/passports/{passport}/revocation", **requires(Permission.SCANNING_STOP))
def revoke(hub: HubDep, actor: ActorDep, passport: Identity) -> Revoked:
    """Revoke a passport of one's own, or one for one's own systems."""
    hub.live.passports.revoke(actor, passport)
    return Revoked(id=passport)


@router.post("/live/stops", status_code=201, **requires(Permission.SCANNING_STOP))
def stop(hub: HubDep, actor: ActorDep, new: NewStop) -> StopView:
    """Stop every scan that reaches a target, at once and until it is lifted."""
    return _stop(hub.live.emergency.stop(actor, new.targets, reason=new.reason))


@router.get("/live/stops", **requires(Permission.SCANNING_STOP))
def stops(hub: HubDep, actor: ActorDep) -> list[StopView]:
    """The caller's stops, with who has not acknowledged them yet."""
    return [_stop(each) for each in hub.live.emergency.list(actor)]


@router.get("/live/stops/{stop}", **requires(Permission.SCANNING_STOP))
def one_stop(hub: HubDep, actor: ActorDep, stop: Identity) -> StopView:
    """One of the caller's stops."""
    return _stop(hub.live.emergency.get(actor, stop))


@router.post("/live/stops/{stop}/lifting", **requires(Permission.SCANNING_STOP))
def lift(hub: HubDep, actor: ActorDep, stop: Identity) -> Lifted:
    """Let a stop stand no more; nothing it ended comes back."""
    hub.live.emergency.lift(actor, stop)
    return Lifted(id=stop)


@router.get("/live/notices", **requires(Permission.SCANNING_STOP))
def notices(hub: HubDep, actor: ActorDep) -> list[NoticeView]:
    """What the caller was told to stop and has not acknowledged."""
    return [_notice(each) for each in hub.live.emergency.notices(actor)]


@router.post("/live/notices/{notice}/acknowledgement", **requires(Permission.SCANNING_STOP))
def acknowledge(hub: HubDep, actor: ActorDep, notice: Identity) -> NoticeView:
    """Say that the scan has stopped."""
    return _notice(hub.live.emergency.acknowledge(actor, notice))


@public.post(CHECK_PATH, **requires(PUBLIC))
def check(request: Request, hub: HubDep, question: Question) -> Answer:
    """Whether a scan that showed this passport or code is authorised now; needs no token."""
    return Answer(
        authorised=hub.live.check.authorised(
            question.passport,
            target=question.target,
            source=question.source,
            asked_from=source_of(request),
        )
    )


@public.get(KEYS_PATH, **requires(PUBLIC))
def keys(hub: HubDep) -> Response:
    """The public keys of passports and status lists (a JWK Set)."""
    return Response(
        hub.live.passports.keys(),
        media_type="application/jwk-set+json",
        headers={"Cache-Control": "public, max-age=300"},
    )


@public.get(STATUS_PATH + "/{day}", **requires(PUBLIC))
def status(hub: HubDep, day: Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")]) -> Response:
    """Which of the passports issued on a day are revoked (a signed status list)."""
    return Response(
        hub.live.passports.status(day), media_type=_LIST, headers={"Cache-Control": "no-cache"}
    )

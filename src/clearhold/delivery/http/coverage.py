"""Routes of coverage: what scans covered, what is shared of it, and what to scan next.

A package is named in a body, never in an address, which proxies write into their logs.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.delivery.http.scanning import Fence, LeasePath, ScopeView
from clearhold.kernel.ids import LeaseId
from clearhold.scanning import coverage_model as model
from clearhold.scanning.coverage_model import Coverage, Many, Result, Sharing
from clearhold.scanning.model import Depth, Outcome

router = APIRouter(prefix="/scanning", tags=["scanning"])

CoveragePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class NewCoverage(Fence):
    """What a scan covered.

    Without a version or commit it is the lease's if that is of one; without paths or depth, the
    lease's.
    Effort counts what the technique counts; the digest names the log. Without `sharing` the party's
    standing choice decides.
    """

    outcome: Outcome
    effort: dict[str, int] = Field(default={}, max_length=64)
    result_sha256: str
    version: str = ""
    commit: str = ""
    paths: tuple[str, ...] = Field(default=(), max_length=64)
    functions: tuple[str, ...] = Field(default=(), max_length=1024)
    depth: Depth | None = None
    sharing: Sharing | None = None


class CoverageId(BaseModel):
    """The id of a coverage record; the map shows it from `shown_from` on, if it is shared."""

    id: str
    shown_from: date | None


class CoverageView(BaseModel):
    """What a scan of the caller's covered."""

    id: str
    lease: str
    recorded_at: datetime
    package: str
    version: str
    commit: str
    paths: tuple[str, ...]
    functions: tuple[str, ...]
    technique: Technique
    depth: Depth
    outcome: Outcome
    effort: dict[str, int]
    result_sha256: str
    sharing: Sharing
    shown_from: date | None


class SharingView(BaseModel):
    """Whether what the party will record is shared unless a record says otherwise."""

    sharing: Sharing


class OfPackage(BaseModel):
    """A package URL."""

    package: str = Field(max_length=1024)


class MapRowView(BaseModel):
    """What has been scanned of one version or commit, by one technique, in one area."""

    version: str
    technique: Technique
    area: str
    last_week: date
    depth: Depth
    scans: Many
    result: Result
    outdated: bool


class CoverageMapView(BaseModel):
    """What is known to have been scanned of a package before the day `as_of`."""

    package: str
    as_of: date
    rows: list[MapRowView]


class Question(BaseModel):
    """By which technique the caller would scan; any without one."""

    technique: Technique | None = None


class TermView(BaseModel):
    """One reason and its points."""

    name: str
    points: int
    why: str


class SuggestedScan(BaseModel):
    """A scope that can be claimed now, and all that its score is the sum of."""

    scope: ScopeView
    score: int
    terms: list[TermView]


class SuggestionsView(BaseModel):
    """What is most worth scanning, best first."""

    as_of: date
    scans: list[SuggestedScan]
    questions_left: int


def _coverage(each: Coverage) -> CoverageView:
    return CoverageView(
        id=each.id,
        lease=each.lease,
        recorded_at=each.recorded_at,
        package=each.package,
        version=each.version,
        commit=each.commit,
        paths=each.paths,
        functions=each.functions,
        technique=each.technique,
        depth=each.depth,
        outcome=each.outcome,
        effort=dict(each.effort),
        result_sha256=each.result_sha256,
        sharing=each.sharing,
        shown_from=each.shown_from,
    )


@router.post("/leases/{lease}/coverage", status_code=201, **requires(Permission.SCANNING_CLAIM))
def report_coverage(hub: HubDep, actor: ActorDep, lease: LeasePath, new: NewCoverage) -> CoverageId:
    """Tell what a scan covered, also when nothing was found."""
    told = model.NewCoverage(
        outcome=new.outcome,
        effort=new.effort,
        result_sha256=new.result_sha256,
        version=new.version,
        commit=new.commit,
        paths=new.paths,
        functions=new.functions,
        depth=new.depth,
        sharing=new.sharing,
    )
    made = hub.scanning.report_coverage(actor, LeaseId(lease), fence=new.fence, new=told)
    return CoverageId(id=made.id, shown_from=made.shown_from)


@router.get("/coverage", **requires(Permission.SCANNING_READ))
def coverage(hub: HubDep, actor: ActorDep) -> list[CoverageView]:
    """What the caller's own scans covered, the newest first."""
    return [_coverage(each) for each in hub.scanning.covering.list(actor)]


@router.post("/coverage/{coverage}/withdrawal", **requires(Permission.SCANNING_CLAIM))
def withdraw(hub: HubDep, actor: ActorDep, coverage: CoveragePath) -> CoverageView:
    """Take a shared record of the caller's out of the coverage map."""
    return _coverage(hub.scanning.covering.withdraw(actor, coverage))


@router.get("/coverage-sharing", **requires(Permission.SCANNING_READ))
def chosen(hub: HubDep, actor: ActorDep) -> SharingView:
    """Whether the caller's party shares what it records."""
    return SharingView(sharing=hub.scanning.covering.chosen(actor))


@router.post("/coverage-sharing", **requires(Permission.SCANNING_CLAIM))
def choose(hub: HubDep, actor: ActorDep, wanted: SharingView) -> SharingView:
    """Say once whether the caller's party shares what it will record."""
    return SharingView(sharing=hub.scanning.covering.choose(actor, wanted.sharing))


@router.post("/coverage-map", **requires(Permission.SCANNING_READ))
def coverage_map(hub: HubDep, actor: ActorDep, wanted: OfPackage) -> CoverageMapView:
    """What parties shared of having scanned a package; it changes nothing."""
    found = hub.scanning.covering.map(actor, wanted.package)
    return CoverageMapView(
        package=found.package,
        as_of=found.as_of,
        rows=[
            MapRowView(
                version=row.version,
                technique=row.technique,
                area=row.area,
                last_week=row.last_week,
                depth=row.depth,
                scans=row.scans,
                result=row.result,
                outdated=row.outdated,
            )
            for row in found.rows
        ],
    )


@router.post("/suggestions", **requires(Permission.SCANNING_CLAIM))
def suggestions(hub: HubDep, actor: ActorDep, question: Question) -> SuggestionsView:
    """What the caller had best scan next; counted, so many a day."""
    found = hub.scanning.suggestions.next(actor, technique=question.technique)
    return SuggestionsView(
        as_of=found.as_of,
        scans=[
            SuggestedScan(
                scope=ScopeView.model_validate(each.scope.to_plain()),
                score=each.candidate.score,
                terms=[
                    TermView(name=term.name, points=term.points, why=term.why)
                    for term in each.candidate.terms
                ],
            )
            for each in found.scans
        ],
        questions_left=found.questions_left,
    )

"""Tools about coverage: what scans covered, what is known of a package, and what to scan next."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.delivery.http import coverage
from clearhold.delivery.http.coverage import (
    CoverageId,
    CoverageMapView,
    CoverageView,
    NewCoverage,
    OfPackage,
    Question,
    SuggestionsView,
)
from clearhold.delivery.mcp.tool import Arguments, FenceNumber, Id, NoArguments, Tool
from clearhold.scanning.coverage_model import MOST_FUNCTIONS, Sharing
from clearhold.scanning.model import MOST_PATHS, Depth, Outcome

LeaseId = Annotated[Id, Field(description="The id of a lease of yours.")]


class CoverageArguments(Arguments):
    """What a scan covered."""

    lease: LeaseId
    fence: FenceNumber
    outcome: Outcome
    effort: dict[str, int] = Field(
        default={},
        max_length=16,
        description='Counts by short names, as {"seconds": 60, "executions": 100000}.',
    )
    result_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of the log you keep."
    )
    version: str = Field(
        default="", max_length=64, description="The version; the lease's if it is of one."
    )
    commit: str = Field(default="", max_length=64, description="The whole id of the commit.")
    paths: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(
        default=(), max_length=MOST_PATHS, description="Path globs; the lease's if left out."
    )
    functions: tuple[Annotated[str, Field(max_length=256)], ...] = Field(
        default=(), max_length=MOST_FUNCTIONS, description="Functions that were reached."
    )
    depth: Depth | None = Field(default=None, description="How far it went.")
    sharing: Sharing | None = Field(
        default=None,
        description="Whether others may learn, without your party's name and without the outcome, "
        "that this was scanned. Your party's standing choice if left out.",
    )


class PackageArguments(Arguments):
    """One package."""

    package: str = Field(max_length=1000, description="A package URL, as pkg:pypi/ujson.")


class NextArguments(Arguments):
    """By what the agent would scan."""

    technique: Technique | None = Field(default=None, description="Only scans by this technique.")


class Covered(BaseModel):
    """What the caller's scans covered, the newest first."""

    coverage: list[CoverageView]


def _report(hub: Hub, actor: Actor, given: CoverageArguments) -> CoverageId:
    new = NewCoverage(**given.model_dump(exclude={"lease"}))
    return coverage.report_coverage(hub, actor, given.lease, new)


def _coverage(hub: Hub, actor: Actor, _given: NoArguments) -> Covered:
    return Covered(coverage=coverage.coverage(hub, actor))


def _map(hub: Hub, actor: Actor, given: PackageArguments) -> CoverageMapView:
    return coverage.coverage_map(hub, actor, OfPackage(package=given.package))


def _next(hub: Hub, actor: Actor, given: NextArguments) -> SuggestionsView:
    return coverage.suggestions(hub, actor, Question(technique=given.technique))


TOOLS: Final = (
    Tool(
        name="scan_report_coverage",
        description="Tell what a scan under your lease covered, also when it found nothing.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=coverage.report_coverage,
        arguments=CoverageArguments,
        answer=CoverageId,
        run=_report,
        repeats=False,
    ),
    Tool(
        name="scan_coverage",
        description="List what your own scans covered, the newest first.",
        permission=Permission.SCANNING_READ,
        endpoint=coverage.coverage,
        arguments=NoArguments,
        answer=Covered,
        run=_coverage,
        reads=True,
    ),
    Tool(
        name="scan_map",
        description="Show what parties shared of having scanned a package, by version, technique "
        "and area. That a row is missing does not say that nobody scanned it.",
        permission=Permission.SCANNING_READ,
        endpoint=coverage.coverage_map,
        arguments=PackageArguments,
        answer=CoverageMapView,
        run=_map,
        reads=True,
    ),
    Tool(
        name="scan_next",
        description="Suggest scopes that are free and most worth scanning, each with the reasons "
        "for its score. Your party may ask so many times a day.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=coverage.suggestions,
        arguments=NextArguments,
        answer=SuggestionsView,
        run=_next,
        repeats=False,
    ),
)

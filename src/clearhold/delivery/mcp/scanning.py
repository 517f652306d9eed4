"""Tools to keep out of each other's way: what may be scanned, and leases."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.delivery.http import catalogue, scanning
from clearhold.delivery.http.catalogue import TargetView
from clearhold.delivery.http.scanning import (
    CheckView,
    Fence,
    LeaseView,
    NewCheck,
    NewLease,
    VersionSpan,
)
from clearhold.delivery.mcp.tool import (
    Arguments,
    FenceNumber,
    Id,
    IdempotencyKey,
    NoArguments,
    Tool,
)
from clearhold.scanning.model import LARGEST_BUDGET_S, Depth, Mode
from clearhold.scanning.software_scope import MOST_FUNCTIONS, MOST_PATHS
from clearhold.scanning.spans import MOST_COMMITS

LeaseId = Annotated[Id, Field(description="The id of a lease of yours.")]


class ScopeArguments(Arguments):
    """What is looked at, and how."""

    package: str = Field(
        max_length=1000, description="A package URL without a version, as pkg:pypi/ujson."
    )
    technique: Technique = Field(description="How you mean to look.")
    version: str | None = Field(
        default=None, max_length=200, description="One version. Leave it out for a range."
    )
    from_version: str = Field(
        default="0", max_length=200, description="The first version of a range; 0 is the first."
    )
    before_version: str | None = Field(
        default=None, max_length=200, description="The first version after the range."
    )
    paths: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(
        default=(),
        max_length=MOST_PATHS,
        description="Path globs in the package, as lib/**/*.c; none means the whole package.",
    )

    commits: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        default=(), max_length=MOST_COMMITS, description="Full names of commits, not versions."
    )
    functions: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(
        default=(), max_length=MOST_FUNCTIONS, description="Globs of names of functions."
    )
    depth: Depth = Field(default=Depth.STANDARD, description="How thoroughly you mean to look.")

    def named(self) -> dict[str, Any]:
        """The scope as the HTTP API names it."""
        return {
            "package": self.package,
            "versions": VersionSpan(
                exact=self.version,
                start=self.from_version,
                before=self.before_version,
                commits=self.commits,
            ),
            "paths": self.paths,
            "functions": self.functions,
            "technique": self.technique,
            "depth": self.depth,
        }


class ClaimArguments(ScopeArguments):
    """A scope to lease."""

    mode: Mode = Field(default=Mode.EXCLUSIVE, description="What you ask of others.")
    window_hours: float = Field(
        default=8, gt=0, le=720, description="For how many hours you want it at most."
    )
    budget_s: int = Field(
        default=3600, gt=0, le=LARGEST_BUDGET_S, description="Seconds of scanning you mean to do."
    )
    idempotency_key: IdempotencyKey


class CheckArguments(ScopeArguments):
    """A scope that the caller thinks of claiming."""

    mode: Mode = Field(default=Mode.EXCLUSIVE, description="What you would ask of others.")


class HeldArguments(Arguments):
    """A lease of the caller's."""

    lease: LeaseId
    fence: FenceNumber


class TargetArguments(Arguments):
    """One package, or all."""

    package: str | None = Field(
        default=None, max_length=1000, description="A package URL without a version."
    )


class Targets(BaseModel):
    """Packages that the hub lists as targets."""

    targets: list[TargetView]


class Leases(BaseModel):
    """The caller's leases, the newest first."""

    leases: list[LeaseView]


def _targets(hub: Hub, actor: Actor, given: TargetArguments) -> Targets:
    return Targets(targets=catalogue.listing(hub, actor, given.package))


def _claim(hub: Hub, actor: Actor, given: ClaimArguments) -> LeaseView:
    new = NewLease(
        **given.named(),
        mode=given.mode,
        window_hours=given.window_hours,
        budget_s=given.budget_s,
    )
    return scanning.claim(hub, actor, new, given.idempotency_key)


def _check(hub: Hub, actor: Actor, given: CheckArguments) -> CheckView:
    return scanning.check(hub, actor, NewCheck(**given.named(), mode=given.mode))


def _renew(hub: Hub, actor: Actor, given: HeldArguments) -> LeaseView:
    return scanning.heartbeat(hub, actor, given.lease, Fence(fence=given.fence))


def _release(hub: Hub, actor: Actor, given: HeldArguments) -> LeaseView:
    return scanning.release(hub, actor, given.lease, Fence(fence=given.fence))


def _list(hub: Hub, actor: Actor, _given: NoArguments) -> Leases:
    return Leases(leases=scanning.listing(hub, actor))


TOOLS: Final = (
    Tool(
        name="scan_targets",
        description="List the packages that may be scanned, with the versions, techniques and "
        "paths to choose from.",
        permission=Permission.CATALOGUE_READ,
        endpoint=catalogue.listing,
        arguments=TargetArguments,
        answer=Targets,
        run=_targets,
        reads=True,
    ),
    Tool(
        name="scan_check",
        description="Ask before a claim whether the owner wants the package left alone, and whether "
        "leases of your own stand in the way. It tells nothing of what others hold: only a claim "
        "does that. It leases nothing, so it is no leave to scan.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=scanning.check,
        arguments=CheckArguments,
        answer=CheckView,
        run=_check,
        reads=True,
    ),
    Tool(
        name="scan_claim",
        description="Lease a scope before you look at it, so that no two parties scan the same "
        "unknowingly. When part of it is taken, the error says so and sometimes what is free "
        "instead; it never says who holds it, what, or for how long. Answers are counted, so many "
        "a day: ask for what you mean to scan. Keep the lease's id and its fence.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=scanning.claim,
        arguments=ClaimArguments,
        answer=LeaseView,
        run=_claim,
    ),
    Tool(
        name="scan_renew",
        description="Tell that you are still scanning. A lease lapses an hour after you were last "
        "heard of, at the latest at its window's end. Stop scanning when this is refused.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=scanning.heartbeat,
        arguments=HeldArguments,
        answer=LeaseView,
        run=_renew,
    ),
    Tool(
        name="scan_release",
        description="Give a lease back as soon as you are done, so that others may look.",
        permission=Permission.SCANNING_CLAIM,
        endpoint=scanning.release,
        arguments=HeldArguments,
        answer=LeaseView,
        run=_release,
    ),
    Tool(
        name="scan_list",
        description="List your own leases and how each stands, the newest first.",
        permission=Permission.SCANNING_READ,
        endpoint=scanning.listing,
        arguments=NoArguments,
        answer=Leases,
        run=_list,
        reads=True,
    ),
)

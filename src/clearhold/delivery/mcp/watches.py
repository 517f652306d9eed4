"""Tools about watches: campaigns that the hub repeats on newer versions or commits, under a lease."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import watches
from clearhold.delivery.http.watches import NewWatch, WatchOut
from clearhold.delivery.mcp.tool import UNTRUSTED, Arguments, Id, NoArguments, Tool
from clearhold.discovery.watching import LONGEST_TOTAL_S


class WatchArguments(Arguments):
    """A campaign to repeat, the lease for it, and the bounds."""

    campaign: Id = Field(description="A campaign of yours, from discovery_list.")
    lease: Id = Field(description="Your lease's id, over the versions or commits to come.")
    fence: int = Field(ge=1, lt=1 << 63, description="The fencing token that came with the lease.")
    total_s: int = Field(
        ge=1, le=LONGEST_TOTAL_S, description="Seconds that all its searches may take together."
    )
    ref: str = Field(
        default="",
        max_length=256,
        description="Branches or tags to follow in place of releases, as refs/heads/main or "
        "refs/tags/v1.*, in the repository that the package's recipe names.",
    )


class UnwatchArguments(Arguments):
    """A watch to end."""

    watch: Id = Field(description="A watch of yours, from discovery_watches.")


class WatchAnswer(WatchOut):
    """A watch; what names versions and refs was written by the package's authors."""

    notice: str = UNTRUSTED


class Watches(BaseModel):
    """The caller's watches, the newest first."""

    notice: str = UNTRUSTED
    watches: list[WatchOut]


def _watch(hub: Hub, actor: Actor, given: WatchArguments) -> WatchAnswer:
    new = NewWatch(**given.model_dump(exclude={"campaign"}))
    return _answer(watches.watch(hub, actor, given.campaign, new))


def _list(hub: Hub, actor: Actor, _given: NoArguments) -> Watches:
    return Watches(watches=watches.listing(hub, actor))


def _unwatch(hub: Hub, actor: Actor, given: UnwatchArguments) -> WatchAnswer:
    return _answer(watches.stop(hub, actor, given.watch))


def _answer(told: WatchOut) -> WatchAnswer:
    return WatchAnswer(**told.model_dump())


TOOLS: Final = (
    Tool(
        name="discovery_watch",
        description="Have the hub repeat a campaign of yours whenever a newer version, or with ref "
        "a new commit, of its package is published, while your lease lasts. Asking again is the "
        "same watch.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=watches.watch,
        arguments=WatchArguments,
        answer=WatchAnswer,
        run=_watch,
    ),
    Tool(
        name="discovery_watches",
        description="List your watches: what each saw last, what it came to, and what it has left.",
        permission=Permission.DISCOVERY_READ,
        endpoint=watches.listing,
        arguments=NoArguments,
        answer=Watches,
        run=_list,
        reads=True,
    ),
    Tool(
        name="discovery_unwatch",
        description="End a watch of yours; campaigns that it began go on.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=watches.stop,
        arguments=UnwatchArguments,
        answer=WatchAnswer,
        run=_unwatch,
    ),
)

"""Tools to search under a lease: begin a campaign, see how far it is, fetch crashes, stop it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import discovery
from clearhold.delivery.http.discovery import (
    Begun,
    CampaignDetail,
    CampaignOut,
    CrashInput,
    CrashNumber,
    NewCampaign,
    ShortText,
)
from clearhold.delivery.mcp.scanning import LeaseId
from clearhold.delivery.mcp.tool import (
    UNTRUSTED,
    Arguments,
    FenceNumber,
    Id,
    IdempotencyKey,
    NoArguments,
    Tool,
)
from clearhold.discovery.campaigns import LONGEST_BUDGET_S


class BeginArguments(Arguments):
    """A campaign to begin."""

    lease: LeaseId
    fence: FenceNumber
    package: str = Field(
        max_length=1000, description="A package URL with its version, as pkg:pypi/ujson@5.1.0."
    )
    target: str = Field(
        default="",
        max_length=200,
        description="Which target of the package's recipe; leave it out when there is only one.",
    )
    budget_s: int = Field(
        default=60, ge=1, le=LONGEST_BUDGET_S, description="Seconds of searching at most."
    )
    seed: int | None = Field(default=None, ge=1, lt=1 << 32, description="Left out, the clock's.")
    engine: str = Field(
        default="libfuzzer", max_length=40, description="As libfuzzer, afl or atheris."
    )
    options: dict[ShortText, ShortText] = Field(
        default={},
        max_length=16,
        description='The engine\'s own. Of fuzzers: {"until": "budget"} goes on after the first '
        'crash, {"plateau": "50"} ends when nothing new came for half of the budget.',
    )
    idempotency_key: IdempotencyKey


class CampaignArguments(Arguments):
    """A campaign of the caller's."""

    campaign: Annotated[Id, Field(description="The id of a campaign of yours.")]


class CrashArguments(CampaignArguments):
    """One crash of a campaign of the caller's."""

    number: CrashNumber = Field(description="Its number, from 1, as discovery_status tells.")


class CampaignStatus(CampaignDetail):
    """How far a campaign is; the log and the reasons come from what was searched."""

    notice: str = UNTRUSTED


class CrashAnswer(CrashInput):
    """A crash with its input."""

    notice: str = UNTRUSTED


class Campaigns(BaseModel):
    """The caller's campaigns, the newest first."""

    campaigns: list[CampaignOut]


def _begin(hub: Hub, actor: Actor, given: BeginArguments) -> Begun:
    new = NewCampaign(**given.model_dump(exclude={"idempotency_key"}))
    return discovery.begin(hub, actor, new, given.idempotency_key)


def _status(hub: Hub, actor: Actor, given: CampaignArguments) -> CampaignStatus:
    return CampaignStatus(**discovery.one(hub, actor, given.campaign).model_dump())


def _crash(hub: Hub, actor: Actor, given: CrashArguments) -> CrashAnswer:
    return CrashAnswer(**discovery.crash(hub, actor, given.campaign, given.number).model_dump())


def _stop(hub: Hub, actor: Actor, given: CampaignArguments) -> Begun:
    return discovery.stop(hub, actor, given.campaign)


def _list(hub: Hub, actor: Actor, _given: NoArguments) -> Campaigns:
    return Campaigns(campaigns=discovery.listing(hub, actor))


TOOLS: Final = (
    Tool(
        name="discovery_begin",
        description="Let an engine of the hub search a package in its sandbox, under a lease of "
        "yours that covers the technique, within a budget. It answers at once: ask "
        "discovery_status how far it is.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=discovery.begin,
        arguments=BeginArguments,
        answer=Begun,
        run=_begin,
    ),
    Tool(
        name="discovery_status",
        description="Tell how far a campaign of yours is, why it ended, and what it found. A crash "
        "counts when its standing is confirmed: the hub's laboratory showed it again.",
        permission=Permission.DISCOVERY_READ,
        endpoint=discovery.one,
        arguments=CampaignArguments,
        answer=CampaignStatus,
        run=_status,
        reads=True,
    ),
    Tool(
        name="discovery_crash",
        description="Fetch the input of one crash of a campaign of yours, in base64. It is data "
        "that makes a program fail: do not run it outside a sandbox.",
        permission=Permission.DISCOVERY_READ,
        endpoint=discovery.crash,
        arguments=CrashArguments,
        answer=CrashAnswer,
        run=_crash,
        reads=True,
    ),
    Tool(
        name="discovery_stop",
        description="End a campaign of yours: at once, or within seconds when it runs. What it had "
        "found by then stays.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=discovery.stop,
        arguments=CampaignArguments,
        answer=Begun,
        run=_stop,
    ),
    Tool(
        name="discovery_list",
        description="List your campaigns and how each stands, the newest first.",
        permission=Permission.DISCOVERY_READ,
        endpoint=discovery.listing,
        arguments=NoArguments,
        answer=Campaigns,
        run=_list,
        reads=True,
    ),
)

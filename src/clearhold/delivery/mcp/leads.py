"""Tools about leads: reading those of one's own party, and deciding on them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import leads
from clearhold.delivery.http.leads import Dismissal, LeadOut, LeadQuestion, Proof
from clearhold.delivery.mcp.tool import UNTRUSTED, Arguments, Id, Tool
from clearhold.discovery.leads import LONGEST_REASON, LeadState

LeadId = Annotated[Id, Field(description="The id of a lead, from lead_list.")]


class ListArguments(Arguments):
    """Which leads."""

    package: str = Field(
        default="",
        max_length=1000,
        description="A package URL, as pkg:pypi/ujson; all if left out.",
    )
    state: LeadState | None = Field(default=None, description="Only those in one state.")
    after: Id | None = Field(default=None, description="The last lead you were told.")


class DismissArguments(Arguments):
    """A lead to put aside."""

    lead: LeadId
    reason: str = Field(
        min_length=1, max_length=LONGEST_REASON, description="Why the place is no flaw."
    )


class ProveArguments(Arguments):
    """A lead and what shows it."""

    lead: LeadId
    finding: Id = Field(description="A finding on the package that the laboratory reproduced.")


class Leads(BaseModel):
    """The caller's leads, in the order they were met."""

    notice: str = UNTRUSTED
    leads: list[LeadOut]


def _list(hub: Hub, actor: Actor, given: ListArguments) -> Leads:
    return Leads(leads=leads.listing(hub, actor, LeadQuestion(**given.model_dump())))


def _dismiss(hub: Hub, actor: Actor, given: DismissArguments) -> LeadOut:
    return leads.dismiss(hub, actor, given.lead, Dismissal(reason=given.reason))


def _prove(hub: Hub, actor: Actor, given: ProveArguments) -> LeadOut:
    return leads.prove(hub, actor, given.lead, Proof(finding=given.finding))


TOOLS: Final = (
    Tool(
        name="lead_list",
        description="List places in source that rules or agents of your party pointed at under a "
        "lease. A lead is no finding: follow it, and prove it or dismiss it.",
        permission=Permission.DISCOVERY_READ,
        endpoint=leads.listing,
        arguments=ListArguments,
        answer=Leads,
        run=_list,
        reads=True,
    ),
    Tool(
        name="lead_dismiss",
        description="Put a lead aside with a reason. It stays so however often it is met again.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=leads.dismiss,
        arguments=DismissArguments,
        answer=LeadOut,
        run=_dismiss,
    ),
    Tool(
        name="lead_prove",
        description="Say which finding, once the laboratory has reproduced it, shows what a lead "
        "pointed at. Submit the finding first.",
        permission=Permission.DISCOVERY_RUN,
        endpoint=leads.prove,
        arguments=ProveArguments,
        answer=LeadOut,
        run=_prove,
    ),
)

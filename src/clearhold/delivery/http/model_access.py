"""Routes by which access to a model is given and watched: endpoint, grants, switch, rounds, record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field, SecretStr

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.evaluations.gateway.opened import EndpointBody, GrantBody
from clearhold.evaluations.gateway.provision import GatewayView, GrantView
from clearhold.evaluations.model import AccessKind
from clearhold.wire.model_calls import Dialect

router = APIRouter(prefix="/evaluations/engagements/{engagement}", tags=["evaluations"])


class EndpointIn(BaseModel):
    """Where a developer serves its variants; `models` maps each to its name there."""

    address: str = Field(max_length=1000)
    dialect: Dialect
    models: dict[str, str] = Field(min_length=1, max_length=20)
    credential: SecretStr = SecretStr("")


class SwitchIn(BaseModel):
    """Whether all access is to be switched off."""

    off: bool


class GrantIn(BaseModel):
    """What a named evaluator is to have; without instants from now on, until the agreement ends."""

    evaluator: str = Field(max_length=200)
    variants: list[str] = Field(min_length=1, max_length=20)
    kinds: list[AccessKind] = Field(min_length=1, max_length=10)
    tokens: int = Field(gt=0, le=10**12)
    begins_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None


class GrantOut(BaseModel):
    """A grant; `collected` says that the evaluator has fetched a token of it."""

    id: str
    evaluator: str
    variants: list[str]
    kinds: list[AccessKind]
    tokens: int
    spent: int
    held: int
    begins_at: datetime
    ends_at: datetime
    withdrawn_at: datetime | None
    collected: bool


class RoundOut(BaseModel):
    """A canary round and what it told."""

    number: int
    round: str
    outcome: str
    at: datetime


class NoticeOut(BaseModel):
    """A notice that both sides were given."""

    kind: str
    due_at: datetime
    given_at: datetime


class GatewayOut(BaseModel):
    """How the gateway stands; where the endpoint is, and its key, nobody is told again.

    `outcomes` counts recorded calls by how they ended, `head` is the hash of the last one.
    """

    served: list[str]
    registered_at: datetime | None
    switched_off: bool
    failing_since: datetime | None
    calls: int
    head: str
    outcomes: dict[str, int]
    grants: list[GrantOut]
    rounds: list[RoundOut]
    notices: list[NoticeOut]


class TokenOut(BaseModel):
    """The token of a grant, shown once."""

    token: str


@router.get("/gateway", **requires(Permission.EVALUATIONS_READ))
def gateway(hub: HubDep, actor: ActorDep, engagement: str) -> GatewayOut:
    """How the gateway of an engagement stands."""
    return _gateway(hub.models.provisioning.get(actor, engagement))


@router.post("/endpoint", status_code=201, **requires(Permission.EVALUATIONS_RUN))
def register(hub: HubDep, actor: ActorDep, engagement: str, there: EndpointIn) -> GatewayOut:
    """Say where the variants are served, as the developer, in place of what was said before."""
    body = EndpointBody(
        address=there.address,
        credential=there.credential.get_secret_value(),
        dialect=there.dialect,
        models=there.models,
    )
    return _gateway(hub.models.provisioning.register(actor, engagement, body))


@router.post("/endpoint/withdrawal", **requires(Permission.EVALUATIONS_RUN))
def withdraw_endpoint(hub: HubDep, actor: ActorDep, engagement: str) -> GatewayOut:
    """Take the endpoint back, as the developer."""
    return _gateway(hub.models.provisioning.withdraw_endpoint(actor, engagement))


@router.post("/switch", **requires(Permission.EVALUATIONS_RUN))
def switch(hub: HubDep, actor: ActorDep, engagement: str, to: SwitchIn) -> GatewayOut:
    """Switch all access off or on again, as the developer."""
    return _gateway(hub.models.provisioning.switch(actor, engagement, off=to.off))


@router.post("/canary", status_code=202, **requires(Permission.EVALUATIONS_RUN))
def canary(hub: HubDep, actor: ActorDep, engagement: str) -> GatewayOut:
    """Ask for a canary round; the first one that passes starts the clock."""
    hub.models.rounds.ask(actor, engagement)
    return _gateway(hub.models.provisioning.get(actor, engagement))


@router.post("/grants", status_code=201, **requires(Permission.EVALUATIONS_RUN))
def grant(hub: HubDep, actor: ActorDep, engagement: str, wanted: GrantIn) -> GrantOut:
    """Give a named evaluator access, as the developer."""
    body = GrantBody(
        evaluator=wanted.evaluator,
        kinds=tuple(wanted.kinds),
        variants=tuple(wanted.variants),
    )
    made = hub.models.provisioning.grant(
        actor,
        engagement,
        body,
        begins_at=wanted.begins_at,
        ends_at=wanted.ends_at,
        tokens=wanted.tokens,
    )
    return _grant(made)


@router.post("/grants/{grant}/token", **requires(Permission.EVALUATIONS_RUN))
def token(hub: HubDep, actor: ActorDep, engagement: str, grant: str) -> TokenOut:
    """A fresh token of a grant, for the evaluator's side; one there was counts no more."""
    return TokenOut(token=hub.models.provisioning.token(actor, engagement, grant))


@router.post("/grants/{grant}/withdrawal", **requires(Permission.EVALUATIONS_RUN))
def withdraw_grant(hub: HubDep, actor: ActorDep, engagement: str, grant: str) -> GrantOut:
    """Take a grant back, for either side."""
    return _grant(hub.models.provisioning.withdraw_grant(actor, engagement, grant))


@router.get("/calls", **requires(Permission.EVALUATIONS_READ))
def calls(
    hub: HubDep,
    actor: ActorDep,
    engagement: str,
    after: Annotated[int, Query(ge=0, lt=1 << 62)] = 0,
) -> list[dict[str, Any]]:
    """The record of calls after a number, so many at once; none of what was said is in it."""
    found = hub.models.provisioning.calls(actor, engagement, after=after)
    return [msgspec.to_builtins(each) for each in found]


def _grant(view: GrantView) -> GrantOut:
    stored = view.stored
    return GrantOut(
        id=stored.id,
        evaluator=view.body.evaluator,
        variants=list(view.body.variants),
        kinds=list(view.body.kinds),
        tokens=stored.tokens,
        spent=stored.spent,
        held=stored.held,
        begins_at=stored.begins_at,
        ends_at=stored.ends_at,
        withdrawn_at=stored.withdrawn_at,
        collected=stored.secret_hash is not None,
    )


def _gateway(view: GatewayView) -> GatewayOut:
    stored = view.stored
    return GatewayOut(
        served=list(view.served),
        registered_at=None if view.endpoint is None else view.endpoint.registered_at,
        switched_off=stored.switched_off,
        failing_since=stored.failing_since,
        calls=stored.calls,
        head=stored.head.hex(),
        outcomes=view.counted,
        grants=[_grant(each) for each in view.grants],
        rounds=[
            RoundOut(number=each.number, round=each.round, outcome=each.outcome, at=each.at)
            for each in view.rounds
        ],
        notices=[
            NoticeOut(kind=each.kind, due_at=each.due_at, given_at=each.given_at)
            for each in view.notices
        ],
    )

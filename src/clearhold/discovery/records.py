"""Queries on campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.discovery.tables import campaign
from clearhold.kernel.ids import ArtifactId, CompartmentId, DiscoveryId, LeaseId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign as stored; `state` is queued, found, nothing_found or failed.

    `budget_s` is in seconds, `edges` counts covered control-flow edges, `crash` is the artefact of
    the input that crashed.
    """

    id: DiscoveryId
    party: PartyId
    lease: LeaseId
    fence: int
    compartment: CompartmentId
    sealed_plan: bytes
    state: str
    seed: int
    budget_s: int
    executions: int
    edges: int
    crash: ArtifactId | None
    sealed_note: bytes | None
    queued_at: datetime
    ended_at: datetime | None


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return campaign.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add(unit: UnitOfWork, new: Campaign, *, key: str) -> None:
    """Insert a queued campaign."""
    unit.connection.execute(
        insert(campaign).values(
            id=new.id,
            party=new.party,
            lease=new.lease,
            fence=new.fence,
            compartment=new.compartment,
            sealed_plan=new.sealed_plan,
            state=new.state,
            seed=new.seed,
            budget_s=new.budget_s,
            executions=new.executions,
            edges=new.edges,
            idempotency_key=key,
            queued_at=new.queued_at,
        )
    )


def change(unit: UnitOfWork, identity: DiscoveryId, values: Mapping[str, Any]) -> None:
    """Write progress or an ending."""
    unit.connection.execute(update(campaign).where(campaign.c.id == identity).values(**values))


def by_key(unit: UnitOfWork, party: PartyId, key: str) -> Campaign | None:
    """A party's campaign of that idempotency key."""
    row = unit.connection.execute(
        select(campaign).where(campaign.c.party == party, campaign.c.idempotency_key == key)
    ).one_or_none()
    return None if row is None else _record(row)


def one(unit: UnitOfWork, identity: DiscoveryId) -> Campaign | None:
    """A campaign, for the service's own work."""
    row = unit.connection.execute(select(campaign).where(campaign.c.id == identity)).one_or_none()
    return None if row is None else _record(row)


def seen_by(
    unit: UnitOfWork, actor: Actor, identity: DiscoveryId | None = None
) -> tuple[Campaign, ...]:
    """The campaigns the actor may see, newest first, one or all."""
    query = select(campaign).where(visible_to(actor, unit.now)).order_by(campaign.c.id.desc())
    if identity is not None:
        query = query.where(campaign.c.id == identity)
    return tuple(_record(row) for row in unit.connection.execute(query))


def _record(row: Row[Any]) -> Campaign:
    return Campaign(
        id=DiscoveryId(row.id),
        party=PartyId(row.party),
        lease=LeaseId(row.lease),
        fence=row.fence,
        compartment=CompartmentId(row.compartment),
        sealed_plan=bytes(row.sealed_plan),
        state=row.state,
        seed=row.seed,
        budget_s=row.budget_s,
        executions=row.executions,
        edges=row.edges,
        crash=None if row.crash is None else ArtifactId(row.crash),
        sealed_note=None if row.sealed_note is None else bytes(row.sealed_note),
        queued_at=row.queued_at,
        ended_at=row.ended_at,
    )

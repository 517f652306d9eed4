"""Queries on watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, select, update

from clearhold.access.allowances import open_now
from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.discovery.tables import campaign_watch
from clearhold.kernel.ids import CompartmentId, DiscoveryId, LeaseId, PartyId, WatchId
from clearhold.store.unit_of_work import UnitOfWork

_MOST_SEEN: Final = 128  # what is sealed of each is released to who lists them


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch as stored: the campaign that is repeated, under which lease, and what is left of it.

    `budget_s` is for each search and `left_s` for all that are still to come, in seconds; `looks`
    counts how often it was looked for a newer version, `ending` says why it is over.
    """

    id: WatchId
    party: PartyId
    campaign: DiscoveryId
    lease: LeaseId
    fence: int
    compartment: CompartmentId
    budget_s: int
    left_s: int
    looks: int
    sealed_state: bytes
    asked_at: datetime
    last_campaign: DiscoveryId | None = None
    ending: str = ""
    looked_at: datetime | None = None
    ended_at: datetime | None = None


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of the actor's own party, in compartments that it is read in to."""
    within = compartments_of(actor, now, tier=Tier.EVERYTHING)
    return campaign_watch.c.compartment.in_(within) & (campaign_watch.c.party == actor.party)


def add(unit: UnitOfWork, new: Watch) -> None:
    """Insert a watch."""
    unit.connection.execute(
        insert(campaign_watch).values(
            id=new.id,
            party=new.party,
            campaign=new.campaign,
            lease=new.lease,
            fence=new.fence,
            compartment=new.compartment,
            budget_s=new.budget_s,
            left_s=new.left_s,
            looks=new.looks,
            sealed_state=new.sealed_state,
            ending=new.ending,
            asked_at=new.asked_at,
        )
    )


def change(unit: UnitOfWork, identity: WatchId, values: Mapping[str, Any]) -> None:
    """Write what came of a look, or an ending."""
    unit.connection.execute(
        update(campaign_watch).where(campaign_watch.c.id == identity).values(**values)
    )


def one(unit: UnitOfWork, identity: WatchId) -> Watch | None:
    """A watch, for the service's own work."""
    row = unit.connection.execute(
        select(campaign_watch).where(campaign_watch.c.id == identity)
    ).one_or_none()
    return None if row is None else _record(row)


def seen_by(unit: UnitOfWork, actor: Actor, identity: WatchId | None = None) -> tuple[Watch, ...]:
    """The watches the actor may see, the newest first: one, or the last of them."""
    query = select(campaign_watch).where(visible_to(actor, unit.now))
    if identity is not None:
        query = query.where(campaign_watch.c.id == identity)
    rows = unit.connection.execute(query.order_by(campaign_watch.c.id.desc()).limit(_MOST_SEEN))
    return tuple(_record(row) for row in rows)


def open_of(unit: UnitOfWork, party: PartyId) -> tuple[Watch, ...]:
    """The watches of a party that are not over."""
    rows = unit.connection.execute(
        select(campaign_watch).where(
            campaign_watch.c.party == party, campaign_watch.c.ended_at.is_(None)
        )
    )
    return tuple(_record(row) for row in rows)


def heeded(unit: UnitOfWork, identity: WatchId) -> bool:
    """Whether a watch's party may hold leases, which a suspended one may not: for services alone."""
    may = open_now(campaign_watch.c.party, Permission.SCANNING_CLAIM, unit.now)
    with unit.as_service():
        row = unit.connection.execute(select(may).where(campaign_watch.c.id == identity)).one()
    return bool(row[0])


def _record(row: Row[Any]) -> Watch:
    return Watch(
        id=WatchId(row.id),
        party=PartyId(row.party),
        campaign=DiscoveryId(row.campaign),
        lease=LeaseId(row.lease),
        fence=row.fence,
        compartment=CompartmentId(row.compartment),
        budget_s=row.budget_s,
        left_s=row.left_s,
        looks=row.looks,
        sealed_state=bytes(row.sealed_state),
        asked_at=row.asked_at,
        last_campaign=None if row.last_campaign is None else DiscoveryId(row.last_campaign),
        ending=row.ending,
        looked_at=row.looked_at,
        ended_at=row.ended_at,
    )

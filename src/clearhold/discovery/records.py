"""Queries on campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.discovery.tables import campaign, campaign_corpus, campaign_crash
from clearhold.kernel.ids import ArtifactId, CompartmentId, DiscoveryId, LeaseId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign as stored; `state` is queued, running, found, nothing_found, stopped or failed.

    `budget_s` and `spent_s` are in seconds, `edges` counts covered control-flow edges, `crash` is
    the artefact of the first input that the laboratory confirmed, `ending` why it is over.
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
    engine: str
    ending: str = ""
    spent_s: int = 0
    begun_at: datetime | None = None
    stop_asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredCrash:
    """One crash of a campaign: its input's artefact, and what is sealed of it."""

    campaign: DiscoveryId
    number: int
    artifact: ArtifactId
    sealed_detail: bytes


@dataclass(frozen=True, slots=True)
class StoredCorpus:
    """What a party keeps of inputs for one target."""

    compartment: CompartmentId
    sealed_inputs: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return campaign.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add(unit: UnitOfWork, new: Campaign, *, key: str, target: bytes) -> None:
    """Insert a queued campaign; `target` is what its target is found by."""
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
            engine=new.engine,
            target=target,
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


def earlier_on(
    unit: UnitOfWork, known: Campaign, target: bytes, *, limit: int
) -> tuple[Campaign, ...]:
    """The party's campaigns on a target that found something before `known` began, newest first."""
    rows = unit.connection.execute(
        select(campaign)
        .where(
            campaign.c.party == known.party,
            campaign.c.target == target,
            campaign.c.id < known.id,
            campaign.c.crash.is_not(None),
        )
        .order_by(campaign.c.id.desc())
        .limit(limit)
    )
    return tuple(_record(row) for row in rows)


def allotted_s(unit: UnitOfWork, party: PartyId, *, since: datetime) -> int:
    """Seconds of searching that a party's campaigns since then took, or may yet take."""
    taken = func.coalesce(
        func.sum(
            case((campaign.c.ended_at.is_(None), campaign.c.budget_s), else_=campaign.c.spent_s)
        ),
        0,
    )
    with unit.as_service():
        total = unit.connection.execute(
            select(taken).where(campaign.c.party == party, campaign.c.queued_at > since)
        ).scalar_one()
    return int(total)


def stop_asked(unit: UnitOfWork, identity: DiscoveryId) -> bool:
    """Whether a campaign's party wants it to end."""
    asked = unit.connection.execute(
        select(campaign.c.stop_asked_at).where(campaign.c.id == identity)
    ).scalar_one_or_none()
    return asked is not None


def add_crash(unit: UnitOfWork, new: StoredCrash) -> None:
    """Insert one crash of a campaign."""
    unit.connection.execute(
        insert(campaign_crash).values(
            campaign=new.campaign,
            number=new.number,
            artifact=new.artifact,
            sealed_detail=new.sealed_detail,
        )
    )


def change_crash(
    unit: UnitOfWork, identity: DiscoveryId, number: int, *, sealed_detail: bytes
) -> None:
    """Write anew what is sealed of a crash."""
    unit.connection.execute(
        update(campaign_crash)
        .where(campaign_crash.c.campaign == identity, campaign_crash.c.number == number)
        .values(sealed_detail=sealed_detail)
    )


def crashes(unit: UnitOfWork, identity: DiscoveryId) -> tuple[StoredCrash, ...]:
    """The crashes of a campaign, in the order they were met."""
    rows = unit.connection.execute(
        select(campaign_crash)
        .where(campaign_crash.c.campaign == identity)
        .order_by(campaign_crash.c.number)
    )
    return tuple(
        StoredCrash(
            DiscoveryId(row.campaign),
            row.number,
            ArtifactId(row.artifact),
            bytes(row.sealed_detail),
        )
        for row in rows
    )


def corpus(unit: UnitOfWork, party: PartyId, target: bytes) -> StoredCorpus | None:
    """What a party keeps for a target."""
    row = unit.connection.execute(
        select(campaign_corpus).where(
            campaign_corpus.c.party == party, campaign_corpus.c.target == target
        )
    ).one_or_none()
    if row is None:
        return None
    return StoredCorpus(CompartmentId(row.compartment), bytes(row.sealed_inputs))


def keep_corpus(
    unit: UnitOfWork, party: PartyId, target: bytes, new: StoredCorpus, *, known: bool
) -> None:
    """Write what a party keeps for a target, in place of what is `known`."""
    values = {"sealed_inputs": new.sealed_inputs, "kept_at": unit.now}
    if known:
        unit.connection.execute(
            update(campaign_corpus)
            .where(campaign_corpus.c.party == party, campaign_corpus.c.target == target)
            .values(**values)
        )
        return
    unit.connection.execute(
        insert(campaign_corpus).values(
            party=party, target=target, compartment=new.compartment, **values
        )
    )


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
        engine=row.engine,
        ending=row.ending,
        spent_s=row.spent_s,
        begun_at=row.begun_at,
        stop_asked_at=row.stop_asked_at,
    )

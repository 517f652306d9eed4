"""Queries on leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.discovery.lead_tables import lead
from clearhold.kernel.ids import CompartmentId, DiscoveryId, FindingId, LeadId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredLead:
    """A lead as stored.

    `package` and `mark` are what its package and the lead itself are found by; nothing can be read
    back from them. `gone_in` is the campaign that looked where it was and did not meet it.
    """

    id: LeadId
    party: PartyId
    package: bytes
    mark: bytes
    compartment: CompartmentId
    engine: str
    state: str
    sealed_body: bytes
    first_campaign: DiscoveryId
    last_campaign: DiscoveryId
    met_at: datetime
    sealed_reason: bytes | None = None
    finding: FindingId | None = None
    gone_in: DiscoveryId | None = None
    decided_at: datetime | None = None


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return lead.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def add_all(unit: UnitOfWork, new: Sequence[StoredLead]) -> None:
    """Insert leads; the database refuses a second one of that party, package and mark."""
    if new:
        names = lead.c.keys()
        unit.connection.execute(
            insert(lead), [{name: getattr(each, name) for name in names} for each in new]
        )


def change(unit: UnitOfWork, identity: LeadId, values: Mapping[str, Any]) -> None:
    """Write what became of a lead."""
    unit.connection.execute(update(lead).where(lead.c.id == identity).values(**values))


def change_all(unit: UnitOfWork, values: Mapping[LeadId, Mapping[str, Any]]) -> None:
    """Write what became of several leads, of each the same columns."""
    if values:
        (names,) = {tuple(sorted(each)) for each in values.values()}
        unit.connection.execute(
            update(lead)
            .where(lead.c.id == bindparam("of_lead"))
            .values({name: bindparam(f"new_{name}") for name in names}),
            [
                {"of_lead": identity, **{f"new_{name}": each[name] for name in names}}
                for identity, each in values.items()
            ],
        )


def of_package(unit: UnitOfWork, party: PartyId, package: bytes) -> tuple[StoredLead, ...]:
    """All leads of a party on a package, for the service's own work."""
    rows = unit.connection.execute(
        select(lead).where(lead.c.party == party, lead.c.package == package).order_by(lead.c.id)
    )
    return tuple(_record(row) for row in rows)


def seen_by(
    unit: UnitOfWork,
    actor: Actor,
    *,
    package: bytes | None = None,
    state: str | None = None,
    after: LeadId | None = None,
    limit: int,
) -> tuple[StoredLead, ...]:
    """The leads the actor may see in the order they were met, after one of them."""
    query = select(lead).where(visible_to(actor, unit.now)).order_by(lead.c.id).limit(limit)
    if package is not None:
        query = query.where(lead.c.package == package)
    if state is not None:
        query = query.where(lead.c.state == state)
    if after is not None:
        query = query.where(lead.c.id > after)
    return tuple(_record(row) for row in unit.connection.execute(query))


def one_seen_by(
    unit: UnitOfWork, actor: Actor, identity: LeadId, *, lock: bool = False
) -> StoredLead | None:
    """One lead, if the actor may see it."""
    query = select(lead).where(visible_to(actor, unit.now), lead.c.id == identity)
    row = unit.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> StoredLead:
    return StoredLead(
        id=LeadId(row.id),
        party=PartyId(row.party),
        package=bytes(row.package),
        mark=bytes(row.mark),
        compartment=CompartmentId(row.compartment),
        engine=row.engine,
        state=row.state,
        sealed_body=bytes(row.sealed_body),
        first_campaign=DiscoveryId(row.first_campaign),
        last_campaign=DiscoveryId(row.last_campaign),
        met_at=row.met_at,
        sealed_reason=None if row.sealed_reason is None else bytes(row.sealed_reason),
        finding=None if row.finding is None else FindingId(row.finding),
        gone_in=None if row.gone_in is None else DiscoveryId(row.gone_in),
        decided_at=row.decided_at,
    )

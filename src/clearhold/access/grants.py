"""Reading a party in to a compartment, and the one predicate every secret list joins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.model import Actor
from clearhold.access.tables import compartment_grant as grant
from clearhold.kernel.ids import CompartmentId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


def in_force(now: datetime) -> ColumnElement[bool]:
    """Grants that are neither revoked nor expired at `now`."""
    return and_(
        grant.c.revoked_at.is_(None),
        or_(grant.c.expires_at.is_(None), grant.c.expires_at > now),
    )


def compartments_of(actor: Actor, now: datetime) -> Select[tuple[str]]:
    """The compartments the actor's party is read in to: the deny-by-default source of visibility."""
    return select(grant.c.compartment).where(grant.c.party == actor.party, in_force(now))


def parties_in(unit: UnitOfWork, within: CompartmentId) -> tuple[PartyId, ...]:
    """The parties read in to a compartment now, in order of their reading in."""
    rows = unit.connection.execute(
        select(grant.c.party)
        .where(grant.c.compartment == within, in_force(unit.now))
        .order_by(grant.c.granted_at, grant.c.party)
    )
    return tuple(PartyId(party) for party in rows.scalars())


def read_in(
    unit: UnitOfWork,
    within: CompartmentId,
    party: PartyId,
    *,
    tier: int,
    reason: str,
    granted_by: str,
    expires_at: datetime | None = None,
) -> None:
    """Let `party` see a compartment, with the need-to-know reason, in the ledger.

    A second reading in replaces the first. Tiers run from 0, who must know now, to 3, who is told
    shortly before publication.
    """
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {
        "tier": tier,
        "reason": reason,
        "granted_by": granted_by,
        "granted_at": unit.now,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    unit.connection.execute(
        insert(grant)
        .values(compartment=within, party=party, **values)
        .on_conflict_do_update(index_elements=["compartment", "party"], set_=values)
    )
    unit.record(
        "access:compartment:read-in",
        actor=granted_by,
        subject=party,
        compartment=within,
        detail={"tier": str(tier), "reason": reason},
    )


def read_out(unit: UnitOfWork, within: CompartmentId, party: PartyId, *, by: str) -> None:
    """End what a party may see of a compartment, from now on."""
    unit.connection.execute(
        update(grant)
        .where(grant.c.compartment == within, grant.c.party == party, grant.c.revoked_at.is_(None))
        .values(revoked_at=unit.now)
    )
    unit.record("access:compartment:read-out", actor=by, subject=party, compartment=within)

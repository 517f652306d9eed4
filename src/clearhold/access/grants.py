"""Reading people in to a compartment, and the one predicate every secret list joins.

A grant names a whole party or one principal of it. Coordinators are always read in by name, so that
no account of a hub sees a case only because its colleague does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.model import Actor
from clearhold.access.tables import compartment_grant as grant
from clearhold.access.tables import recusal
from clearhold.kernel.ids import CompartmentId, PartyId, PersonId, PrincipalId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Grantee:
    """A party, or one of its principals alone."""

    party: PartyId
    member: PrincipalId | None = None

    @property
    def id(self) -> str:
        """What stands in the grant."""
        return self.member or self.party


def in_force(now: datetime) -> ColumnElement[bool]:
    """Grants that are neither revoked nor expired at `now`."""
    return and_(
        grant.c.revoked_at.is_(None),
        or_(grant.c.expires_at.is_(None), grant.c.expires_at > now),
    )


def recused(actor: Actor) -> Select[tuple[str]]:
    """The compartments the person who acts has been recused from, whoever read them in."""
    return select(recusal.c.compartment).where(recusal.c.person == (actor.person or ""))


def compartments_of(actor: Actor, now: datetime) -> Select[tuple[str]]:
    """The compartments the actor is read in to: the deny-by-default source of visibility."""
    return select(grant.c.compartment).where(
        grant.c.grantee.in_((actor.party, actor.principal)),
        in_force(now),
        grant.c.compartment.not_in(recused(actor)),
    )


def sees(unit: UnitOfWork, actor: Actor, within: CompartmentId) -> bool:
    """Whether the actor is read in to a compartment now."""
    mine = compartments_of(actor, unit.now).where(grant.c.compartment == within)
    return unit.connection.execute(mine.limit(1)).first() is not None


def grantees_in(unit: UnitOfWork, within: CompartmentId) -> tuple[Grantee, ...]:
    """Who is read in to a compartment now, in order of their reading in."""
    rows = unit.connection.execute(
        select(grant.c.party, grant.c.grantee)
        .where(grant.c.compartment == within, in_force(unit.now))
        .order_by(grant.c.granted_at, grant.c.grantee)
    )
    return tuple(
        Grantee(PartyId(party), None if named == party else PrincipalId(named))
        for party, named in rows
    )


def parties_in(unit: UnitOfWork, within: CompartmentId) -> tuple[PartyId, ...]:
    """The parties of whom anybody is read in to a compartment now, in order of reading in."""
    return tuple(dict.fromkeys(each.party for each in grantees_in(unit, within)))


def read_in(
    unit: UnitOfWork,
    within: CompartmentId,
    who: Grantee,
    *,
    tier: int,
    reason: str,
    granted_by: str,
    expires_at: datetime | None = None,
) -> None:
    """Let `who` see a compartment, with the need-to-know reason, in the ledger.

    A second reading in replaces the first. Tiers run from 0, who must know now, to 3, who is told
    shortly before publication.
    """
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {
        "party": who.party,
        "tier": tier,
        "reason": reason,
        "granted_by": granted_by,
        "granted_at": unit.now,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    unit.connection.execute(
        insert(grant)
        .values(compartment=within, grantee=who.id, **values)
        .on_conflict_do_update(index_elements=["compartment", "grantee"], set_=values)
    )
    unit.record(
        "access:compartment:read-in",
        actor=granted_by,
        subject=who.id,
        compartment=within,
        detail={"tier": str(tier), "reason": reason},
    )


def read_out(unit: UnitOfWork, within: CompartmentId, who: Grantee, *, by: str) -> None:
    """End what `who` may see of a compartment, from now on; a party takes its principals along."""
    of_whom = grant.c.party == who.party if who.member is None else grant.c.grantee == who.id
    unit.connection.execute(
        update(grant)
        .where(grant.c.compartment == within, of_whom, grant.c.revoked_at.is_(None))
        .values(revoked_at=unit.now)
    )
    unit.record("access:compartment:read-out", actor=by, subject=who.id, compartment=within)


def recuse(unit: UnitOfWork, within: CompartmentId, who: PersonId, *, reason: str, by: str) -> None:
    """Bar a person from a compartment for good, in every party and whoever reads them in."""
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    unit.connection.execute(
        insert(recusal)
        .values(compartment=within, person=who, reason=reason, made_by=by, made_at=unit.now)
        .on_conflict_do_nothing()
    )
    unit.record(
        "access:person:recuse",
        actor=by,
        subject=who,
        compartment=within,
        detail={"reason": reason},
    )

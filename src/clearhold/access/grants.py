"""Reading people in to a compartment, and the one predicate every secret list joins.

A grant names a whole party or one principal of it. Coordinators are always read in by name, so that
no account of a hub sees a case only because its colleague does. A grant is of a tier: who holds it
sees what that tier and every later one shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from sqlalchemy import ColumnElement, Select, and_, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.model import Actor
from clearhold.access.tables import compartment_grant as grant
from clearhold.access.tables import recusal
from clearhold.kernel.ids import CompartmentId, PartyId, PersonId, PrincipalId
from clearhold.store.schema import Flag
from clearhold.store.unit_of_work import UnitOfWork


class Tier(IntEnum):
    """How much of a compartment a grant shows; each tier shows what the ones after it show.

    EVERYTHING: proofs of concept and raw submissions too. CONTENT: the case, what findings say,
    verdicts, candidate fixes, messages. FIX: to prepare, the case's title, embargo, advisory draft
    and the fix it delivers, and no finding. NOTICE: that something urgent comes and when.
    """

    EVERYTHING = 0
    CONTENT = 1
    FIX = 2
    NOTICE = 3


@dataclass(frozen=True, slots=True)
class Grantee:
    """A party, or one of its principals alone."""

    party: PartyId
    member: PrincipalId | None = None

    @property
    def id(self) -> str:
        """What stands in the grant."""
        return self.member or self.party


@dataclass(frozen=True, slots=True)
class Grant:
    """What one grantee may see of a compartment, why, who decided it, and until when.

    `approved_by` is the second person, where it took two. `emergency` marks glass that was broken.
    """

    who: Grantee
    tier: Tier
    reason: str
    granted_by: str
    approved_by: str | None
    granted_at: datetime
    expires_at: datetime | None
    emergency: bool


def in_force(now: datetime) -> ColumnElement[bool]:
    """Grants that are neither revoked nor expired at `now`."""
    return and_(
        grant.c.revoked_at.is_(None),
        or_(grant.c.expires_at.is_(None), grant.c.expires_at > now),
    )


def recused(actor: Actor) -> Select[tuple[str]]:
    """The compartments the person who acts has been recused from, whoever read them in."""
    return select(recusal.c.compartment).where(recusal.c.person == (actor.person or ""))


def compartments_of(actor: Actor, now: datetime, *, tier: Tier) -> Select[tuple[str]]:
    """The compartments of which the actor sees what `tier` shows: the source of visibility."""
    return select(grant.c.compartment).where(
        grant.c.grantee.in_((actor.party, actor.principal)),
        grant.c.tier <= int(tier),
        in_force(now),
        grant.c.compartment.not_in(recused(actor)),
    )


def tiers_of(
    actor: Actor, now: datetime, among: Sequence[CompartmentId]
) -> Select[tuple[str, int]]:
    """Those of `among` the actor is read in to, each with the tier that shows the most."""
    return (
        select(grant.c.compartment, func.min(grant.c.tier).label("tier"))
        .where(
            grant.c.grantee.in_((actor.party, actor.principal)),
            grant.c.compartment.in_(among),
            in_force(now),
            grant.c.compartment.not_in(recused(actor)),
        )
        .group_by(grant.c.compartment)
    )


def sees(unit: UnitOfWork, actor: Actor, within: CompartmentId, *, tier: Tier) -> bool:
    """Whether the actor now sees what `tier` shows of a compartment."""
    mine = compartments_of(actor, unit.now, tier=tier).where(grant.c.compartment == within)
    return unit.connection.execute(mine.limit(1)).first() is not None


def decides(unit: UnitOfWork, actor: Actor, within: CompartmentId) -> bool:
    """Whether the actor sees the content of a compartment other than through broken glass."""
    mine = compartments_of(actor, unit.now, tier=Tier.CONTENT).where(
        grant.c.compartment == within, grant.c.emergency == literal(False, Flag())
    )
    return unit.connection.execute(mine.limit(1)).first() is not None


def is_recused(unit: UnitOfWork, who: PersonId | None, within: CompartmentId) -> bool:
    """Whether a person is barred from a compartment."""
    found = select(recusal.c.person).where(
        recusal.c.compartment == within, recusal.c.person == (who or "")
    )
    return unit.connection.execute(found).first() is not None


@dataclass(frozen=True, slots=True)
class Recusal:
    """Who is barred from a compartment, why, and who said so."""

    person: PersonId
    reason: str
    made_by: str
    made_at: datetime


def recusals_in(unit: UnitOfWork, within: CompartmentId) -> tuple[Recusal, ...]:
    """Who is barred from a compartment, the earliest first."""
    rows = unit.connection.execute(
        select(recusal)
        .where(recusal.c.compartment == within)
        .order_by(recusal.c.made_at, recusal.c.person)
    )
    return tuple(
        Recusal(PersonId(row.person), row.reason, row.made_by, row.made_at) for row in rows
    )


def grants_in(unit: UnitOfWork, within: CompartmentId) -> tuple[Grant, ...]:
    """Who is read in to a compartment now, in order of their reading in."""
    rows = unit.connection.execute(
        select(grant)
        .where(grant.c.compartment == within, in_force(unit.now))
        .order_by(grant.c.granted_at, grant.c.grantee)
    )
    return tuple(
        Grant(
            Grantee(
                PartyId(row.party), None if row.grantee == row.party else PrincipalId(row.grantee)
            ),
            Tier(row.tier),
            row.reason,
            row.granted_by,
            row.approved_by,
            row.granted_at,
            row.expires_at,
            row.emergency,
        )
        for row in rows
    )


def grantees_in(unit: UnitOfWork, within: CompartmentId) -> tuple[Grantee, ...]:
    """Whom the grants in force of a compartment name, in order of their reading in."""
    return tuple(each.who for each in grants_in(unit, within))


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
    approved_by: str | None = None,
    expires_at: datetime | None = None,
    emergency: bool = False,
) -> None:
    """Let `who` see a compartment, with the need-to-know reason, in the ledger.

    A second reading in replaces the first.
    """
    upsert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {
        "party": who.party,
        "tier": Tier(tier),
        "reason": reason,
        "granted_by": granted_by,
        "approved_by": approved_by,
        "granted_at": unit.now,
        "expires_at": expires_at,
        "revoked_at": None,
        "emergency": emergency,
    }
    unit.connection.execute(
        upsert(grant)
        .values(compartment=within, grantee=who.id, **values)
        .on_conflict_do_update(index_elements=["compartment", "grantee"], set_=values)
    )
    told = {"tier": str(int(tier)), "reason": reason}
    if approved_by is not None:
        told["approved_by"] = approved_by
    if expires_at is not None:
        told["expires_at"] = expires_at.isoformat()
    unit.record(
        "access:compartment:read-in",
        actor=granted_by,
        subject=who.id,
        compartment=within,
        detail=told,
    )


def read_in_to_new(
    unit: UnitOfWork,
    within: Sequence[CompartmentId],
    who: Grantee,
    *,
    tier: int,
    reason: str,
    granted_by: str,
) -> None:
    """Let `who` see compartments that were opened in this transaction, in one query.

    Each has its leaf, as with `read_in`.
    """
    if not within:
        return
    shared = {
        "grantee": who.id,
        "party": who.party,
        "tier": Tier(tier),
        "reason": reason,
        "granted_by": granted_by,
        "granted_at": unit.now,
        "emergency": False,
    }
    unit.connection.execute(insert(grant), [{"compartment": each, **shared} for each in within])
    told = {"tier": str(int(tier)), "reason": reason}
    for each in within:
        unit.record(
            "access:compartment:read-in",
            actor=granted_by,
            subject=who.id,
            compartment=each,
            detail=told,
        )


def read_out(unit: UnitOfWork, within: CompartmentId, who: Grantee, *, by: str) -> None:
    """End what `who` may see of a compartment, from now on; a party takes its principals along.

    Who sees nothing of it stays so, without a leaf.
    """
    of_whom = grant.c.party == who.party if who.member is None else grant.c.grantee == who.id
    ended = unit.connection.execute(
        update(grant)
        .where(grant.c.compartment == within, of_whom, grant.c.revoked_at.is_(None))
        .values(revoked_at=unit.now)
    )
    if ended.rowcount:
        unit.record("access:compartment:read-out", actor=by, subject=who.id, compartment=within)


def recuse(unit: UnitOfWork, within: CompartmentId, who: PersonId, *, reason: str, by: str) -> None:
    """Bar a person from a compartment for good, in every party and whoever reads them in."""
    upsert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    unit.connection.execute(
        upsert(recusal)
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

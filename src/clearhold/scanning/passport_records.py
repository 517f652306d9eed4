"""Queries on scan passports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.model import Actor
from clearhold.kernel.ids import LeaseId
from clearhold.scanning.live_records import heeded_at, standing_at
from clearhold.scanning.live_tables import live_authorisation as authorisation
from clearhold.scanning.live_tables import live_lease as lease
from clearhold.scanning.live_tables import live_passport as passport
from clearhold.scanning.model import LIVE
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredPassport:
    """A passport: where its status stands, and itself encrypted under its code."""

    id: str
    lease: LeaseId
    day: str
    idx: int
    code: bytes
    capsule: bytes
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def add(unit: UnitOfWork, new: StoredPassport) -> bool:
    """Insert a passport; False when its place in the day's list is taken."""
    made = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    added = unit.connection.execute(
        made(passport)
        .values(
            id=new.id,
            lease=new.lease,
            day=new.day,
            idx=new.idx,
            code=new.code,
            capsule=new.capsule,
            issued_at=new.issued_at,
            expires_at=new.expires_at,
        )
        .on_conflict_do_nothing(index_elements=["day", "idx"])
        .returning(passport.c.id)
    )
    return added.one_or_none() is not None


def valid(unit: UnitOfWork, of: LeaseId) -> int:
    """How many passports of a lease are neither revoked nor over."""
    return unit.connection.execute(
        select(func.count())
        .select_from(passport)
        .where(
            passport.c.lease == of,
            passport.c.revoked_at.is_(None),
            passport.c.expires_at > unit.now,
        )
    ).scalar_one()


def may_revoke(unit: UnitOfWork, actor: Actor, identity: str) -> bool:
    """Whether there is such a passport and the actor's party holds it or owns what it is for."""
    with unit.as_service():
        found = unit.connection.execute(
            select(passport.c.id)
            .join(lease, lease.c.id == passport.c.lease)
            .join(authorisation, authorisation.c.id == lease.c.authorisation)
            .where(
                passport.c.id == identity,
                or_(lease.c.party == actor.party, authorisation.c.party == actor.party),
            )
        ).first()
    return found is not None


def revoke(unit: UnitOfWork, identity: str) -> None:
    """Revoke one passport; it stays revoked from when it first was."""
    with unit.as_service():
        unit.connection.execute(
            update(passport)
            .where(passport.c.id == identity, passport.c.revoked_at.is_(None))
            .values(revoked_at=unit.now)
        )


def invalid_indices(unit: UnitOfWork, day: str) -> tuple[int, ...]:
    """The places in a day's list whose passports do not count.

    They are revoked, their lease is over, or its holder or the owner is suspended.
    """
    over = or_(
        lease.c.state.not_in(LIVE), lease.c.expires_at <= unit.now, not_(heeded_at(unit.now))
    )
    with unit.as_service():
        rows = unit.connection.execute(
            select(passport.c.idx)
            .join(lease, lease.c.id == passport.c.lease)
            .join(authorisation, authorisation.c.id == lease.c.authorisation)
            .where(passport.c.day == day, or_(passport.c.revoked_at.is_not(None), over))
        ).all()
    return tuple(row.idx for row in rows)


def counting(unit: UnitOfWork, *, identity: str, code: bytes) -> tuple[str, bytes] | None:
    """Id and capsule of the passport of that id or code that counts now: for the public check."""
    with unit.as_service():
        row = unit.connection.execute(
            select(passport.c.id, passport.c.capsule)
            .join(lease, lease.c.id == passport.c.lease)
            .join(authorisation, authorisation.c.id == lease.c.authorisation)
            .where(
                or_(passport.c.id == identity, passport.c.code == code),
                passport.c.revoked_at.is_(None),
                passport.c.expires_at > unit.now,
                standing_at(unit.now),
                heeded_at(unit.now),
                authorisation.c.withdrawn_at.is_(None),
            )
        ).one_or_none()
    return None if row is None else (row.id, bytes(row.capsule))

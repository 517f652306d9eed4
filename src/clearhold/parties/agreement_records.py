"""Queries on agreements, acceptances and how parties stand to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, true, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.kernel.ids import PartyId
from clearhold.parties.tables import acceptance, adherence, agreement
from clearhold.parties.terms import Adherence, Agreement, Bar, Standing, Terms
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class SignedAcceptance:
    """An acceptance as it was signed: a DSSE envelope, by which key and principal."""

    id: str
    party: PartyId
    agreement: str
    version: int
    signed_at: datetime
    accepted_by: str
    accepted_at: datetime
    key: str
    envelope: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A party sees how it stands itself; a coordinator sees how everyone stands."""
    del now
    if actor.kind is PartyKind.COORDINATOR:
        return true()
    return adherence.c.party == actor.party


def publish(unit: UnitOfWork, new: Agreement, *, by: str) -> None:
    """Insert a version."""
    unit.connection.execute(
        insert(agreement).values(
            name=new.name,
            version=new.version,
            text=new.terms.text,
            sha256=new.terms.sha256,
            kinds=sorted(new.terms.kinds),
            opens=sorted(new.terms.opens),
            reaccept_by=new.terms.reaccept_by,
            published_by=by,
            published_at=new.published_at,
        )
    )


def latest(unit: UnitOfWork, name: str | None = None) -> tuple[Agreement, ...]:
    """The newest version of one agreement or of each; they are open to everyone to read."""
    newest = select(agreement.c.name, func.max(agreement.c.version)).group_by(agreement.c.name)
    wanted = true() if name is None else agreement.c.name == name
    rows = unit.connection.execute(
        select(agreement)
        .where(tuple_(agreement.c.name, agreement.c.version).in_(newest), wanted)
        .order_by(agreement.c.name)
    )
    return tuple(map(_agreement, rows))


def version(unit: UnitOfWork, name: str, number: int) -> Agreement | None:
    """One version of an agreement."""
    row = unit.connection.execute(
        select(agreement).where(agreement.c.name == name, agreement.c.version == number)
    ).one_or_none()
    return None if row is None else _agreement(row)


def standing(unit: UnitOfWork, party: PartyId, name: str) -> Adherence | None:
    """How a party stands to an agreement, its row held until the transaction ends."""
    row = unit.connection.execute(
        select(adherence)
        .where(adherence.c.party == party, adherence.c.agreement == name)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _adherence(row)


def standings(unit: UnitOfWork, actor: Actor, name: str | None = None) -> tuple[Adherence, ...]:
    """How the parties the actor may see stand, to one agreement or to all."""
    wanted = true() if name is None else adherence.c.agreement == name
    rows = unit.connection.execute(
        select(adherence)
        .where(and_(visible_to(actor, unit.now), wanted))
        .order_by(adherence.c.agreement, adherence.c.party)
    )
    return tuple(map(_adherence, rows))


def stand(unit: UnitOfWork, new: Adherence) -> None:
    """Write how a party stands."""
    inserting = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    values = {
        "version": new.version,
        "standing": new.standing,
        "bar": new.bar,
        "since": new.since,
        "ends_at": new.ends_at,
    }
    unit.connection.execute(
        inserting(adherence)
        .values(party=new.party, agreement=new.agreement, **values)
        .on_conflict_do_update(index_elements=["party", "agreement"], set_=values)
    )


def end_earlier(unit: UnitOfWork, name: str, *, at: datetime) -> None:
    """Let every acceptance of an agreement end at an instant, unless it ends before."""
    unit.connection.execute(
        update(adherence)
        .where(
            adherence.c.agreement == name,
            or_(adherence.c.ends_at.is_(None), adherence.c.ends_at > at),
        )
        .values(ends_at=at)
    )


def sign(unit: UnitOfWork, new: SignedAcceptance) -> bool:
    """Insert an acceptance; False when this very statement was taken in before."""
    inserting = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    added = unit.connection.execute(
        inserting(acceptance)
        .values(
            id=new.id,
            party=new.party,
            agreement=new.agreement,
            version=new.version,
            signed_at=new.signed_at,
            accepted_by=new.accepted_by,
            accepted_at=new.accepted_at,
            key=new.key,
            envelope=new.envelope,
        )
        .on_conflict_do_nothing(index_elements=["party", "agreement", "version", "signed_at"])
        .returning(acceptance.c.id)
    )
    return added.one_or_none() is not None


def signed_by(unit: UnitOfWork, party: PartyId) -> tuple[SignedAcceptance, ...]:
    """Everything a party signed, oldest first."""
    rows = unit.connection.execute(
        select(acceptance).where(acceptance.c.party == party).order_by(acceptance.c.id)
    )
    return tuple(
        SignedAcceptance(
            row.id,
            PartyId(row.party),
            row.agreement,
            row.version,
            row.signed_at,
            row.accepted_by,
            row.accepted_at,
            row.key,
            bytes(row.envelope),
        )
        for row in rows
    )


def _agreement(row: Row[Any]) -> Agreement:
    terms = Terms(
        row.text,
        frozenset(map(PartyKind, row.kinds)),
        frozenset(_known(row.opens)),
        row.reaccept_by,
    )
    return Agreement(row.name, row.version, terms, row.published_at)


def _known(names: Iterable[str]) -> Iterable[Permission]:
    # A version may have been published by a release that knew a permission which is gone.
    there = {str(each) for each in Permission}
    return (Permission(name) for name in names if name in there)


def _adherence(row: Row[Any]) -> Adherence:
    return Adherence(
        PartyId(row.party),
        row.agreement,
        row.version,
        Standing(row.standing),
        None if row.bar is None else Bar(row.bar),
        row.since,
        row.ends_at,
    )

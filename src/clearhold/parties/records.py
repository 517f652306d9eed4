"""Queries on parties."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.kernel.ids import PartyId
from clearhold.parties.model import Party
from clearhold.parties.tables import party, party_key
from clearhold.store.unit_of_work import UnitOfWork


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A coordinator sees the register; everyone else sees themselves."""
    del now
    if actor.kind is PartyKind.COORDINATOR:
        return true()
    return party.c.id == actor.party


def _party(row: Row[Any]) -> Party:
    return Party(
        PartyId(row.id), row.handle, row.name, PartyKind(row.kind), row.sector, row.registered_at
    )


def _inserting(unit: UnitOfWork, table: Table) -> sqlite.Insert | postgresql.Insert:
    insert = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table)


def add(unit: UnitOfWork, new: Party) -> bool:
    """Insert a party; False when its handle is taken, also by a request at the same moment."""
    added = unit.connection.execute(
        _inserting(unit, party)
        .values(
            id=new.id,
            handle=new.handle,
            name=new.name,
            kind=new.kind,
            sector=new.sector,
            registered_at=new.registered_at,
        )
        .on_conflict_do_nothing(index_elements=["handle"])
        .returning(party.c.id)
    )
    return added.one_or_none() is not None


def by_handle(unit: UnitOfWork, handle: str) -> Party | None:
    """The party of that handle, whoever asks: for services, never for an answer to a caller."""
    row = unit.connection.execute(select(party).where(party.c.handle == handle)).one_or_none()
    return None if row is None else _party(row)


def by_id(unit: UnitOfWork, identity: PartyId) -> Party:
    """A party that is known to be there: for services, never for an answer to a caller."""
    row = unit.connection.execute(select(party).where(party.c.id == identity)).one()
    return _party(row)


def name_of(unit: UnitOfWork, identity: PartyId) -> str:
    """A party's name, for those who already share a case with it."""
    name: str = unit.connection.execute(
        select(party.c.name).where(party.c.id == identity)
    ).scalar_one()
    return name


def names_of(unit: UnitOfWork, identities: Iterable[PartyId]) -> dict[PartyId, str]:
    """Parties' names, for those who already share a case with them."""
    rows = unit.connection.execute(
        select(party.c.id, party.c.name).where(party.c.id.in_(tuple(identities)))
    )
    return {PartyId(row.id): row.name for row in rows}


def listing(unit: UnitOfWork, actor: Actor, identity: PartyId | None = None) -> tuple[Party, ...]:
    """The parties the actor may see, one or all."""
    wanted = true() if identity is None else party.c.id == identity
    rows = unit.connection.execute(
        select(party).where(and_(visible_to(actor, unit.now), wanted)).order_by(party.c.handle)
    )
    return tuple(_party(row) for row in rows)


def hold(unit: UnitOfWork, identity: PartyId) -> None:
    """Make requests of one party that must see each other's effect wait for one another."""
    unit.connection.execute(
        select(party.c.id).where(party.c.id == identity).with_for_update(key_share=True)
    )


def add_key(unit: UnitOfWork, owner: PartyId, *, key_id: str, public_key: bytes) -> bool:
    """Insert a signing key of a party; False when it is registered already, to whomever."""
    added = unit.connection.execute(
        _inserting(unit, party_key)
        .values(id=key_id, party=owner, public_key=public_key, added_at=unit.now)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(party_key.c.id)
    )
    return added.one_or_none() is not None


def keys_of(unit: UnitOfWork, owner: PartyId) -> dict[str, bytes]:
    """A party's signing keys by id."""
    rows = unit.connection.execute(
        select(party_key.c.id, party_key.c.public_key).where(party_key.c.party == owner)
    )
    return {row.id: bytes(row.public_key) for row in rows}

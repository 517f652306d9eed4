"""Queries on what parties stand for, their open challenges, routes and wishes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, delete, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.kernel.ids import PartyId
from clearhold.parties.tables import challenge, disclosure_route, represented, wish
from clearhold.parties.wish import Wishes, from_plain, to_plain
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a party must publish to show that a domain or repository is its own."""

    party: PartyId
    subject: str
    nonce: str
    made_at: datetime
    expires_at: datetime
    tried_at: datetime | None


@dataclass(frozen=True, slots=True)
class Representation:
    """A party that stands for something: shown how, since when and until when.

    `challenger` has shown the same while this party held it, which a coordinator is to settle.
    """

    subject: str
    party: PartyId
    method: str
    since: datetime
    expires_at: datetime
    challenger: PartyId | None = None
    challenged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredWish:
    """What a party wishes about something, and what it stands for that lets it."""

    party: PartyId
    subject: str
    basis: str
    wishes: Wishes
    made_at: datetime


def represented_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A coordinator sees who stands for what; everyone else sees what is their own."""
    del now
    return true() if actor.kind is PartyKind.COORDINATOR else represented.c.party == actor.party


def routes_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A party's routes are seen by itself and by coordinators; cases show them to participants."""
    del now
    return (
        true() if actor.kind is PartyKind.COORDINATOR else disclosure_route.c.party == actor.party
    )


def wishes_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A party sees what it wishes itself; everyone else learns what is refused because of it."""
    del now
    return wish.c.party == actor.party


def open_challenges(unit: UnitOfWork, party: PartyId) -> tuple[Challenge, ...]:
    """The challenges a party may still meet, by subject."""
    rows = unit.connection.execute(
        select(challenge)
        .where(challenge.c.party == party, challenge.c.expires_at > unit.now)
        .order_by(challenge.c.subject)
    )
    return tuple(
        Challenge(
            PartyId(row.party),
            row.subject,
            row.nonce,
            row.made_at,
            row.expires_at,
            row.tried_at,
        )
        for row in rows
    )


def put_challenge(unit: UnitOfWork, new: Challenge) -> None:
    """Write a challenge in place of an earlier one of that party for that subject."""
    values = {
        "nonce": new.nonce,
        "made_at": new.made_at,
        "expires_at": new.expires_at,
        "tried_at": new.tried_at,
    }
    _upsert(unit, challenge, {"party": new.party, "subject": new.subject}, values)


def drop_challenge(unit: UnitOfWork, party: PartyId, subject: str) -> None:
    """Forget a challenge that was met."""
    unit.connection.execute(
        delete(challenge).where(challenge.c.party == party, challenge.c.subject == subject)
    )


def holder(unit: UnitOfWork, subject: str) -> Representation | None:
    """Who stands for a subject, or did; its row is held until the transaction ends."""
    row = unit.connection.execute(
        select(represented).where(represented.c.subject == subject).with_for_update()
    ).one_or_none()
    return None if row is None else _representation(row)


def put_holder(unit: UnitOfWork, new: Representation) -> bool:
    """Insert who stands for a subject; False when somebody has come before, in this very moment."""
    insert = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    added = unit.connection.execute(
        insert(represented)
        .values(
            subject=new.subject,
            party=new.party,
            method=new.method,
            since=new.since,
            expires_at=new.expires_at,
        )
        .on_conflict_do_nothing(index_elements=["subject"])
        .returning(represented.c.subject)
    )
    return added.one_or_none() is not None


def change_holder(unit: UnitOfWork, subject: str, **values: Any) -> None:
    """Write columns of who stands for a subject."""
    unit.connection.execute(
        update(represented).where(represented.c.subject == subject).values(**values)
    )


def representations(unit: UnitOfWork, actor: Actor) -> tuple[Representation, ...]:
    """Who stands for what, as far as the actor may see, by subject."""
    rows = unit.connection.execute(
        select(represented)
        .where(represented_visible_to(actor, unit.now))
        .order_by(represented.c.subject)
    )
    return tuple(map(_representation, rows))


def basis_of(unit: UnitOfWork, party: PartyId, covering: Sequence[str]) -> str | None:
    """That of some subjects for which a party stands now, the first of them."""
    rows = unit.connection.execute(
        select(represented.c.subject).where(
            represented.c.subject.in_(covering),
            represented.c.party == party,
            represented.c.expires_at > unit.now,
        )
    )
    held = set(rows.scalars())
    return next((each for each in covering if each in held), None)


def held_of(unit: UnitOfWork, party: PartyId, among: Iterable[str]) -> frozenset[str]:
    """Those of some subjects for which a party stands now."""
    rows = unit.connection.execute(
        select(represented.c.subject).where(
            represented.c.subject.in_(tuple(among)),
            represented.c.party == party,
            represented.c.expires_at > unit.now,
        )
    )
    return frozenset(rows.scalars())


def put_routes(unit: UnitOfWork, party: PartyId, plain: dict[str, Any]) -> None:
    """Write a party's disclosure routes in place of earlier ones."""
    values = {"routes": plain, "written_at": unit.now}
    _upsert(unit, disclosure_route, {"party": party}, values)


def routes(unit: UnitOfWork, actor: Actor, party: PartyId) -> dict[str, Any] | None:
    """A party's disclosure routes, if the actor may see them."""
    return _routes(unit, party, routes_visible_to(actor, unit.now))


def routes_of(unit: UnitOfWork, party: PartyId) -> dict[str, Any] | None:
    """A party's disclosure routes, for those who already share a case with it."""
    return _routes(unit, party, true())


def put_wish(unit: UnitOfWork, new: StoredWish) -> None:
    """Write what a party wishes about a subject in place of what it wished before."""
    values = {"basis": new.basis, "wishes": to_plain(new.wishes), "made_at": new.made_at}
    _upsert(unit, wish, {"party": new.party, "subject": new.subject}, values)


def drop_wish(unit: UnitOfWork, party: PartyId, subject: str) -> bool:
    """Forget what a party wishes about a subject; False when it wished nothing."""
    gone = unit.connection.execute(
        delete(wish).where(wish.c.party == party, wish.c.subject == subject)
    )
    return bool(gone.rowcount)


def wishes_seen(unit: UnitOfWork, actor: Actor) -> tuple[StoredWish, ...]:
    """The wishes the actor may see, by subject."""
    rows = unit.connection.execute(
        select(wish).where(wishes_visible_to(actor, unit.now)).order_by(wish.c.subject)
    )
    return tuple(map(_wish, rows))


def wishes_about(
    unit: UnitOfWork, covering: Sequence[str], *, also_domains_of: PartyId | None = None
) -> tuple[StoredWish, ...]:
    """The wishes that count now about any of some subjects, for services alone.

    With `also_domains_of`, those of that party about its domains too. A wish counts as long as its
    maker stands for what it rests on.
    """
    about: ColumnElement[bool] = wish.c.subject.in_(covering)
    if also_domains_of is not None:
        own = and_(wish.c.party == also_domains_of, wish.c.subject.like("domain:%"))
        about = or_(about, own)
    rows = unit.connection.execute(
        select(wish)
        .join(
            represented,
            and_(represented.c.subject == wish.c.basis, represented.c.party == wish.c.party),
        )
        .where(about, represented.c.expires_at > unit.now)
        .order_by(wish.c.subject, wish.c.party)
    )
    return tuple(map(_wish, rows))


def wishes_of(unit: UnitOfWork, party: PartyId) -> tuple[StoredWish, ...]:
    """What a party wishes, for services alone."""
    rows = unit.connection.execute(
        select(wish).where(wish.c.party == party).order_by(wish.c.subject)
    )
    return tuple(map(_wish, rows))


def any_wish(unit: UnitOfWork) -> bool:
    """Whether anybody wishes anything at all."""
    return unit.connection.execute(select(wish.c.party).limit(1)).first() is not None


def _routes(
    unit: UnitOfWork, party: PartyId, condition: ColumnElement[bool]
) -> dict[str, Any] | None:
    found: dict[str, Any] | None = unit.connection.execute(
        select(disclosure_route.c.routes).where(disclosure_route.c.party == party, condition)
    ).scalar_one_or_none()
    return found


def _upsert(
    unit: UnitOfWork, table: Table, key: dict[str, object], values: dict[str, object]
) -> None:
    insert = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    unit.connection.execute(
        insert(table)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=values)
    )


def _representation(row: Row[Any]) -> Representation:
    return Representation(
        row.subject,
        PartyId(row.party),
        row.method,
        row.since,
        row.expires_at,
        None if row.challenger is None else PartyId(row.challenger),
        row.challenged_at,
    )


def _wish(row: Row[Any]) -> StoredWish:
    return StoredWish(
        PartyId(row.party), row.subject, row.basis, from_plain(row.wishes), row.made_at
    )

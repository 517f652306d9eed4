"""The age recipients of parties: to whom something can be sealed so that only they open it.

A recipient serves its own party, which then fetches artefacts sealed to it. When its party makes it
findable, others find it by the party's exact handle and can lodge sealed cases for it; a party
without a findable one is answered like one that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyrage
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access.grants import Grantee
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId, PrincipalId
from clearhold.parties.tables import party, party_recipient
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import age

MOST_OF_A_PARTY: Final = 32


@dataclass(frozen=True, slots=True)
class Recipient:
    """A party's X25519 recipient; its people compare `fingerprint` out of band."""

    party: PartyId
    fingerprint: str
    recipient: str
    findable: bool
    added_at: datetime
    grantee: Grantee


class RecipientService:
    """The register of recipients."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add(self, actor: Actor, recipient: str, *, findable: bool) -> Recipient:
        """Register a recipient of the actor's party, or change whether others find it.

        Raises `InvalidError` for what is none and `ConflictError` when the party has too many.
        """
        actor.need(Permission.PARTIES_KEYS)
        fingerprint = age.fingerprint(recipient)
        try:
            pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise InvalidError(
                "That is no age recipient: its check sum does not fit.",
                next_step="Copy the whole line that begins with age1.",
            ) from error
        with self._sessions.transaction() as unit:
            own = {each.fingerprint for each in _standing(unit, actor.party)}
            if fingerprint not in own and len(own) >= MOST_OF_A_PARTY:
                raise ConflictError(
                    f"A party has at most {MOST_OF_A_PARTY} recipients.",
                    next_step="Withdraw one that is no longer used.",
                )
            values = {
                "findable": findable,
                "added_by": actor.principal,
                "added_at": unit.now,
                "withdrawn_at": None,
            }
            insert = (
                sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
            )
            unit.connection.execute(
                insert(party_recipient)
                .values(party=actor.party, fingerprint=fingerprint, recipient=recipient, **values)
                .on_conflict_do_update(index_elements=["party", "fingerprint"], set_=values)
            )
            unit.record(
                "parties:recipient:add",
                actor=actor.principal,
                subject=actor.party,
                detail={"fingerprint": fingerprint, "findable": str(findable).lower()},
            )
            return Recipient(actor.party, fingerprint, recipient, findable, unit.now, acting(actor))

    def withdraw(self, actor: Actor, fingerprint: str) -> None:
        """Seal nothing more to a recipient of the actor's party. Raises `NotFoundError`."""
        actor.need(Permission.PARTIES_KEYS)
        with self._sessions.transaction() as unit:
            changed = unit.connection.execute(
                update(party_recipient)
                .where(
                    party_recipient.c.party == actor.party,
                    party_recipient.c.fingerprint == fingerprint,
                    party_recipient.c.withdrawn_at.is_(None),
                )
                .values(withdrawn_at=unit.now)
            )
            if not changed.rowcount:
                raise absent()
            unit.record(
                "parties:recipient:withdraw",
                actor=actor.principal,
                subject=actor.party,
                detail={"fingerprint": fingerprint},
            )

    def own(self, actor: Actor) -> tuple[Recipient, ...]:
        """The recipients of the actor's party, oldest first."""
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            return _standing(unit, actor.party)

    def of(self, actor: Actor, handle: str) -> tuple[Recipient, ...]:
        """The recipients of a party that the actor may find, by its exact handle.

        Raises `NotFoundError`.
        """
        actor.need(Permission.CASES_SEAL)
        with self._sessions.transaction() as unit:
            found = tuple(
                each
                for each in by_handle(unit, handle)
                if each.findable or each.party == actor.party
            )
        if not found:
            raise absent()
        return found

    def seal(self, actor: Actor, fingerprint: str, content: bytes) -> bytes:
        """Encrypt `content`, already released to the actor, to a recipient of its own party.

        Raises `NotFoundError` for any other recipient.
        """
        with self._sessions.transaction() as unit:
            chosen = self._own_one(unit, actor, fingerprint)
            unit.record(
                "parties:recipient:seal",
                actor=actor.principal,
                subject=actor.party,
                detail={"fingerprint": fingerprint},
            )
        key = pyrage.x25519.Recipient.from_str(chosen.recipient)
        sealed: bytes = pyrage.encrypt(content, [key])
        return sealed

    def check(self, actor: Actor, fingerprint: str) -> None:
        """Raise `NotFoundError` unless the actor's party has that recipient."""
        with self._sessions.transaction() as unit:
            self._own_one(unit, actor, fingerprint)

    def _own_one(self, unit: UnitOfWork, actor: Actor, fingerprint: str) -> Recipient:
        for each in _standing(unit, actor.party):
            if each.fingerprint == fingerprint:
                return each
        raise absent()


def by_handle(unit: UnitOfWork, handle: str) -> tuple[Recipient, ...]:
    """The recipients of the party of that handle, findable or not: for services alone."""
    identity = unit.connection.execute(
        select(party.c.id).where(party.c.handle == handle)
    ).scalar_one_or_none()
    return () if identity is None else _standing(unit, PartyId(identity))


def acting(actor: Actor) -> Grantee:
    """Whom a sealed case is opened to when it names the actor.

    A coordinator is read in by name, so that no colleague sees the case; else it is the party.
    """
    return _grantee(actor.party, actor.kind, actor.principal)


def absent() -> NotFoundError:
    """What is answered for a recipient that is not there, or not for the asker."""
    return NotFoundError(
        "There is no such recipient.",
        next_step="Check the handle and fingerprint; a party must have made its recipient findable.",
    )


def _standing(unit: UnitOfWork, owner: PartyId) -> tuple[Recipient, ...]:
    rows = unit.connection.execute(
        select(party_recipient, party.c.kind)
        .join(party, party.c.id == party_recipient.c.party)
        .where(party_recipient.c.party == owner, party_recipient.c.withdrawn_at.is_(None))
        .order_by(party_recipient.c.added_at, party_recipient.c.fingerprint)
    )
    return tuple(
        Recipient(
            owner,
            row.fingerprint,
            row.recipient,
            row.findable,
            row.added_at,
            _grantee(owner, PartyKind(row.kind), PrincipalId(row.added_by)),
        )
        for row in rows
    )


def _grantee(owner: PartyId, kind: PartyKind, principal: PrincipalId) -> Grantee:
    return Grantee(owner, principal if kind is PartyKind.COORDINATOR else None)

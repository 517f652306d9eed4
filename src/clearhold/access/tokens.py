"""API tokens: `ch_<id>_<secret>`, shown once, kept as a keyed hash, expiring and revocable."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, select, update

from clearhold.access import opaque
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.access.standing import STANDING, opening, permissions_now, permissions_of
from clearhold.access.tables import allowance, principal, token
from clearhold.kernel.errors import InvalidError, NotFoundError, UnauthenticatedError
from clearhold.kernel.ids import PartyId, PersonId, PrincipalId, TokenId, new_id
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import UnitOfWork

PREFIX: Final = "ch"
LONGEST_LIFE: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token; `secret` is shown to its owner once and kept nowhere."""

    id: TokenId
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as its owner and the admins of its party see it, without its secret."""

    id: TokenId
    owner: PrincipalId
    party: PartyId
    owner_name: str
    permissions: tuple[str, ...]
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_on: date | None


class Tokens:
    """Issues, checks and revokes API tokens."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def issue(
        self,
        unit: UnitOfWork,
        owner: PrincipalId,
        *,
        life: timedelta,
        by: str,
        permissions: Iterable[Permission] | None = None,
    ) -> IssuedToken:
        """Make a token for a principal; without `permissions` it holds all its roles give.

        Raises `NotFoundError` for an unknown principal and `InvalidError` for a life that is not
        positive or longer than `LONGEST_LIFE`, or a permission its roles do not give.
        """
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise InvalidError(
                "A token lives between a moment and 366 days.", next_step="Choose a shorter life."
            )
        row = unit.connection.execute(
            select(*STANDING).where(principal.c.id == owner, principal.c.ended_at.is_(None))
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such principal.")
        available = permissions_of(row)
        chosen = available if permissions is None else frozenset(permissions)
        if not chosen <= available:
            raise InvalidError("A token may not allow what its holder may not do.")
        identity = TokenId(new_id(unit.now))
        secret = opaque.mint()
        unit.connection.execute(
            insert(token).values(
                id=identity,
                principal=owner,
                secret_hash=self._hash(identity, secret),
                permissions=sorted(chosen),
                made_at=unit.now,
                expires_at=unit.now + life,
            )
        )
        unit.record("access:token:issue", actor=by, subject=identity)
        return IssuedToken(identity, opaque.write(PREFIX, identity, secret))

    def authenticate(self, unit: UnitOfWork, presented: str) -> Actor:
        """Who holds this token. Raises `UnauthenticatedError`, the same for every cause."""
        refusal = UnauthenticatedError(
            "The token is not valid.", next_step="Ask your coordinator for a new token."
        )
        read = opaque.read(PREFIX, presented)
        if read is None:
            raise refusal
        identity = TokenId(read.id)
        rows = unit.connection.execute(
            select(
                token.c.secret_hash,
                token.c.permissions,
                token.c.expires_at,
                token.c.revoked_at,
                token.c.first_used_at,
                token.c.last_used_on,
                principal.c.ended_at,
                *STANDING,
                *opening(unit.now),
            )
            .join(principal, token.c.principal == principal.c.id)
            .outerjoin(allowance, allowance.c.party == principal.c.party)
            .where(token.c.id == identity)
        ).all()
        row = rows[0] if rows else None
        expected = bytes(row.secret_hash) if row else bytes(32)
        if not hmac.compare_digest(expected, self._hash(identity, read.secret)) or row is None:
            raise refusal
        if row.revoked_at or row.ended_at or row.expires_at <= unit.now:
            raise refusal
        today = unit.now.date().isoformat()
        if row.last_used_on != today:  # one write a day, not one for each request
            unit.connection.execute(
                update(token)
                .where(token.c.id == identity)
                .values(first_used_at=row.first_used_at or unit.now, last_used_on=today)
            )
        return Actor(
            PrincipalId(row.principal),
            PartyId(row.party),
            PartyKind(row.kind),
            permissions_now(rows).intersection(row.permissions),
            None if row.person is None else PersonId(row.person),
        )

    def revoke(self, unit: UnitOfWork, identity: TokenId, *, by: str) -> None:
        """End a token at once; one that was revoked before stays as it is."""
        changed = unit.connection.execute(
            update(token)
            .where(token.c.id == identity, token.c.revoked_at.is_(None))
            .values(revoked_at=unit.now)
        )
        if changed.rowcount:
            unit.record("access:token:revoke", actor=by, subject=identity)

    def of_principal(self, unit: UnitOfWork, owner: PrincipalId) -> tuple[KnownToken, ...]:
        """The tokens of one principal, newest first."""
        return _known(unit, token.c.principal == owner)

    def of_party(self, unit: UnitOfWork, party: PartyId) -> tuple[KnownToken, ...]:
        """The tokens of everyone who acts for a party, newest first."""
        return _known(unit, principal.c.party == party)

    def one(self, unit: UnitOfWork, identity: TokenId) -> KnownToken | None:
        """One token, whoever asks: for services, never for an answer to a caller."""
        return next(iter(_known(unit, token.c.id == identity)), None)

    def _hash(self, identity: TokenId, secret: str) -> bytes:
        return self._ring.keyed_hash("token", f"{identity}:{secret}".encode())


def _known(unit: UnitOfWork, wanted: ColumnElement[bool]) -> tuple[KnownToken, ...]:
    rows = unit.connection.execute(
        select(token, principal.c.party, principal.c.name)
        .join(principal, token.c.principal == principal.c.id)
        .where(wanted)
        .order_by(token.c.id.desc())
        .limit(500)
    )
    return tuple(map(_token, rows))


def _token(row: Row[Any]) -> KnownToken:
    return KnownToken(
        TokenId(row.id),
        PrincipalId(row.principal),
        PartyId(row.party),
        row.name,
        tuple(row.permissions),
        row.made_at,
        row.expires_at,
        row.revoked_at,
        None if row.last_used_on is None else date.fromisoformat(row.last_used_on),
    )

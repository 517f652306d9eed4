"""API tokens: `ch_<id>_<secret>`, shown once, kept as a keyed hash, expiring and revocable."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import insert, select, update

from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission, held
from clearhold.access.tables import principal, token
from clearhold.kernel.errors import InvalidError, NotFoundError, UnauthenticatedError
from clearhold.kernel.ids import PartyId, PersonId, PrincipalId, TokenId, new_id
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import UnitOfWork

_FORM: Final = re.compile(r"ch_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
LONGEST_LIFE: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token; `secret` is shown to its owner once and kept nowhere."""

    id: TokenId
    secret: str = field(repr=False)


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
            select(principal.c.kind, principal.c.roles).where(
                principal.c.id == owner, principal.c.ended_at.is_(None)
            )
        ).one_or_none()
        if row is None:
            raise NotFoundError("There is no such principal.")
        available = _held(row.kind, row.roles)
        chosen = available if permissions is None else frozenset(permissions)
        if not chosen <= available:
            raise InvalidError("A token may not allow what its holder may not do.")
        identity = TokenId(new_id(unit.now))
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
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
        return IssuedToken(identity, f"ch_{uuid.UUID(identity).hex}_{secret}")

    def authenticate(self, unit: UnitOfWork, presented: str) -> Actor:
        """Who holds this token. Raises `UnauthenticatedError`, the same for every cause."""
        refusal = UnauthenticatedError(
            "The token is not valid.", next_step="Ask your coordinator for a new token."
        )
        match = _FORM.fullmatch(presented)
        if match is None:
            raise refusal
        identity = TokenId(str(uuid.UUID(match[1])))
        row = unit.connection.execute(
            select(
                token.c.secret_hash,
                token.c.permissions,
                token.c.expires_at,
                token.c.revoked_at,
                token.c.first_used_at,
                principal.c.id,
                principal.c.party,
                principal.c.kind,
                principal.c.roles,
                principal.c.person,
                principal.c.ended_at,
            )
            .join(principal, token.c.principal == principal.c.id)
            .where(token.c.id == identity)
        ).one_or_none()
        expected = bytes(row.secret_hash) if row else bytes(32)
        if not hmac.compare_digest(expected, self._hash(identity, match[2])) or row is None:
            raise refusal
        if row.revoked_at or row.ended_at or row.expires_at <= unit.now:
            raise refusal
        if row.first_used_at is None:
            unit.connection.execute(
                update(token).where(token.c.id == identity).values(first_used_at=unit.now)
            )
        return Actor(
            PrincipalId(row.id),
            PartyId(row.party),
            PartyKind(row.kind),
            _held(row.kind, row.roles).intersection(row.permissions),
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

    def _hash(self, identity: TokenId, secret: str) -> bytes:
        return self._ring.keyed_hash("token", f"{identity}:{secret}".encode())


def _held(kind: str, roles: Iterable[str]) -> frozenset[Permission]:
    return held(PartyKind(kind), map(MemberRole, roles))

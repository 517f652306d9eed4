"""Ceremonies: one attempt to sign in, confirm or enrol, bound to one browser, good for one answer.

What must be unpredictable in an attempt (a WebAuthn challenge, a nonce, a PKCE verifier) is derived
from its id under the key ring, so that a copied database tells none of it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, insert, select, update

from clearhold.access import opaque
from clearhold.access.tables import ceremony
from clearhold.kernel.errors import UnauthenticatedError
from clearhold.kernel.ids import BrowserSessionId, CeremonyId, EnrolmentId, ProviderId, new_id
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions, UnitOfWork

PREFIX: Final = "cc"
LIFE: Final = timedelta(minutes=10)


class Kind(StrEnum):
    """What an attempt is for."""

    ADD_PASSKEY = "add-passkey"
    CONFIRM = "confirm"
    ENROL = "enrol"
    LINK = "link"
    PROVIDER = "provider"
    SIGN_IN = "sign-in"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """An attempt that has begun; `cookie` binds it to the browser it began in."""

    id: CeremonyId
    session: BrowserSessionId | None
    enrolment: EnrolmentId | None
    provider: ProviderId | None
    challenge: bytes = field(repr=False)
    cookie: str = field(default="", repr=False)


class Ceremonies:
    """Begins attempts and takes each answer once."""

    def __init__(self, sessions: Sessions, ring: KeyRing) -> None:
        self._sessions = sessions
        self._ring = ring

    def begin(
        self,
        unit: UnitOfWork,
        kind: Kind,
        *,
        session: BrowserSessionId | None = None,
        enrolment: EnrolmentId | None = None,
        provider: ProviderId | None = None,
    ) -> Ceremony:
        """Begin an attempt; those that ran out are forgotten."""
        unit.connection.execute(delete(ceremony).where(ceremony.c.expires_at <= unit.now))
        identity = CeremonyId(new_id(unit.now))
        secret = opaque.mint()
        unit.connection.execute(
            insert(ceremony).values(
                id=identity,
                kind=kind,
                secret_hash=self._hash(identity, secret),
                session=session,
                enrolment=enrolment,
                provider=provider,
                expires_at=unit.now + LIFE,
            )
        )
        cookie = opaque.write(PREFIX, identity, secret)
        challenge = self.derived(identity, "challenge")
        return Ceremony(identity, session, enrolment, provider, challenge, cookie)

    def take(self, cookie: str, kind: Kind, *, session: BrowserSessionId | None = None) -> Ceremony:
        """The attempt of this browser, which is used up by it, whatever comes of the answer.

        Raises `UnauthenticatedError`, the same for every cause.
        """
        refusal = UnauthenticatedError(
            "This attempt is over or began elsewhere.", next_step="Begin again."
        )
        read = opaque.read(PREFIX, cookie)
        if read is None:
            raise refusal
        # In a transaction of its own: a refused answer must not give the attempt back.
        with self._sessions.transaction() as unit:
            row = unit.connection.execute(
                select(ceremony).where(
                    ceremony.c.id == read.id,
                    ceremony.c.kind == kind,
                    ceremony.c.expires_at > unit.now,
                )
            ).one_or_none()
            identity = CeremonyId(read.id)
            expected = bytes(row.secret_hash) if row else bytes(32)
            known = hmac.compare_digest(expected, self._hash(identity, read.secret))
            if not known or row is None or row.session != session:
                raise refusal
            taken = unit.connection.execute(
                update(ceremony)
                .where(ceremony.c.id == identity, ceremony.c.used_at.is_(None))
                .values(used_at=unit.now)
            )
            if not taken.rowcount:
                raise refusal
        return Ceremony(
            identity,
            session,
            None if row.enrolment is None else EnrolmentId(row.enrolment),
            None if row.provider is None else ProviderId(row.provider),
            self.derived(identity, "challenge"),
        )

    def derived(self, identity: CeremonyId, purpose: str) -> bytes:
        """32 bytes that nobody can tell who has not the key ring."""
        return self._ring.keyed_hash(f"ceremony:{purpose}", identity.encode())

    def _hash(self, identity: CeremonyId, secret: str) -> bytes:
        return self._ring.keyed_hash("ceremony", f"{identity}:{secret}".encode())

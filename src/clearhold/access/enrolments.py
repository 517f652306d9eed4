"""Enrolments: a secret, shown once, with which a person gets their first passkey or token.

`ce_<id>_<secret>`, kept as a keyed hash, good once and until it expires. The enrolment of a recovery
opens later, and takes every older credential of the person away when it is used.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update

from clearhold.access import browser_sessions, members, opaque
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.access.standing import unlimited
from clearhold.access.tables import (
    enrolment,
    oidc_identity,
    passkey,
    principal,
    recovery,
    token,
)
from clearhold.access.tokens import IssuedToken, Tokens
from clearhold.kernel.errors import ConflictError, DeniedError, UnauthenticatedError
from clearhold.kernel.ids import EnrolmentId, PersonId, PrincipalId, new_id
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions, UnitOfWork

PREFIX: Final = "ce"
LIFE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class IssuedEnrolment:
    """A fresh enrolment; `secret` is shown once and kept nowhere."""

    id: EnrolmentId
    opens_at: datetime
    expires_at: datetime
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Whom an enrolment lets in."""

    id: EnrolmentId
    principal: PrincipalId
    person: PersonId


class Enrolments:
    """Issues, checks and uses up enrolments."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def issue(
        self,
        unit: UnitOfWork,
        member: PrincipalId,
        person: PersonId,
        *,
        by: str,
        wait: timedelta = timedelta(0),
    ) -> IssuedEnrolment:
        """Make an enrolment for a member; earlier ones of the person end."""
        revoke_of_person(unit, person)
        identity = EnrolmentId(new_id(unit.now))
        secret = opaque.mint()
        opens_at = unit.now + wait
        expires_at = opens_at + LIFE
        unit.connection.execute(
            insert(enrolment).values(
                id=identity,
                principal=member,
                person=person,
                secret_hash=self._hash(identity, secret),
                made_by=by,
                made_at=unit.now,
                opens_at=opens_at,
                expires_at=expires_at,
            )
        )
        unit.record("access:enrolment:issue", actor=by, subject=identity, detail={"member": member})
        return IssuedEnrolment(
            identity, opens_at, expires_at, opaque.write(PREFIX, identity, secret)
        )

    def find(self, unit: UnitOfWork, presented: str) -> Enrolment:
        """Whom this secret lets in, without using it up.

        Raises `UnauthenticatedError`, the same for every cause, and `ConflictError` to whoever has
        the right secret before it opens.
        """
        read = opaque.read(PREFIX, presented)
        if read is None:
            raise refusal()
        expected = unit.connection.execute(
            select(enrolment.c.secret_hash).where(enrolment.c.id == read.id)
        ).scalar_one_or_none()
        shown = self._hash(EnrolmentId(read.id), read.secret)
        if not hmac.compare_digest(expected or bytes(32), shown) or expected is None:
            raise refusal()
        return self.known(unit, EnrolmentId(read.id))

    def known(self, unit: UnitOfWork, identity: EnrolmentId) -> Enrolment:
        """Whom an enrolment lets in now, after its secret was seen; raises as `find` does."""
        row = unit.connection.execute(
            select(enrolment)
            .join(principal, enrolment.c.principal == principal.c.id)
            .where(
                enrolment.c.id == identity,
                enrolment.c.used_at.is_(None),
                enrolment.c.revoked_at.is_(None),
                enrolment.c.expires_at > unit.now,
                principal.c.ended_at.is_(None),
            )
        ).one_or_none()
        if row is None:
            raise refusal()
        if row.opens_at > unit.now:
            raise ConflictError(
                "This recovery waits, so that whoever it concerns can object.",
                next_step=f"Come back at {row.opens_at:%Y-%m-%d %H:%M} UTC.",
            )
        return Enrolment(identity, PrincipalId(row.principal), PersonId(row.person))

    def use(self, unit: UnitOfWork, identity: EnrolmentId) -> Enrolment:
        """Use an enrolment up; one of a recovery ends every older credential. Raises as `find`."""
        found = self.known(unit, identity)
        taken = unit.connection.execute(
            update(enrolment)
            .where(
                enrolment.c.id == identity,
                enrolment.c.used_at.is_(None),
                enrolment.c.revoked_at.is_(None),
            )
            .values(used_at=unit.now)
        )
        if not taken.rowcount:
            raise refusal()
        unit.record("access:enrolment:use", actor=found.principal, subject=identity)
        of_recovery = unit.connection.execute(
            select(recovery.c.id).where(recovery.c.enrolment == identity)
        ).scalar_one_or_none()
        if of_recovery is not None:
            end_credentials(unit, found.person, by=of_recovery)
        return found

    def _hash(self, identity: EnrolmentId, secret: str) -> bytes:
        return self._ring.keyed_hash("enrolment", f"{identity}:{secret}".encode())


class EnrolmentService:
    """Enrolling with a token, and going on from a token to a first passkey."""

    def __init__(self, sessions: Sessions, enrolments: Enrolments, tokens: Tokens) -> None:
        self._sessions = sessions
        self._enrolments = enrolments
        self._tokens = tokens

    def redeem_for_token(self, presented: str, *, life: timedelta) -> IssuedToken:
        """Use an enrolment up for a token of its member, for whoever works without a browser.

        Raises `UnauthenticatedError`, the same for every cause, and `ConflictError` before it opens
        or where a party demands its own provider.
        """
        with self._sessions.transaction() as unit:
            found = self._enrolments.use(unit, self._enrolments.find(unit, presented).id)
            if all(
                each.id != found.principal
                for each in browser_sessions.memberships(unit, found.person, None)
            ):
                raise ConflictError(
                    "Your party demands that you sign in with its own provider.",
                    next_step="Register a passkey with this secret at /enrol, then link it there.",
                )
            return self._tokens.issue(unit, found.principal, life=life, by=found.principal)

    def issue_own(self, actor: Actor) -> IssuedEnrolment:
        """An enrolment for whoever has only tokens yet, to register a first passkey.

        Raises `DeniedError` for a service account, for a token that allows less than its owner may
        do and for who acts for several parties, and `ConflictError` for who has a passkey: that one adds the next.
        """
        actor.need(Permission.ACCOUNT_WRITE)
        if actor.person is None:
            raise DeniedError("A service account has no passkeys.")
        with self._sessions.transaction() as unit:
            if not unlimited(unit, actor):
                raise limited()
            if len(members.of_person(unit, actor.person)) > 1:
                # A passkey opens all of them, and this credential is of one.
                raise DeniedError(
                    "You act for several parties, and a token is of one of them.",
                    next_step="Ask two coordinators for recovery to get your first passkey.",
                )
            known = select(passkey.c.id).where(passkey.c.person == actor.person)
            if unit.connection.execute(known).first() is not None:
                raise ConflictError(
                    "You have a passkey.", next_step="Sign in with it and add the next one there."
                )
            return self._enrolments.issue(unit, actor.principal, actor.person, by=actor.principal)


def limited() -> DeniedError:
    """The refusal of a credential that allows less than its owner may do."""
    return DeniedError(
        "A credential that is limited cannot make one that is not.",
        next_step="Use a token that allows all you may do, or confirm your session.",
    )


def end_credentials(unit: UnitOfWork, person: PersonId, *, by: str) -> None:
    """End everything a person shows who they are with: passkeys, identities, sessions and tokens."""
    browser_sessions.end_of_person(unit, person, by=by)
    for table, action in ((passkey, "passkey"), (oidc_identity, "identity")):
        gone = unit.connection.scalars(
            delete(table).where(table.c.person == person).returning(table.c.id)
        ).all()
        for each in sorted(gone):
            unit.record(f"access:{action}:remove", actor=by, subject=each)
    mine = select(principal.c.id).where(principal.c.person == person)
    revoked = unit.connection.scalars(
        update(token)
        .where(token.c.principal.in_(mine), token.c.revoked_at.is_(None))
        .values(revoked_at=unit.now)
        .returning(token.c.id)
    ).all()
    for each in sorted(revoked):
        unit.record("access:token:revoke", actor=by, subject=each)
    revoke_of_person(unit, person)


def revoke_of_person(unit: UnitOfWork, person: PersonId) -> None:
    """End the enrolments of a person that were not used."""
    unit.connection.execute(
        update(enrolment)
        .where(
            enrolment.c.person == person,
            enrolment.c.used_at.is_(None),
            enrolment.c.revoked_at.is_(None),
        )
        .values(revoked_at=unit.now)
    )


def refusal() -> UnauthenticatedError:
    """The one answer to every enrolment that lets nobody in."""
    return UnauthenticatedError(
        "The enrolment is not valid.", next_step="Ask whoever gave it to you for a new one."
    )

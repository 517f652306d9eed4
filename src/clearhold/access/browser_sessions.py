"""Sessions of browsers: an opaque cookie, kept as a keyed hash, for one person and one membership.

A session is idle after two hours and over after twelve. It is *confirmed* for ten minutes after its
person showed a passkey and was verified by it; what is under embargo needs that.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, insert, select, update

from clearhold.access import members, opaque
from clearhold.access.members import Member
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.access.standing import STANDING, opening, permissions_now
from clearhold.access.tables import allowance, oidc_provider, principal
from clearhold.access.tables import browser_session as session
from clearhold.kernel.errors import NotFoundError, StepUpError, UnauthenticatedError
from clearhold.kernel.ids import (
    BrowserSessionId,
    PartyId,
    PersonId,
    PrincipalId,
    ProviderId,
    new_id,
)
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import UnitOfWork

PREFIX: Final = "cs"
IDLE: Final = timedelta(hours=2)
LONGEST: Final = timedelta(hours=12)
CONFIRMED: Final = timedelta(minutes=10)
_SEEN: Final = timedelta(minutes=1)
_LONGEST_AGENT: Final = 200


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its browser gets it: `cookie` is kept nowhere else."""

    id: BrowserSessionId
    cookie: str = field(repr=False)
    chosen: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose session a cookie stands for; `actor` is None until a membership is chosen."""

    session: BrowserSessionId
    person: PersonId
    provider: ProviderId | None
    actor: Actor | None
    confirmed: bool
    csrf: str = field(repr=False)

    def need_confirmed(self) -> None:
        """Raise `StepUpError` unless the person showed a passkey within the last minutes."""
        if not self.confirmed:
            raise StepUpError("This changes how you sign in and needs a fresh confirmation.")

    @property
    def name(self) -> str:
        """Who stands in the ledger: the membership, or the person who has chosen none yet."""
        return self.person if self.actor is None else self.actor.principal


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session as its owner sees it."""

    id: BrowserSessionId
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


class BrowserSessions:
    """Opens, checks, confirms and ends sessions."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def open(
        self,
        unit: UnitOfWork,
        person: PersonId,
        *,
        agent: str,
        confirmed: bool,
        provider: ProviderId | None = None,
    ) -> OpenSession:
        """Begin a session of a person; a single membership is chosen at once.

        Where every party of theirs demands its provider, a passkey opens a session that acts for
        nobody: in it they link what that provider calls them. Raises `UnauthenticatedError` for a
        person who may act for nobody at all, or not through this provider.
        """
        open_to = memberships(unit, person, provider)
        if not open_to and (provider is not None or not members.of_person(unit, person)):
            raise UnauthenticatedError(
                "There is no party you may act for with this way of signing in.",
                next_step="Sign in as your party demands, or ask an admin of it.",
            )
        chosen = open_to[0].id if len(open_to) == 1 else None
        identity = BrowserSessionId(new_id(unit.now))
        secret = opaque.mint()
        unit.connection.execute(
            insert(session).values(
                id=identity,
                person=person,
                principal=chosen,
                provider=provider,
                secret_hash=self._hash(identity, secret),
                agent="".join(each for each in agent if each.isprintable())[:_LONGEST_AGENT],
                made_at=unit.now,
                seen_at=unit.now,
                expires_at=unit.now + LONGEST,
                confirmed_at=unit.now if confirmed else None,
            )
        )
        detail = {"by": "passkey" if provider is None else provider}
        unit.record("access:session:open", actor=chosen or person, subject=identity, detail=detail)
        return OpenSession(
            identity, opaque.write(PREFIX, identity, secret), chosen=chosen is not None
        )

    def authenticate(self, unit: UnitOfWork, presented: str) -> SignedIn:
        """Whose session this is. Raises `UnauthenticatedError`, the same for every cause."""
        read = opaque.read(PREFIX, presented)
        if read is None:
            raise _refusal()
        rows = unit.connection.execute(
            select(
                session.c.secret_hash,
                session.c.person.label("who"),
                session.c.provider,
                session.c.seen_at,
                session.c.confirmed_at,
                principal.c.ended_at,
                *STANDING,
                *opening(unit.now),
            )
            .join(principal, session.c.principal == principal.c.id, isouter=True)
            .outerjoin(allowance, allowance.c.party == principal.c.party)
            .where(session.c.id == read.id, _alive(unit.now))
        ).all()
        row = rows[0] if rows else None
        identity = BrowserSessionId(read.id)
        expected = bytes(row.secret_hash) if row else bytes(32)
        if not hmac.compare_digest(expected, self._hash(identity, read.secret)) or row is None:
            raise _refusal()
        if row.ended_at is not None:
            raise _refusal()
        if unit.now - row.seen_at >= _SEEN:
            unit.connection.execute(
                update(session).where(session.c.id == identity).values(seen_at=unit.now)
            )
        confirmed = row.confirmed_at is not None and unit.now - row.confirmed_at < CONFIRMED
        return SignedIn(
            session=identity,
            person=PersonId(row.who),
            provider=None if row.provider is None else ProviderId(row.provider),
            actor=_actor(rows, stepped_up=confirmed),
            confirmed=confirmed,
            csrf=opaque.text_of(self._ring.keyed_hash("csrf", identity.encode())),
        )

    def confirm(self, unit: UnitOfWork, signed: SignedIn) -> OpenSession:
        """Note that the person was verified just now; the cookie changes."""
        unit.record("access:session:confirm", actor=signed.name, subject=signed.session)
        return self._rotate(unit, signed, confirmed_at=unit.now)

    def choose(self, unit: UnitOfWork, signed: SignedIn, membership: PrincipalId) -> OpenSession:
        """Act for another party from now on; the cookie changes, a confirmation stays.

        Raises `NotFoundError` for a membership that is not the person's or not open this way.
        """
        if all(each.id != membership for each in memberships(unit, signed.person, signed.provider)):
            raise NotFoundError("You have no such membership here.")
        unit.record("access:session:choose", actor=membership, subject=signed.session)
        return self._rotate(unit, signed, principal=membership)

    def end(self, unit: UnitOfWork, person: PersonId, identity: str, *, by: str) -> None:
        """End a session of a person. Raises `NotFoundError`; ending it again changes nothing."""
        if all(each.id != identity for each in _listing(unit, session.c.person == person)):
            raise NotFoundError("You have no such session.")
        _end(unit, session.c.id == identity, by=by)

    def of_person(self, unit: UnitOfWork, person: PersonId) -> tuple[KnownSession, ...]:
        """The sessions of a person that are not over, newest first."""
        return _listing(unit, and_(session.c.person == person, _alive(unit.now)))

    def _rotate(self, unit: UnitOfWork, signed: SignedIn, **values: object) -> OpenSession:
        secret = opaque.mint()
        unit.connection.execute(
            update(session)
            .where(session.c.id == signed.session)
            .values(secret_hash=self._hash(signed.session, secret), **values)
        )
        return OpenSession(
            signed.session,
            opaque.write(PREFIX, signed.session, secret),
            chosen=signed.actor is not None or "principal" in values,
        )

    def _hash(self, identity: BrowserSessionId, secret: str) -> bytes:
        return self._ring.keyed_hash("session", f"{identity}:{secret}".encode())


def memberships(
    unit: UnitOfWork, person: PersonId, provider: ProviderId | None
) -> Sequence[Member]:
    """For which parties a person may act in a session that began this way.

    A party's own provider vouches for its people in that party alone: it could otherwise act as them
    anywhere. Where a party demands its provider, a passkey alone does not open it.
    """
    mine = members.of_person(unit, person)
    if provider is not None:
        of_provider = unit.connection.execute(
            select(oidc_provider.c.party).where(
                oidc_provider.c.id == provider, oidc_provider.c.removed_at.is_(None)
            )
        ).scalar_one_or_none()
        return [each for each in mine if each.party == of_provider]
    closed = unit.connection.scalars(
        select(oidc_provider.c.party).where(
            oidc_provider.c.party.in_([each.party for each in mine]),
            oidc_provider.c.enforced == 1,
            oidc_provider.c.removed_at.is_(None),
        )
    ).all()
    return [each for each in mine if each.party not in closed]


def end_of_person(
    unit: UnitOfWork, person: PersonId, *, by: str, but: BrowserSessionId | None = None
) -> None:
    """End every session of a person, but one if it is named."""
    _end(unit, and_(session.c.person == person, session.c.id != (but or "")), by=by)


def end_of_provider(unit: UnitOfWork, provider: ProviderId, *, by: str) -> None:
    """End the sessions a provider vouched for."""
    _end(unit, session.c.provider == provider, by=by)


def end_without_provider(unit: UnitOfWork, party: PartyId, *, by: str) -> None:
    """End the sessions for a party that no provider vouched for."""
    of_party = select(principal.c.id).where(principal.c.party == party)
    _end(unit, and_(session.c.principal.in_(of_party), session.c.provider.is_(None)), by=by)


def _end(unit: UnitOfWork, wanted: ColumnElement[bool], *, by: str) -> None:
    ended = unit.connection.scalars(
        update(session)
        .where(wanted, session.c.ended_at.is_(None))
        .values(ended_at=unit.now)
        .returning(session.c.id)
    ).all()
    for each in sorted(ended):
        unit.record("access:session:end", actor=by, subject=each)


def _alive(now: datetime) -> ColumnElement[bool]:
    return and_(
        session.c.ended_at.is_(None), session.c.expires_at > now, session.c.seen_at > now - IDLE
    )


def _listing(unit: UnitOfWork, wanted: ColumnElement[bool]) -> tuple[KnownSession, ...]:
    rows = unit.connection.execute(select(session).where(wanted).order_by(session.c.id.desc()))
    return tuple(
        KnownSession(BrowserSessionId(row.id), row.agent, row.made_at, row.seen_at, row.expires_at)
        for row in rows
    )


def _actor(rows: Sequence[Row[Any]], *, stepped_up: bool) -> Actor | None:
    row = rows[0]
    if row.principal is None:
        return None
    return Actor(
        PrincipalId(row.principal),
        PartyId(row.party),
        PartyKind(row.kind),
        permissions_now(rows),
        PersonId(row.who),
        stepped_up,
    )


def _refusal() -> UnauthenticatedError:
    return UnauthenticatedError("The session is over.", next_step="Sign in again.")

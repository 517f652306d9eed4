"""Inviting a person who has an account already, perhaps in another party, to act for this one too.

The person stays one: whoever is recused from a case stays so in every party.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, select, update

from clearhold.access import browser_sessions, members
from clearhold.access.enrolments import limited
from clearhold.access.members import Member
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.access.standing import unlimited
from clearhold.access.tokens import IssuedToken, Tokens
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.ids import InvitationId, PartyId, PrincipalId, new_id
from clearhold.parties import records
from clearhold.parties.tables import invitation
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions

LONGEST_LIFE: Final = timedelta(days=14)
_FORM: Final = re.compile(r"chi_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation without its secret; `member` is who came of it."""

    id: InvitationId
    party: PartyId
    roles: tuple[MemberRole, ...]
    made_by: PrincipalId
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    member: PrincipalId | None


@dataclass(frozen=True, slots=True)
class MadeInvitation:
    """A fresh invitation; `secret` is shown once and kept nowhere."""

    invitation: Invitation
    secret: str = field(repr=False)


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A party sees its own invitations."""
    del now
    return invitation.c.party == actor.party


class InvitationService:
    """Invitations into parties."""

    def __init__(self, sessions: Sessions, ring: KeyRing, tokens: Tokens) -> None:
        self._sessions = sessions
        self._ring = ring
        self._tokens = tokens

    def invite(
        self, actor: Actor, *, roles: Collection[MemberRole], life: timedelta
    ) -> MadeInvitation:
        """Invite one person, whoever brings the secret in time, to act for the actor's party.

        Raises `InvalidError` without a role or for a life out of bounds, and `ConflictError` for
        coordinators, whom nobody invites.
        """
        actor.need(Permission.PARTIES_MEMBERS)
        if actor.kind is PartyKind.COORDINATOR:
            raise ConflictError(
                "Coordinators are added on the hub's own machine alone.",
                next_step="Run clearhold admin found there, with --person.",
            )
        if not roles:
            raise InvalidError("A member has at least one role.", next_step="Choose handler.")
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise InvalidError(f"An invitation lives at most {LONGEST_LIFE.days} days.")
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        with self._sessions.transaction() as unit:
            new = Invitation(
                InvitationId(new_id(unit.now)),
                actor.party,
                tuple(sorted(set(roles))),
                actor.principal,
                unit.now,
                unit.now + life,
                None,
                None,
                None,
            )
            unit.connection.execute(
                insert(invitation).values(
                    id=new.id,
                    party=new.party,
                    roles=list(new.roles),
                    secret_hash=self._hash(new.id, secret),
                    made_by=new.made_by,
                    made_at=new.made_at,
                    expires_at=new.expires_at,
                )
            )
            detail = {"roles": " ".join(new.roles)}
            unit.record(
                "parties:invitation:make", actor=actor.principal, subject=new.id, detail=detail
            )
            return MadeInvitation(new, f"chi_{uuid.UUID(new.id).hex}_{secret}")

    def list(self, actor: Actor) -> tuple[Invitation, ...]:
        """The invitations of the actor's party, newest first."""
        actor.need(Permission.PARTIES_MEMBERS)
        with self._sessions.transaction() as unit:
            rows = unit.connection.execute(
                select(invitation)
                .where(visible_to(actor, unit.now))
                .order_by(invitation.c.id.desc())
                .limit(200)
            )
            return tuple(map(_invitation, rows))

    def revoke(self, actor: Actor, identity: InvitationId) -> None:
        """Take an invitation back; one that was used or taken back stays as it is.

        Raises `NotFoundError`.
        """
        actor.need(Permission.PARTIES_MEMBERS)
        with self._sessions.transaction() as unit:
            there = unit.connection.execute(
                select(invitation.c.id).where(
                    visible_to(actor, unit.now), invitation.c.id == identity
                )
            ).first()
            if there is None:
                raise NotFoundError("There is no such invitation.")
            changed = unit.connection.execute(
                update(invitation)
                .where(
                    invitation.c.id == identity,
                    invitation.c.used_at.is_(None),
                    invitation.c.revoked_at.is_(None),
                )
                .values(revoked_at=unit.now)
            )
            if changed.rowcount:
                unit.record("parties:invitation:revoke", actor=actor.principal, subject=identity)

    def redeem(
        self, actor: Actor, presented: str, *, life: timedelta
    ) -> tuple[Member, IssuedToken | None]:
        """Become a member of the party that invites, as the same person, with a token for it.

        There is no token where the party demands that its people sign in with its own provider.
        Raises `DeniedError` for a service account and for a credential that allows less than its
        owner may do, `NotFoundError`, the same for every cause, when
        the invitation is not valid, and `ConflictError` for who is or was a member there.
        """
        actor.need(Permission.PARTIES_READ)
        if actor.person is None:
            raise DeniedError(
                "Only a person joins a party, and this is a service account.",
                next_step="Use your own token or session.",
            )
        refusal = NotFoundError(
            "The invitation is not valid.", next_step="Ask who sent it for a new one."
        )
        match = _FORM.fullmatch(presented.strip())
        if match is None:
            raise refusal
        identity = InvitationId(str(uuid.UUID(match[1])))
        with self._sessions.transaction() as unit:
            if not unlimited(unit, actor):
                raise limited()
            row = unit.connection.execute(
                select(invitation).where(invitation.c.id == identity).with_for_update()
            ).one_or_none()
            expected = bytes(row.secret_hash) if row is not None else bytes(32)
            good = hmac.compare_digest(expected, self._hash(identity, match[2]))
            if row is None or not good:
                raise refusal
            if row.used_at or row.revoked_at or row.expires_at <= unit.now:
                raise refusal
            party = records.by_id(unit, PartyId(row.party))
            records.hold(unit, party.id)
            there = members.of_party(unit, party.id)
            if any(each.person == actor.person for each in there):
                raise ConflictError(
                    "You are a member of that party, or were one.",
                    next_step="An admin of it adds who comes back as a new member.",
                )
            if all(each.id != row.made_by or each.ended_at for each in there):
                raise refusal  # who invited has left meanwhile
            member = members.add(
                unit,
                party.id,
                party.kind,
                name=members.name_of(unit, actor.person) or "",
                roles=map(MemberRole, row.roles),
                who=actor.person,
                by=actor.principal,
            )
            unit.connection.execute(
                update(invitation)
                .where(invitation.c.id == identity)
                .values(used_at=unit.now, member=member.id)
            )
            unit.record(
                "parties:invitation:redeem",
                actor=actor.principal,
                subject=identity,
                detail={"member": member.id},
            )
            open_to = browser_sessions.memberships(unit, actor.person, None)
            if all(each.id != member.id for each in open_to):
                return member, None
            return member, self._tokens.issue(unit, member.id, life=life, by=actor.principal)

    def _hash(self, identity: InvitationId, secret: str) -> bytes:
        return self._ring.keyed_hash("invitation", f"{identity}:{secret}".encode())


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        InvitationId(row.id),
        PartyId(row.party),
        tuple(map(MemberRole, row.roles)),
        PrincipalId(row.made_by),
        row.made_at,
        row.expires_at,
        row.used_at,
        row.revoked_at,
        None if row.member is None else PrincipalId(row.member),
    )

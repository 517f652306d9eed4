"""Registering parties, their members, tokens and keys."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from clearhold.access import members
from clearhold.access.members import Member
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.access.tokens import IssuedToken, Tokens
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    StepUpError,
)
from clearhold.kernel.ids import PartyId, PrincipalId, new_id
from clearhold.parties import records
from clearhold.parties.agreements import publish_by_default
from clearhold.parties.model import Party, check_name, check_party
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import key_holding

MACHINE: Final = "machine"


class PartyService:
    """The register of parties."""

    def __init__(self, sessions: Sessions, tokens: Tokens) -> None:
        self._sessions = sessions
        self._tokens = tokens

    def register(
        self, actor: Actor, *, handle: str, name: str, kind: PartyKind, sector: str | None = None
    ) -> Party:
        """Register a party; registering the same one again returns it unchanged.

        Raises `ConflictError` when the handle belongs to a different party.
        """
        actor.need(Permission.PARTIES_WRITE)
        with self._sessions.transaction() as unit:
            return _register(unit, handle, name, kind=kind, sector=sector, by=actor.principal)

    def found_hub(
        self, *, handle: str, name: str, person: str, life: timedelta
    ) -> tuple[Party, IssuedToken]:
        """Register the hub's coordinator and one person of it, and issue that person a token.

        The agreements a hub begins with are published, as far as they are not there. Run on the machine itself: for the first person, for each one after, and again when a token
        was lost. Nobody else can add a coordinator, so that none makes up a second person.
        """
        check_name(person)
        with self._sessions.transaction() as unit:
            kind = PartyKind.COORDINATOR
            party = _register(unit, handle, name, kind=kind, sector=None, by=MACHINE)
            publish_by_default(unit, by=MACHINE)
            records.hold(unit, party.id)
            for member in members.of_party(unit, party.id):
                if member.name == person and member.person and member.ended_at is None:
                    break
            else:
                member = members.add(
                    unit,
                    party.id,
                    kind,
                    name=person,
                    roles=(MemberRole.ADMIN, MemberRole.HANDLER),
                    who=members.add_person(unit, person),
                    by=MACHINE,
                )
            return party, self._tokens.issue(unit, member.id, life=life, by=MACHINE)

    def add_member(
        self, actor: Actor, party: PartyId, *, name: str, roles: Collection[MemberRole]
    ) -> Member:
        """Make a person a member of a party: by its admins, of which a coordinator adds the first.

        Raises `NotFoundError` for a party the actor may not see, `InvalidError` for a name that is
        none or no roles, and `ConflictError` when it is not, or no longer, the actor's to do.
        """
        actor.need(Permission.PARTIES_MEMBERS)
        check_name(name)
        if not roles:
            raise InvalidError("A member has at least one role.", next_step="Choose handler.")
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, party)
            records.hold(unit, party)
            _check_own(unit, actor, known)
            return members.add(
                unit,
                party,
                known.kind,
                name=name,
                roles=roles,
                who=members.add_person(unit, name),
                by=actor.principal,
            )

    def members(self, actor: Actor, party: PartyId) -> tuple[Member, ...]:
        """Who acts for a party: for its own members, and for coordinators."""
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            return members.of_party(unit, _seen(unit, actor, party).id)

    def end_member(self, actor: Actor, party: PartyId, member: PrincipalId) -> None:
        """End what a member of the actor's own party may do, at once."""
        actor.need(Permission.PARTIES_MEMBERS)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, party)
            if known.id != actor.party or known.kind is PartyKind.COORDINATOR:
                raise _not_yours()
            members.end(unit, party, member, by=actor.principal)

    def issue_token(
        self,
        actor: Actor,
        party: PartyId,
        *,
        life: timedelta,
        member: PrincipalId | None = None,
        permissions: Collection[Permission] | None = None,
    ) -> IssuedToken:
        """Issue a token to a party's service account, or to one of its members.

        A member issues its own, which never allows more than the credential it was asked with. A
        party's admins issue those of the service account. For anybody else a token is issued only
        until one was used: afterwards it would let the issuer act under another's name.

        Raises `NotFoundError` for a party or member the actor may not see, and `ConflictError` when
        the token is not, or no longer, the actor's to issue.
        """
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, party)
            records.hold(unit, party)
            if member == actor.principal:
                if not actor.stepped_up:
                    raise StepUpError("A token lasts longer than this session.")
                chosen = actor.permissions if permissions is None else set(permissions)
                if not chosen <= actor.permissions:
                    raise DeniedError("A token may not allow more than the one it is asked with.")
                return self._tokens.issue(
                    unit, member, life=life, by=actor.principal, permissions=chosen
                )
            actor.need(Permission.PARTIES_MEMBERS)
            if member is None:
                account = members.service_account(unit, party, known.kind, by=actor.principal)
                member, free = account.id, actor.party == party
            elif actor.party == party and members.belongs(unit, party, member):
                free = False
                if known.kind is PartyKind.COORDINATOR:
                    raise _on_the_machine()
            else:
                raise NotFoundError("The party has no such member.")
            if not free and members.entered_before(unit, member):
                raise ConflictError(
                    "This token is no longer yours to issue: its owner has used one.",
                    next_step="Its owner issues the next one; who lost all access asks for recovery.",
                )
            return self._tokens.issue(
                unit, member, life=life, by=actor.principal, permissions=permissions
            )

    def list(self, actor: Actor) -> tuple[Party, ...]:
        """The parties the actor may see."""
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            return records.listing(unit, actor)

    def add_key(self, actor: Actor, public_key: bytes, signature: bytes) -> str:
        """Register an Ed25519 public key (32 raw bytes) the actor's party signs with.

        `signature` shows that the party holds the private half (`wire.key_holding`). Returns the
        key id: the SHA-256 of the raw key in hexadecimal. Adding it again changes nothing. Raises
        `InvalidError` when nothing is shown, and `ConflictError` when another party signs with
        this very key.
        """
        actor.need(Permission.PARTIES_KEYS)
        key_holding.verify(actor.party, public_key, signature)
        key_id = hashlib.sha256(public_key).hexdigest()
        with self._sessions.transaction() as unit:
            if records.add_key(unit, actor.party, key_id=key_id, public_key=public_key):
                unit.record("parties:key:add", actor=actor.principal, subject=key_id)
            elif key_id not in records.keys_of(unit, actor.party):
                raise ConflictError(
                    "Another party signs with this key.", next_step="Make a key of your own."
                )
        return key_id


def _register(
    unit: UnitOfWork, handle: str, name: str, *, kind: PartyKind, sector: str | None, by: str
) -> Party:
    check_party(handle, name, kind=kind, sector=sector)
    party = Party(PartyId(new_id(unit.now)), handle, name, kind, sector, unit.now)
    if records.add(unit, party):
        unit.record("parties:party:register", actor=by, subject=party.id, detail={"kind": kind})
        return party
    known = records.by_handle(unit, handle)
    if known is None or (known.name, known.kind, known.sector) != (name, kind, sector):
        raise ConflictError(
            "The handle belongs to another party.", next_step="Choose another handle."
        )
    return known


def _seen(unit: UnitOfWork, actor: Actor, party: PartyId) -> Party:
    found = records.listing(unit, actor, party)
    if not found:
        raise NotFoundError("There is no such party.")
    return found[0]


def _check_own(unit: UnitOfWork, actor: Actor, party: Party) -> None:
    """Whether the actor may add members: to its own party, or as coordinator the first one."""
    if party.kind is PartyKind.COORDINATOR:
        raise _on_the_machine()
    if party.id == actor.party:
        return
    if Permission.PARTIES_WRITE not in actor.permissions or any(
        each.person for each in members.of_party(unit, party.id)
    ):
        raise _not_yours()


def _on_the_machine() -> ConflictError:
    # Whoever could make or impersonate a colleague would be two people.
    return ConflictError(
        "Coordinators are added, and get their first token, on the hub's own machine alone.",
        next_step="Run clearhold admin found there, with --person.",
    )


def _not_yours() -> ConflictError:
    return ConflictError(
        "The members of a party are its own to choose.", next_step="Ask an admin of the party."
    )

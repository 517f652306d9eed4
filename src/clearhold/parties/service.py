"""Registering parties, their service accounts and keys."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import insert, select

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.access.tables import principal
from clearhold.access.tokens import IssuedToken, Tokens
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId, PrincipalId, new_id
from clearhold.parties import records
from clearhold.parties.model import Party, check_party
from clearhold.store.unit_of_work import Sessions, UnitOfWork

SERVICE_ACCOUNT = "service"


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

    def found_hub(self, *, handle: str, name: str, life: timedelta) -> tuple[Party, IssuedToken]:
        """Register the first coordinator, from the machine itself, and issue a token.

        It may be run again by whoever holds the machine, for instance when the token was lost.
        """
        with self._sessions.transaction() as unit:
            party = _register(
                unit, handle, name, kind=PartyKind.COORDINATOR, sector=None, by="machine"
            )
            account = _service_account(unit, party)
            return party, self._tokens.issue(unit, account, life=life, by="machine")

    def issue_token(self, actor: Actor, party: PartyId, *, life: timedelta) -> IssuedToken:
        """Issue a token to a party's service account."""
        actor.need(Permission.PARTIES_WRITE)
        with self._sessions.transaction() as unit:
            found = records.listing(unit, actor, party)
            if not found:
                raise NotFoundError("There is no such party.")
            account = _service_account(unit, found[0])
            return self._tokens.issue(unit, account, life=life, by=actor.principal)

    def list(self, actor: Actor) -> tuple[Party, ...]:
        """The parties the actor may see."""
        actor.need(Permission.PARTIES_READ)
        with self._sessions.transaction() as unit:
            return records.listing(unit, actor)

    def add_key(self, actor: Actor, public_key: bytes) -> str:
        """Register an Ed25519 public key (32 raw bytes) the actor's party signs with.

        Returns the key id: the SHA-256 of the raw key in hexadecimal. Adding it again changes
        nothing. Raises `ConflictError` when another party signs with this very key.
        """
        actor.need(Permission.PARTIES_READ)
        try:
            Ed25519PublicKey.from_public_bytes(public_key)
        except ValueError as error:
            raise InvalidError(
                "An Ed25519 public key is 32 bytes.", next_step="Send the raw public key."
            ) from error
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


def _service_account(unit: UnitOfWork, party: Party) -> PrincipalId:
    records.hold(unit, party.id)
    known = unit.connection.execute(
        select(principal.c.id).where(
            principal.c.party == party.id, principal.c.name == SERVICE_ACCOUNT
        )
    ).scalar_one_or_none()
    if known is not None:
        return PrincipalId(known)
    identity = PrincipalId(new_id(unit.now))
    unit.connection.execute(
        insert(principal).values(
            id=identity,
            party=party.id,
            kind=party.kind,
            name=SERVICE_ACCOUNT,
            made_at=unit.now,
        )
    )
    return identity

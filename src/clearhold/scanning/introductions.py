"""Introducing two parties whose scopes met, once both have said that they would be.

The holder of a lease says so of the lease, the asker of its refused claim, and neither is told what
the other said: whoever would not be introduced, and whoever nobody asked about, sees the same. Only
when both are willing do both learn the other's handle, name and the words it left for this.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.ids import LeaseId, PartyId, new_id
from clearhold.parties import records as parties
from clearhold.scanning import claim_records as records
from clearhold.scanning import records as leases
from clearhold.scanning.claim_records import Attempt, StoredIntroduction
from clearhold.scanning.lanes import READER, Lanes
from clearhold.scanning.quota import PLACE
from clearhold.scanning.records import StoredLease
from clearhold.scanning.scopes import SealedScopes
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

LONGEST_CONTACT: Final = 200
MOST_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Introduction:
    """Another party that both have agreed to know of, and how it would be reached."""

    id: str
    made_at: datetime
    handle: str
    name: str
    contact: str


class _Side(msgspec.Struct, frozen=True):
    party: str
    handle: str
    name: str
    contact: str


class Introductions:
    """Keeps who would be introduced, and introduces."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, lanes: Lanes, scopes: SealedScopes
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._lanes = lanes
        self._scopes = scopes

    def of_lease(self, actor: Actor, lease: LeaseId, contact: str | None) -> None:
        """Be introduced to whoever this lease is in the way of and who agrees; not, with None."""
        actor.need(Permission.SCANNING_CLAIM)
        _check(contact)
        with self._sessions.transaction() as unit:
            seen = leases.seen(unit, actor, lease)
            if seen is None:
                raise NotFoundError(
                    "There is no such lease.", next_step="See `clearhold scan list` for yours."
                )
            leases.hold_lane(unit, seen.lane)
            sealed = None
            if contact is not None:
                sealed = self._vault.seal(
                    unit, seen.lease.compartment, place=_of_lease(lease), content=contact.encode()
                )
            leases.set_introduce(unit, lease, sealed)
            held = leases.of_party(unit, actor.party, lease)
            if sealed is None or held is None or held.in_lane is None:
                return
            scope = self._scopes.open(unit, held, reader=READER).scope
            within = self._lanes.compartment(unit, held.lane)
            asked = records.open_to_introduction(unit, held.lane, besides=actor.party)
            rows = [(each.id, each.scope or b"") for each in asked]
            for attempt, other in zip(
                asked, self._lanes.open(unit, within, PLACE, rows), strict=True
            ):
                if other.overlap(scope):
                    self._introduce(unit, held, attempt)

    def of_attempt(self, actor: Actor, attempt: str, contact: str | None) -> None:
        """Be introduced to who stands in the way of a refused claim and agrees; not, with None."""
        actor.need(Permission.SCANNING_CLAIM)
        _check(contact)
        with self._sessions.transaction() as unit:
            found = _asked(records.attempt_of(unit, actor.party, attempt))
            leases.hold_lane(unit, found.lane)
            sight = self._lanes.look(unit, found.lane)
            within = self._lanes.compartment(unit, found.lane)
            sealed = None
            if contact is not None:
                with unit.as_service():
                    sealed = self._vault.seal(
                        unit, within, place=_of_attempt(attempt), content=contact.encode()
                    )
            records.set_introduce(unit, attempt, sealed)
            if sealed is None:
                return
            found = _asked(records.attempt_of(unit, actor.party, attempt))
            rows = [(attempt, found.scope or b"")]
            (scope,) = self._lanes.open(unit, within, PLACE, rows)
            for held in sight.every(unit, scope, among=lambda _entry: True):
                stored = held.stored
                if stored.introduce is not None and stored.lease.party != actor.party:
                    self._introduce(unit, stored, found)

    def list(self, actor: Actor) -> tuple[Introduction, ...]:
        """To whom the actor's party was introduced, the newest first."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            found = records.introductions(unit, actor, limit=MOST_LISTED)
            return tuple(self._view(unit, actor, each) for each in found)

    def _introduce(self, unit: UnitOfWork, held: StoredLease, asked: Attempt) -> None:
        if records.introduced(unit, held.lease.id, asked.id):
            return
        within = self._lanes.compartment(unit, held.lane)
        assert held.introduce is not None and asked.introduce is not None  # noqa: S101,PT018  # both agreed
        with unit.as_service():
            of_holder = self._vault.unseal(
                unit,
                held.lease.compartment,
                place=_of_lease(held.lease.id),
                sealed=held.introduce,
                reader=READER,
            )
            of_asker = self._vault.unseal(
                unit,
                within,
                place=_of_attempt(asked.id),
                sealed=asked.introduce,
                reader=READER,
            )
            sides = [
                self._side(unit, held.lease.party, of_holder),
                self._side(unit, asked.party, of_asker),
            ]
            both = self._vault.open_compartment(unit)
            for party in (held.lease.party, asked.party):
                read_in(unit, both, Grantee(party), tier=0, reason="introduced", granted_by=READER)
            identity = new_id(unit.now)
            body = self._vault.seal(
                unit, both, place=_of_both(identity), content=msgspec.json.encode(sides)
            )
        records.add_introduction(
            unit,
            StoredIntroduction(identity, both, unit.now, body),
            lease_id=held.lease.id,
            attempt_id=asked.id,
        )
        unit.record("scanning:introduction:make", actor=READER, subject=identity, compartment=both)

    def _side(self, unit: UnitOfWork, party: PartyId, contact: bytes) -> _Side:
        known = parties.by_id(unit, party)
        return _Side(party, known.handle, known.name, contact.decode())

    def _view(self, unit: UnitOfWork, actor: Actor, each: StoredIntroduction) -> Introduction:
        content = self._vault.unseal(
            unit,
            each.compartment,
            place=_of_both(each.id),
            sealed=each.body,
            reader=actor.principal,
        )
        sides = msgspec.json.decode(content, type=list[_Side])
        other = next(side for side in sides if side.party != actor.party)
        return Introduction(each.id, each.made_at, other.handle, other.name, other.contact)


def _check(contact: str | None) -> None:
    if contact is None:
        return
    if not 0 < len(contact) <= LONGEST_CONTACT or not contact.isprintable():
        raise InvalidError(
            f"Words for an introduction are 1 to {LONGEST_CONTACT} printable characters.",
            next_step="Say in one line how you would be reached.",
        )


def _asked(attempt: Attempt | None) -> Attempt:
    if attempt is None or attempt.scope is None:
        raise NotFoundError(
            "There is no such claim of yours that met somebody within a day.",
            next_step="Take `attempt` from the refusal of a claim.",
        )
    return attempt


def _of_lease(lease: LeaseId) -> tuple[str, str, str]:
    return ("scan_lease", "introduce", lease)


def _of_attempt(attempt: str) -> tuple[str, str, str]:
    return ("scan_attempt", "introduce", attempt)


def _of_both(identity: str) -> tuple[str, str, str]:
    return ("scan_introduction", "body", identity)

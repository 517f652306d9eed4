"""The emergency stop: it ends every live lease that reaches a target, and reaches every holder.

Each holder has to acknowledge. Until then its heartbeats are answered with the stop, its passports
do not count and it is granted no live lease at all. Who stopped sees how many have not, under the
pseudonyms by which the owner knows them. A stop stands until it is lifted: meanwhile nothing that
reaches its targets is leased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId, new_id
from clearhold.scanning import live_records as records
from clearhold.scanning.authorisations import owned, owns
from clearhold.scanning.live_desk import READER, EndReason, Kind, LiveDesk
from clearhold.scanning.live_records import Notice, StoredLiveLease, StoredStop
from clearhold.scanning.live_scope import make_targets
from clearhold.scanning.live_targets import Target
from clearhold.store.unit_of_work import Sessions, UnitOfWork

LONGEST_REASON: Final = 200
MOST_LISTED: Final = 100


class _Body(msgspec.Struct, frozen=True):
    """What is sealed with a stop; it is for `everybody`, or for scans its maker authorised."""

    targets: tuple[str, ...]
    reason: str
    everybody: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A holder, by the owner's pseudonym, who was told to stop, and when it acknowledged."""

    holder: str
    told_at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop as its maker sees it."""

    id: str
    targets: tuple[str, ...]
    reason: str
    made_at: datetime
    lifted_at: datetime | None
    told: tuple[Told, ...]


class Stops:
    """Knows which stops stand."""

    def __init__(self, desk: LiveDesk) -> None:
        self._desk = desk

    def reach(self, unit: UnitOfWork, targets: Sequence[Target], *, owner: PartyId) -> bool:
        """Whether a stop stands on any of some targets, for scans that `owner` authorised."""
        near = self._desk.near(unit, Kind.STOP, targets)
        for each in records.standing_stops(unit, near):
            body = self.open(unit, each, reader=READER)
            if not body.everybody and each.party != owner:
                continue
            stopped = make_targets(body.targets)
            if any(mine.meets(other) for mine in targets for other in stopped):
                return True
        return False

    def open(self, unit: UnitOfWork, stored: StoredStop, *, reader: str) -> _Body:
        """What a stop reaches and why."""
        if reader == READER:
            with unit.as_service():
                return self._body(unit, stored, reader)
        return self._body(unit, stored, reader)

    def _body(self, unit: UnitOfWork, stored: StoredStop, reader: str) -> _Body:
        content = self._desk.vault.unseal(
            unit,
            stored.compartment,
            place=("live_stop", "body", stored.id),
            sealed=stored.body,
            reader=reader,
        )
        return msgspec.json.decode(content, type=_Body)


class EmergencyService:
    """Where scans are stopped and stops acknowledged."""

    def __init__(self, sessions: Sessions, desk: LiveDesk, stops: Stops) -> None:
        self._sessions = sessions
        self._desk = desk
        self._stops = stops

    def stop(self, actor: Actor, targets: Sequence[str], *, reason: str) -> Stop:
        """End at once every live lease that reaches a target, with its passports.

        An owner ends those under its own authorisations; where it stands for every target, also
        those that somebody else authorised; a coordinator ends any. Until it is lifted, the stop
        stands for as much. Raises `InvalidError`, and `ConflictError` for who has no say.
        """
        actor.need(Permission.SCANNING_STOP)
        if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
            raise InvalidError(f"A reason is one line of 1 to {LONGEST_REASON} characters.")
        about = make_targets(targets)
        with self._sessions.transaction() as unit:
            self._desk.hold(unit)
            everything = actor.kind is PartyKind.COORDINATOR or owns(unit, actor.party, about)
            ended = self._reached(unit, actor, about, everything=everything)
            if not everything and not records.standing_of(unit, actor.party):
                raise ConflictError(
                    "Your party does not stand for these targets, and authorised no scan.",
                    next_step="Withdraw your authorisation, or ask your coordinator to stop them.",
                )
            within = self._desk.vault.open_compartment(unit)
            # Coordinators are read in by name, so that no colleague sees it for being one.
            person = actor.principal if actor.kind is PartyKind.COORDINATOR else None
            read_in(
                unit,
                within,
                Grantee(actor.party, person),
                tier=0,
                reason="stopped it",
                granted_by=READER,
            )
            identity = new_id(unit.now)
            body = _Body(tuple(each.text for each in about), reason, everything)
            sealed = self._desk.vault.seal(
                unit,
                within,
                place=("live_stop", "body", identity),
                content=msgspec.json.encode(body),
            )
            stored = StoredStop(identity, actor.party, within, sealed, unit.now, None)
            records.add_stop(unit, stored)
            self._desk.put_places(unit, identity, Kind.STOP, about)
            unit.record(
                "scanning:live:stop", actor=actor.principal, subject=identity, compartment=within
            )
            self._desk.end(unit, ended, cause=identity, reason=EndReason.EMERGENCY, by=actor)
            return _shown(stored, body, records.notices_of(unit, actor, (identity,)))

    def lift(self, actor: Actor, identity: str) -> None:
        """Let a stop stand no more; nothing it ended comes back. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            stored = _found(unit, actor, identity)
            self._desk.hold(unit)
            if stored.lifted_at is None:
                records.lift(unit, identity)
                unit.record(
                    "scanning:live:lift",
                    actor=actor.principal,
                    subject=identity,
                    compartment=stored.compartment,
                )

    def get(self, actor: Actor, identity: str) -> Stop:
        """A stop of the actor's, with who was told and has acknowledged. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            stored = _found(unit, actor, identity)
            body = self._stops.open(unit, stored, reader=actor.principal)
            return _shown(stored, body, records.notices_of(unit, actor, (identity,)))

    def list(self, actor: Actor) -> tuple[Stop, ...]:
        """The stops the actor's party made, the newest first."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            found = records.stops(unit, actor, limit=MOST_LISTED)
            notices = records.notices_of(unit, actor, [each.id for each in found])
            return tuple(
                _shown(
                    each,
                    self._stops.open(unit, each, reader=actor.principal),
                    [notice for notice in notices if notice.cause == each.id],
                )
                for each in found
            )

    def withdrawal(self, actor: Actor, authorisation: str) -> tuple[Told, ...]:
        """Who was told that an authorisation of the actor's was withdrawn. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            known = owned(unit, actor, authorisation)
            return tuple(map(_told, records.notices_of(unit, actor, (known.id,))))

    def notices(self, actor: Actor) -> tuple[Notice, ...]:
        """What the actor's party was told to stop and has not acknowledged, the oldest first."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            return records.notices_to(unit, actor)

    def acknowledge(self, actor: Actor, identity: str) -> Notice:
        """Say that the scan has stopped; again changes nothing. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            for each in records.notices_to(unit, actor, identity):
                if each.acknowledged_at is None:
                    records.acknowledge(unit, identity)
                    unit.record(
                        "scanning:live:acknowledge", actor=actor.principal, subject=identity
                    )
                return records.notices_to(unit, actor, identity)[0]
        raise NotFoundError(
            "There is no such notice.", next_step="See `clearhold scan live notices`."
        )

    def _reached(
        self, unit: UnitOfWork, actor: Actor, about: Sequence[Target], *, everything: bool
    ) -> tuple[StoredLiveLease, ...]:
        near = records.standing_among(unit, self._desk.near(unit, Kind.LEASE, about))
        if not everything:
            owners = records.owners(unit, {each.authorisation for each in near})
            near = tuple(each for each in near if owners[each.authorisation] == actor.party)
        return tuple(
            each.stored
            for each in self._desk.open_scopes(unit, near)
            if any(mine.meets(other) for mine in about for other in each.scope.targets)
        )


def _found(unit: UnitOfWork, actor: Actor, identity: str) -> StoredStop:
    for each in records.stops(unit, actor, identity, limit=1):
        return each
    raise NotFoundError("There is no such stop.", next_step="See `clearhold scan live stops`.")


def _shown(stored: StoredStop, body: _Body, notices: Sequence[Notice]) -> Stop:
    return Stop(
        stored.id,
        body.targets,
        body.reason,
        stored.made_at,
        stored.lifted_at,
        tuple(map(_told, notices)),
    )


def _told(notice: Notice) -> Told:
    return Told(notice.pseudonym, notice.made_at, notice.acknowledged_at)

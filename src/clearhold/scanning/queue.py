"""Waiting for the next free window, in the order of coming.

Whoever waits is told that it waits, and nothing of who or how many wait or hold. A lease is granted
for as long as `Limits.offer` unless its first heartbeat comes by then. Nobody is served before
somebody who came earlier and wants what overlaps, and no claim overtakes who waits. Answers come from a task and never at once, so
that joining tells no more than a claim would, and places are counted by the day like claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.exc import IntegrityError as BrokenConstraintError

from clearhold.access.allowances import allows
from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import LeaseId, new_id
from clearhold.ports.engine import Task
from clearhold.scanning import claim_records as records
from clearhold.scanning import records as leases
from clearhold.scanning.claim_records import Kind, StoredWait, Waits
from clearhold.scanning.claims import WAIT_PLACE, Claims, Wanted
from clearhold.scanning.lanes import READER, Entered, Lanes
from clearhold.scanning.limits import Limits
from clearhold.scanning.model import Mode, collide
from clearhold.scanning.opt_outs import opted_out
from clearhold.scanning.quota import Quota
from clearhold.scanning.scope import Scope, from_plain
from clearhold.scanning.scopes import SealedContent
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

SERVE: Final = "scanning.queue"
MOST_LISTED: Final = 100
_SLOT: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a queue as its party sees it; `lease` is what came of it."""

    id: str
    state: Waits
    scope: Scope
    mode: Mode
    window: timedelta
    budget_s: int
    joined_at: datetime
    lease: LeaseId | None


class ScanQueue:
    """The queues of all lanes."""

    def __init__(
        self, sessions: Sessions, vault: Vault, *, lanes: Lanes, claims: Claims, limits: Limits
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._lanes = lanes
        self._claims = claims
        self._limits = limits
        self._quota = Quota(lanes, limits)

    def join(
        self,
        actor: Actor,
        scope: Scope,
        *,
        mode: Mode,
        window: timedelta,
        budget_s: int,
        key: str,
    ) -> Place:
        """Wait for a scope. Raises `LimitError` when the party has taken a day's places already."""
        actor.need(Permission.SCANNING_CLAIM)
        wanted = self._claims.wanted(
            actor, scope, mode=mode, window=window, budget_s=budget_s, key=key, waits=True
        )
        if mode is Mode.NOTIFY_ONLY:
            raise InvalidError(
                "Nobody need wait for a notify-only lease.", next_step="Claim it; it is granted."
            )
        try:
            return self._join(actor, wanted)
        except BrokenConstraintError:
            # The same key came in for another package at the same instant.
            return self._join(actor, wanted)

    def leave(self, actor: Actor, place: str) -> Place:
        """Wait no longer; a place that was served or left stays as it is."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            leases.hold_lane(unit, _found(records.wait_seen(unit, actor, place)).lane)
            held = _found(records.wait_seen(unit, actor, place))
            if held.state is Waits.WAITING:
                records.end_wait(unit, place, state=Waits.LEFT)
                unit.record(
                    "scanning:queue:leave",
                    actor=actor.principal,
                    subject=place,
                    compartment=held.compartment,
                )
            return self._view(unit, actor, _found(records.wait_seen(unit, actor, place)))

    def get(self, actor: Actor, place: str) -> Place:
        """One of the actor's own places. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            return self._view(unit, actor, _found(records.wait_seen(unit, actor, place)))

    def list(self, actor: Actor) -> tuple[Place, ...]:
        """The actor's own places, the newest first."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            held = records.waits(unit, actor, limit=MOST_LISTED)
            return tuple(self._view(unit, actor, each) for each in held)

    def serve(self, ids: Mapping[str, str]) -> None:
        """Grant what has become free in a lane, one lease to a transaction; look again later."""
        name = bytes.fromhex(ids["lane"])
        while True:
            with self._sessions.transaction() as unit:
                lane = self._lanes.enter(unit, name)
                if not self._serve_one(unit, lane):
                    if records.queue(unit, name, limit=1):
                        look_later(unit, name)
                    return

    def _join(self, actor: Actor, wanted: Wanted) -> Place:
        with self._sessions.transaction() as unit:
            lane = self._lanes.enter(unit, self._lanes.of(wanted.scope))
            known = records.wait_by_key(unit, actor.party, wanted.key)
            if known is not None:
                if known.request != wanted.request:
                    raise ConflictError(
                        "This idempotency key was used for another place.",
                        next_step="Use a new key for each place in a queue.",
                    )
                return self._view(unit, actor, known)
            forbidden = opted_out(unit, wanted.scope)
            if forbidden is not None:
                raise forbidden
            if (unfair := self._claims.unfair(unit, actor.party, lane, wanted)) is not None:
                raise unfair
            self._quota.admit_wait(unit, actor, lane)
            self._quota.note(
                unit,
                actor,
                lane,
                wanted.scope,
                kind=Kind.WAIT,
                digest=wanted.request,
                told=False,
            )
            new = self._write(unit, actor, lane, wanted)
            look_later(unit, lane.name)
            return self._view(unit, actor, new)

    def _write(self, unit: UnitOfWork, actor: Actor, lane: Entered, wanted: Wanted) -> StoredWait:
        identity = new_id(unit.now)
        within = self._vault.open_compartment(unit)
        read_in(unit, within, Grantee(actor.party), tier=0, reason="holder", granted_by=READER)
        new = StoredWait(
            id=identity,
            party=actor.party,
            compartment=within,
            lane=lane.name,
            ticket=lane.fence,
            mode=wanted.mode,
            window=wanted.window,
            budget_s=wanted.budget_s,
            state=Waits.WAITING,
            joined_at=unit.now,
            lease=None,
            scope=self._vault.seal(
                unit,
                within,
                place=("scan_waiting", "scope", identity),
                content=msgspec.json.encode(wanted.scope.to_plain(), order="sorted"),
            ),
            in_lane=self._lanes.seal(unit, lane.within, (*WAIT_PLACE, identity), wanted.scope),
            idempotency_key=wanted.key,
            request=wanted.request,
        )
        records.add_wait(unit, new)
        unit.record(
            "scanning:queue:join", actor=actor.principal, subject=identity, compartment=within
        )
        return new

    def _serve_one(self, unit: UnitOfWork, lane: Entered) -> bool:
        """Grant one lease to the first who can have what it waits for; whether there was one."""
        before: list[tuple[Mode, Scope]] = []
        for each, wanted in self._claims.waiting(unit, lane):
            if self._may_have(unit, lane, each, wanted, before):
                self._grant(unit, lane, each, wanted)
                return True
            if not self._claims.blocks_itself(unit, lane, each.party, wanted):
                before.append((each.mode, wanted.scope))
        return False

    def _may_have(
        self,
        unit: UnitOfWork,
        lane: Entered,
        place: StoredWait,
        wanted: Wanted,
        before: Sequence[tuple[Mode, Scope]],
    ) -> bool:
        if any(
            collide(wanted.mode, mode) and wanted.scope.overlap(scope) for mode, scope in before
        ):
            return False
        against = lane.sight.first(
            unit,
            wanted.scope,
            among=lambda entry: collide(wanted.mode, entry.mode),
            end=self._claims.ending(unit),
        )
        if against is not None:
            return False
        if not allows(unit, place.party, Permission.SCANNING_CLAIM):
            return False
        return (
            opted_out(unit, wanted.scope) is None
            and self._claims.unfair(unit, place.party, lane, wanted) is None
        )

    def _grant(self, unit: UnitOfWork, lane: Entered, place: StoredWait, wanted: Wanted) -> None:
        _, others = self._claims.met(unit, place.party, lane, wanted)
        lease = self._claims.write(
            unit,
            place.party,
            wanted,
            lane=lane,
            content=SealedContent(wanted.scope, others),
            by=READER,
            idle=self._limits.offer,
        )
        records.end_wait(unit, place.id, state=Waits.GRANTED, lease_id=lease.id)

    def _view(self, unit: UnitOfWork, actor: Actor, held: StoredWait) -> Place:
        content = self._vault.unseal(
            unit,
            held.compartment,
            place=("scan_waiting", "scope", held.id),
            sealed=held.scope,
            reader=actor.principal,
        )
        return Place(
            held.id,
            held.state,
            from_plain(msgspec.json.decode(content)),
            held.mode,
            held.window,
            held.budget_s,
            held.joined_at,
            held.lease,
        )


def look_later(unit: UnitOfWork, lane: bytes) -> None:
    """Have a queue served when the next five minutes begin; asking twice is asking once."""
    slot = int(unit.now.timestamp() // _SLOT.total_seconds()) + 1
    due = slot * _SLOT.total_seconds() - unit.now.timestamp()
    key = f"{SERVE}:{lane.hex()}:{slot}"
    unit.enqueue(Task(SERVE, key, {"lane": lane.hex()}), delay=timedelta(seconds=due))


def _found(held: StoredWait | None) -> StoredWait:
    if held is None:
        raise NotFoundError(
            "There is no such place in a queue.", next_step="See `clearhold scan queue` for yours."
        )
    return held

"""Leases on live systems: only under an owner's authorisation, and never longer than it allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import ConflictError, InvalidError, LimitError, NotFoundError
from clearhold.kernel.ids import LeaseId, new_id
from clearhold.scanning import claim_records as attempts
from clearhold.scanning import live_records as records
from clearhold.scanning.authorisations import Admission, Authorisations
from clearhold.scanning.claim_records import Attempt
from clearhold.scanning.claim_records import Kind as AttemptKind
from clearhold.scanning.emergency import Stops
from clearhold.scanning.limits import DAY
from clearhold.scanning.live_desk import READER, EndReason, Kind, LiveDesk
from clearhold.scanning.live_records import Notice, StoredLiveLease
from clearhold.scanning.live_scope import LiveScope
from clearhold.scanning.model import LARGEST_BUDGET_S, LIVE, Lease, Mode, State, collide
from clearhold.store.unit_of_work import Sessions, UnitOfWork

IDLE_LIMIT: Final = timedelta(minutes=15)
LONGEST_WINDOW: Final = timedelta(days=7)
MOST_LISTED: Final = 100
ANSWERS_A_DAY: Final = 64
REFUSALS_A_DAY: Final = 12
"""How many claims of a party are answered within a day, and how many of them refused."""


@dataclass(frozen=True, slots=True)
class LiveLeaseView:
    """A live lease as its holder sees it, its state with the time of asking taken into account."""

    lease: Lease
    state: State
    scope: LiveScope


class LiveLeaseService:
    """The register of leases on live systems."""

    def __init__(
        self, sessions: Sessions, desk: LiveDesk, authorisations: Authorisations, stops: Stops
    ) -> None:
        self._sessions = sessions
        self._desk = desk
        self._authorisations = authorisations
        self._stops = stops

    def claim(
        self,
        actor: Actor,
        scope: LiveScope,
        *,
        mode: Mode,
        window: timedelta,
        budget_s: int,
        key: str,
    ) -> LiveLeaseView:
        """Lease live systems from now, at most for `window`.

        It ends earlier where the authorisation ends or a blackout begins, and lapses a quarter of an
        hour after the last heartbeat. The same `key` and request answer the same lease again.
        Raises `ConflictError` when no authorisation allows it, as many leases stand as the owner
        allows, another lease stands against it, or the party has a stop to acknowledge, and
        `LimitError` when the party has had a day's answers or refusals.
        """
        actor.need(Permission.SCANNING_CLAIM)
        if not timedelta(0) < window <= LONGEST_WINDOW:
            raise InvalidError(f"A live lease's window is at most {LONGEST_WINDOW.days} days.")
        if not 0 < budget_s <= LARGEST_BUDGET_S:
            raise InvalidError(f"A budget is 1 to {LARGEST_BUDGET_S} seconds of scanning.")
        asked = msgspec.json.encode(
            (scope.to_plain(), mode, window.total_seconds(), budget_s), order="sorted"
        )
        request = self._desk.vault.matching_hash("live-lease", asked.decode())
        named = self._desk.vault.request_key(actor.party, key)
        with self._sessions.transaction() as unit:
            fence = self._desk.hold(unit)
            known = records.lease_by_key(unit, actor.party, named)
            if known is not None:
                if known.request != request:
                    raise ConflictError(
                        "This idempotency key was used for another claim.",
                        next_step="Use a new key for each claim.",
                    )
                return self._view(unit, actor, known)
            waiting = records.notices_to(unit, actor)
            if waiting:
                raise unacknowledged(waiting)
            self._admit(unit, actor)
            admitted = self._decide(unit, actor, scope, mode, unit.now + window)
            self._note(unit, actor, request, refused=isinstance(admitted, ConflictError))
            if not isinstance(admitted, ConflictError):
                stored = self._grant(
                    unit, actor, scope, admitted, mode=mode, fence=fence, budget_s=budget_s
                )
                stored = replace(stored, idempotency_key=named, request=request)
                records.add_lease(unit, stored)
                self._desk.put_places(unit, stored.lease.id, Kind.LEASE, scope.targets)
                return LiveLeaseView(stored.lease, stored.lease.state, scope)
            unit.record("scanning:live:refuse", actor=actor.principal, subject=actor.party)
        # Raised after the commit, so that what was looked at stays in the ledger.
        raise admitted

    def heartbeat(self, actor: Actor, lease: LeaseId, *, fence: int) -> LiveLeaseView:
        """Keep a live lease from lapsing.

        Raises `ConflictError` when it is over, when it was stopped (the facts then name the notice
        to acknowledge), or when its authorisation no longer allows it, which ends it.
        """
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            self._desk.hold(unit)
            stored = self._own(unit, actor, lease, fence=fence)
            if stored.lease.state_at(unit.now) not in LIVE:
                raise self._over(unit, actor, stored)
            scope = self._desk.scope_of(unit, stored, reader=actor.principal)
            if self._authorisations.holds(unit, stored.authorisation, actor.party, scope):
                expires_at = min(unit.now + IDLE_LIMIT, stored.lease.window_ends_at)
                records.set_state(unit, (lease,), State.ACTIVE, expires_at=expires_at)
                kept = replace(stored.lease, state=State.ACTIVE, expires_at=expires_at)
                return LiveLeaseView(kept, State.ACTIVE, scope)
            reason = EndReason.LAPSED
            self._desk.end(unit, (stored,), cause=stored.authorisation, reason=reason, by=None)
            told = self._over(unit, actor, stored)
        raise told

    def release(self, actor: Actor, lease: LeaseId, *, fence: int) -> LiveLeaseView:
        """Give a live lease back, with its passports; releasing one that is over changes nothing."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            self._desk.hold(unit)
            stored = self._own(unit, actor, lease, fence=fence)
            if stored.lease.state_at(unit.now) in LIVE:
                records.set_state(unit, (lease,), State.RELEASED)
                records.revoke_passports(unit, (lease,))
                unit.record(
                    "scanning:live:release",
                    actor=actor.principal,
                    subject=lease,
                    compartment=stored.lease.compartment,
                )
                stored = replace(stored, lease=replace(stored.lease, state=State.RELEASED))
            return self._view(unit, actor, stored)

    def get(self, actor: Actor, lease: LeaseId) -> LiveLeaseView:
        """One of the actor's own live leases. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            return self._view(unit, actor, find(unit, actor, lease))

    def list(self, actor: Actor) -> tuple[LiveLeaseView, ...]:
        """The actor's own live leases, the newest first."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            found = records.leases(unit, actor, limit=MOST_LISTED)
            return tuple(self._view(unit, actor, each) for each in found)

    def _admit(self, unit: UnitOfWork, actor: Actor) -> None:
        """Refuse a party that has had a day's answers, whatever it asks: that maps nobody."""
        earlier = attempts.attempts_since(unit, actor.party, unit.now - DAY, lane=self._desk.lane)
        refused = [each for each in earlier if each.told]
        for had, most in ((refused, REFUSALS_A_DAY), (earlier, ANSWERS_A_DAY)):
            if len(had) >= most:
                again = (had[0].asked_at + DAY).isoformat()
                raise LimitError(
                    "Your party has had as many answers about live systems as a day allows.",
                    next_step=f"Work under the leases you hold, or claim again after {again}.",
                    facts={"again_at": again},
                )

    def _note(self, unit: UnitOfWork, actor: Actor, digest: bytes, *, refused: bool) -> None:
        """Write down that a claim was answered, before its answer leaves the hub."""
        identity = new_id(unit.now)
        attempts.add_attempt(
            unit,
            Attempt(
                id=identity,
                party=actor.party,
                lane=self._desk.lane,
                asked_at=unit.now,
                kind=AttemptKind.LIVE,
                told=refused,
                advised=False,
                scope=None,
            ),
        )
        unit.record(
            "scanning:claim:commit",
            actor=actor.principal,
            subject=actor.party,
            detail={"attempt": identity, "digest": digest.hex()},
        )

    def _heeded(
        self, unit: UnitOfWork, among: tuple[StoredLiveLease, ...]
    ) -> tuple[StoredLiveLease, ...]:
        """Leases that stand against others; those of whoever is suspended end now."""
        over = records.unheeded(unit, among) if among else ()
        for each in over:
            reason = EndReason.LAPSED
            self._desk.end(unit, (each,), cause=each.authorisation, reason=reason, by=None)
        return tuple(each for each in among if each not in over)

    def _decide(
        self, unit: UnitOfWork, actor: Actor, scope: LiveScope, mode: Mode, until: datetime
    ) -> Admission | ConflictError:
        admitted = self._authorisations.admit(unit, actor.party, scope, until=until)
        if isinstance(admitted, ConflictError):
            return admitted
        authorisation = admitted.authorisation
        if self._stops.reach(unit, scope.targets, owner=authorisation.stored.party):
            return ConflictError(
                "Scans of part of this are stopped.",
                next_step="Ask the owner's security centre when they may go on.",
            )
        under = self._heeded(unit, records.standing_under(unit, (authorisation.stored.id,)))
        if len(under) >= authorisation.consent.concurrency:
            return ConflictError(
                "As many scans stand as the owner allows at once.",
                next_step="Claim again later.",
            )
        return self._against(unit, actor, scope, mode) or admitted

    def _against(
        self, unit: UnitOfWork, actor: Actor, scope: LiveScope, mode: Mode
    ) -> ConflictError | None:
        near = self._heeded(
            unit,
            records.standing_among(unit, self._desk.near(unit, Kind.LEASE, scope.targets)),
        )
        against = [
            each
            for each in self._desk.open_scopes(
                unit, (each for each in near if collide(mode, each.lease.mode))
            )
            if scope.overlap(each.scope)
        ]
        if not against:
            return None
        leases = [each.stored.lease for each in against]
        return ConflictError(
            "Part of this scope is leased already.",
            next_step="Claim notify-only, or ask again later.",
            facts={
                "own_leases": [each.id for each in leases if each.party == actor.party],
            },
        )

    def _grant(
        self,
        unit: UnitOfWork,
        actor: Actor,
        scope: LiveScope,
        admitted: Admission,
        *,
        mode: Mode,
        fence: int,
        budget_s: int,
    ) -> StoredLiveLease:
        within = self._desk.vault.open_compartment(unit)
        read_in(unit, within, Grantee(actor.party), tier=0, reason="holder", granted_by=READER)
        identity = LeaseId(new_id(unit.now))
        lease = Lease(
            id=identity,
            party=actor.party,
            compartment=within,
            mode=mode,
            state=State.GRANTED,
            fence=fence,
            granted_at=unit.now,
            expires_at=min(unit.now + IDLE_LIMIT, admitted.until),
            window_ends_at=admitted.until,
            budget_s=budget_s,
        )
        sealed = self._desk.vault.seal(
            unit,
            within,
            place=("live_lease", "scope", identity),
            content=msgspec.json.encode(scope.to_plain(), order="sorted"),
        )
        unit.record(
            "scanning:live:grant",
            actor=actor.principal,
            subject=identity,
            compartment=within,
            detail={"fence": str(fence), "mode": mode},
        )
        return StoredLiveLease(lease, admitted.authorisation.stored.id, sealed, "", b"")

    def _own(
        self, unit: UnitOfWork, actor: Actor, lease: LeaseId, *, fence: int
    ) -> StoredLiveLease:
        stored = find(unit, actor, lease)
        if stored.lease.fence != fence:
            raise ConflictError(
                "The fencing token is not that of this lease.",
                next_step="Send the token that came with the lease.",
            )
        return stored

    def _over(self, unit: UnitOfWork, actor: Actor, stored: StoredLiveLease) -> ConflictError:
        waiting = [
            each for each in records.notices_to(unit, actor) if each.lease == stored.lease.id
        ]
        if waiting:
            return unacknowledged(waiting)
        return ConflictError(
            f"The lease is {stored.lease.state_at(unit.now)}.",
            next_step="Stop scanning; claim the scope again if you need more time.",
        )

    def _view(self, unit: UnitOfWork, actor: Actor, stored: StoredLiveLease) -> LiveLeaseView:
        scope = self._desk.scope_of(unit, stored, reader=actor.principal)
        return LiveLeaseView(stored.lease, stored.lease.state_at(unit.now), scope)


def find(unit: UnitOfWork, actor: Actor, lease: LeaseId) -> StoredLiveLease:
    """One of the actor's own live leases. Raises `NotFoundError`."""
    for each in records.leases(unit, actor, lease, limit=1):
        return each
    raise NotFoundError(
        "There is no such live lease.", next_step="See `clearhold scan live list` for yours."
    )


def unacknowledged(waiting: tuple[Notice, ...] | list[Notice]) -> ConflictError:
    """What a holder is told who has not acknowledged that it was stopped."""
    return ConflictError(
        "Stop scanning at once: a lease of yours was ended.",
        next_step="Stop, then acknowledge with `clearhold scan live acknowledge`.",
        facts={
            "stop": True,
            "notices": [{"id": each.id, "lease": each.lease} for each in waiting],
        },
    )

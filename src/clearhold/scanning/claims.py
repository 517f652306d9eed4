"""Deciding a claim inside its transaction, while its lane is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from clearhold.access.allowances import allows
from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue import records as catalogue
from clearhold.kernel.errors import ClearholdError, ConflictError, InvalidError
from clearhold.kernel.ids import LeaseId, PartyId, new_id
from clearhold.parties import records as parties
from clearhold.parties import wishes
from clearhold.scanning import claim_records, records, suggest
from clearhold.scanning.claim_records import Kind, StoredWait
from clearhold.scanning.index import Entry
from clearhold.scanning.lanes import READER, Entered, Held, Lanes, Sight
from clearhold.scanning.limits import Limits
from clearhold.scanning.model import (
    Lease,
    Mode,
    State,
    StopReason,
    check_window,
    collide,
    expiry,
)
from clearhold.scanning.opt_outs import opted_out
from clearhold.scanning.quota import Allowed, Quota, Refused
from clearhold.scanning.scope import Scope
from clearhold.scanning.scopes import LeaseView, SealedContent, SealedScopes
from clearhold.scanning.software_scope import SoftwareScope
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

WAIT_PLACE: Final = ("scan_waiting", "in_lane")
_MOST_WAITING: Final = 256


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim as it came; `request` is the keyed digest by which a repeated one is recognised."""

    scope: Scope
    mode: Mode
    window: timedelta
    budget_s: int
    key: str
    request: bytes


class Claims:
    """Grants or refuses claims."""

    def __init__(
        self,
        vault: Vault,
        lanes: Lanes,
        scopes: SealedScopes,
        *,
        limits: Limits,
        ranking: suggest.Ranking,
    ) -> None:
        self._vault = vault
        self._lanes = lanes
        self._scopes = scopes
        self._limits = limits
        self._ranking = ranking
        self._quota = Quota(lanes, limits)

    def wanted(
        self,
        actor: Actor,
        scope: Scope,
        *,
        mode: Mode,
        window: timedelta,
        budget_s: int,
        key: str,
        waits: bool = False,
    ) -> Wanted:
        """A checked claim, or with `waits` a wish to wait for one, which are never the same request."""
        check_window(window, budget_s)
        asked = (scope.to_plain(), mode, window.total_seconds(), budget_s)
        told = msgspec.json.encode(("wait", *asked) if waits else asked, order="sorted")
        return Wanted(
            scope,
            mode,
            window,
            budget_s,
            self._vault.request_key(actor.party, key),
            self._vault.matching_hash("lease", told.decode()),
        )

    def decide(self, unit: UnitOfWork, actor: Actor, wanted: Wanted) -> LeaseView | ClearholdError:
        """The lease, or the refusal, which the caller raises once this attempt is in the ledger.

        What depends on nobody else is refused first, by raising, and is not counted: a key used
        twice, a limit, an owner's wish, an own lease in the way. A claim that was refused today is
        answered the same when it is sent again with its key.
        """
        lane = self._lanes.enter(unit, self._lanes.of(wanted.scope))
        known = records.by_key(unit, actor.party, wanted.key)
        if known is not None:
            if known.request != wanted.request:
                raise ConflictError(
                    "This idempotency key was used for another claim.",
                    next_step="Use a new key for each claim.",
                )
            return self._scopes.view(unit, actor, known)
        refused = self._quota.refused_before(
            unit, actor.party, lane, key=wanted.key, request=wanted.request
        )
        if refused is not None:
            return _taken(*refused)
        forbidden = opted_out(unit, wanted.scope)
        if forbidden is not None:
            unit.record("scanning:lease:refuse", actor=actor.principal, subject=actor.party)
            return forbidden
        if (unfair := self.unfair(unit, actor.party, lane, wanted)) is not None:
            raise unfair
        self._check_own(unit, actor.party, lane, wanted)
        allowed = self._quota.admit(unit, actor, lane, wanted.scope)
        against, others = self.met(unit, actor.party, lane, wanted)
        waiting = [
            wish
            for place, wish in self.waiting(unit, lane)
            if place.party != actor.party and not self.blocks_itself(unit, lane, place.party, wish)
        ]
        against = against or _waited_for(waiting, wanted.mode, wanted.scope)
        free = self._free(unit, actor, wanted, lane, allowed, waiting=waiting) if against else ()
        attempt = self._quota.note(
            unit,
            actor,
            lane,
            wanted.scope,
            kind=Kind.CLAIM,
            digest=wanted.request,
            told=against or others or allowed.narrower,
            advised=bool(free),
            refused=Refused(wanted.key, free) if against else None,
        )
        if not against:
            return self.grant(unit, actor, wanted, lane=lane, others_there=others)
        unit.record("scanning:lease:refuse", actor=actor.principal, subject=actor.party)
        return _taken(attempt, free)

    def met(
        self, unit: UnitOfWork, party: PartyId, lane: Entered, wanted: Wanted
    ) -> tuple[bool, bool]:
        """Whether a lease of somebody else stands against the claim, and whether one overlaps it."""

        def other(among: Callable[[Entry], bool]) -> bool:
            found = lane.sight.first(
                unit, wanted.scope, among=among, besides=party, end=self.ending(unit)
            )
            return found is not None

        against = other(lambda entry: collide(wanted.mode, entry.mode))
        return against, against or other(lambda entry: not collide(wanted.mode, entry.mode))

    def ending(self, unit: UnitOfWork) -> Callable[[Held], None]:
        """Ends a lease whose holder is suspended: it may not stand against others.

        It is ended for good, or it would stand beside what others leased meanwhile once its holder
        comes back. The caller holds the lane.
        """

        def end(held: Held) -> None:
            lease = held.stored.lease
            reason = StopReason.HOLDER_SUSPENDED
            records.end(unit, lease.id, state=State.REVOKED, reason=reason)
            unit.record(
                "scanning:lease:revoke",
                actor=READER,
                subject=lease.id,
                compartment=lease.compartment,
                detail={"reason": reason},
            )

        return end

    def waiting(self, unit: UnitOfWork, lane: Entered) -> list[tuple[StoredWait, Wanted]]:
        """Who waits in a lane and for what, in the order of coming."""
        waiting = claim_records.queue(unit, lane.name, limit=_MOST_WAITING)
        if not waiting:
            return []
        rows = [(each.id, each.in_lane or b"") for each in waiting]
        scopes = self._lanes.open(unit, lane.within, WAIT_PLACE, rows)
        return [
            (
                each,
                Wanted(
                    scope, each.mode, each.window, each.budget_s, f"queue:{each.id}", each.request
                ),
            )
            for each, scope in zip(waiting, scopes, strict=True)
        ]

    def blocks_itself(
        self, unit: UnitOfWork, lane: Entered, party: PartyId, wanted: Wanted
    ) -> bool:
        """Whether what a place waits for is its own party's doing: then it holds up nobody."""
        if not allows(unit, party, Permission.SCANNING_CLAIM):
            return True
        if self._beyond_share(unit, party, lane, wanted) is not None:
            return True
        mine = {
            each.lease.fence
            for each in records.of_party_in(unit, party, lane.name)
            if collide(wanted.mode, each.lease.mode)
        }
        own = lane.sight.scopes(mine).values()
        return any(wanted.scope.overlap(each) for each in own)

    def grant(
        self,
        unit: UnitOfWork,
        actor: Actor,
        wanted: Wanted,
        *,
        lane: Entered,
        others_there: bool,
    ) -> LeaseView:
        """Lease a scope that was found free to a party, in the name of `actor`."""
        content = SealedContent(wanted.scope, others_there)
        lease = self.write(
            unit, actor.party, wanted, lane=lane, content=content, by=actor.principal
        )
        return LeaseView(lease, lease.state, content.scope, others_there)

    def write(
        self,
        unit: UnitOfWork,
        party: PartyId,
        wanted: Wanted,
        *,
        lane: Entered,
        content: SealedContent,
        by: str,
        idle: timedelta | None = None,
    ) -> Lease:
        """Write a lease; it lapses after `idle`, or as usual, unless its holder is heard of."""
        within = self._vault.open_compartment(unit)
        read_in(unit, within, Grantee(party), tier=0, reason="holder", granted_by=READER)
        window_ends_at = unit.now + wanted.window
        lapses = expiry(unit.now, window_ends_at)
        lease = Lease(
            id=LeaseId(new_id(unit.now)),
            party=party,
            compartment=within,
            mode=wanted.mode,
            state=State.GRANTED,
            fence=lane.fence,
            granted_at=unit.now,
            expires_at=lapses if idle is None else min(lapses, unit.now + idle),
            window_ends_at=window_ends_at,
            budget_s=wanted.budget_s,
        )
        with unit.as_service():
            sealed = self._scopes.seal(unit, within, lease.id, content)
        in_lane = self._lanes.seal(
            unit, lane.within, ("scan_lease", "in_lane", lease.id), wanted.scope
        )
        records.add(
            unit,
            records.StoredLease(lease, lane.name, sealed, wanted.key, wanted.request, in_lane),
        )
        unit.record(
            "scanning:lease:grant",
            actor=by,
            subject=lease.id,
            compartment=within,
            detail={"fence": str(lease.fence), "mode": wanted.mode},
        )
        return lease

    def unfair(
        self, unit: UnitOfWork, party: PartyId, lane: Entered, wanted: Wanted
    ) -> ClearholdError | None:
        """Why a party may not hold this beside what it holds; what others hold does not matter."""
        parties.hold(unit, party)
        return self._beyond_share(unit, party, lane, wanted)

    def _beyond_share(
        self, unit: UnitOfWork, party: PartyId, lane: Entered, wanted: Wanted
    ) -> ClearholdError | None:
        limits = self._limits
        scope = wanted.scope
        if len(records.of_party_in(unit, party, lane.name)) >= limits.per_package:
            return ConflictError(
                f"Your party holds {limits.per_package} leases here, and one may hold no more.",
                next_step="Release what you do not need, or claim wider scopes.",
            )
        if wanted.mode is not Mode.EXCLUSIVE:
            return None
        if records.how_many_of(unit, party, Mode.EXCLUSIVE) >= limits.exclusive:
            return ConflictError(
                f"Your party holds {limits.exclusive} exclusive leases, and one may hold no more.",
                next_step="Release what you do not need, or claim shared.",
            )
        whole = isinstance(scope, SoftwareScope) and scope.whole_package
        if whole and wanted.window > limits.whole_package:
            return InvalidError(
                "A whole package is leased exclusively for at most "
                f"{limits.whole_package.days} days.",
                next_step="Choose a shorter window, name one version or paths, or claim shared.",
            )
        return None

    def _check_own(self, unit: UnitOfWork, party: PartyId, lane: Entered, wanted: Wanted) -> None:
        """Refuse a claim that an own lease stands against, saying nothing of others."""
        mine = {
            each.lease.fence: each.lease
            for each in records.of_party_in(unit, party, lane.name)
            if collide(wanted.mode, each.lease.mode)
        }
        scopes = lane.sight.scopes(mine)
        own = [mine[fence].id for fence in mine if wanted.scope.overlap(scopes[fence])]
        if own:
            raise ConflictError(
                "A lease of your own party reaches into this scope.",
                next_step="Work under that lease, or release it first.",
                facts={"own_leases": own, "free": []},
            )

    def _free(
        self,
        unit: UnitOfWork,
        actor: Actor,
        wanted: Wanted,
        lane: Entered,
        allowed: Allowed,
        *,
        waiting: Sequence[Wanted],
    ) -> tuple[SoftwareScope, ...]:
        scope = wanted.scope
        if not isinstance(scope, SoftwareScope) or not allowed.advice:
            return ()
        listed = {each.package: each for each in catalogue.targets(unit, actor)}
        near = [
            each
            for each in suggest.in_package(scope, listed.pop(scope.package, None))
            if allowed.near
            and not _waited_for(waiting, wanted.mode, each)
            and _is_free(unit, wanted.mode, lane.sight, each)
        ][: suggest.MOST_IN_PACKAGE]
        # An order of each party's own, and few of many: what is left out tells little.
        others = sorted(
            (
                each
                for each in listed.values()
                if not wishes.for_package(unit, each.package).do_not_scan
            ),
            key=lambda each: self._vault.matching_hash("order", f"{actor.party}\0{each.package}"),
        )[: suggest.PACKAGES_LOOKED_AT]
        offered = {
            self._lanes.of(each): each
            for target in others
            if (each := suggest.elsewhere(scope, target)) is not None
        }
        busy = claim_records.with_queues(unit, offered)
        far = [
            each
            for name, each in offered.items()
            if name not in busy and _is_free(unit, wanted.mode, self._lanes.look(unit, name), each)
        ]
        return (*near, *self._ranking(unit, actor, far)[: suggest.MOST_ELSEWHERE])


def _taken(attempt: str, free: Sequence[Scope]) -> ConflictError:
    return ConflictError(
        "Part of this scope is leased or waited for already.",
        next_step="Join the queue for it, claim one of the free scopes, or claim notify-only.",
        facts={
            "own_leases": [],
            "attempt": attempt,
            "free": [each.to_plain() for each in free],
        },
    )


def _waited_for(waiting: Sequence[Wanted], mode: Mode, scope: Scope) -> bool:
    """Whether somebody waits for what a claim wants: who comes later does not overtake."""
    return any(collide(mode, each.mode) and scope.overlap(each.scope) for each in waiting)


def _is_free(unit: UnitOfWork, mode: Mode, sight: Sight, scope: SoftwareScope) -> bool:
    against = sight.first(unit, scope, among=lambda entry: collide(mode, entry.mode))
    return against is None

"""Leases: claiming, keeping and ending the right to look at something for a while."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy.exc import IntegrityError as BrokenConstraintError

from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, Permission
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import ClearholdError, ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import LeaseId, PartyId
from clearhold.kernel.purl import Purl
from clearhold.parties import records as parties
from clearhold.parties.model import Party
from clearhold.scanning import claim_records, records
from clearhold.scanning.claims import Claims, Wanted
from clearhold.scanning.coverage import CoverageService, Recorded
from clearhold.scanning.coverage_model import NewCoverage
from clearhold.scanning.introductions import Introductions
from clearhold.scanning.lanes import READER, Lanes
from clearhold.scanning.limits import Limits
from clearhold.scanning.live_scope import LiveScope
from clearhold.scanning.model import (
    LIVE,
    Lease,
    Mode,
    State,
    StopReason,
    check_window,
    collide,
    expiry,
)
from clearhold.scanning.opt_outs import opted_out
from clearhold.scanning.queue import ScanQueue, look_later
from clearhold.scanning.scope import Scope
from clearhold.scanning.scopes import LeaseView, SealedContent, SealedScopes
from clearhold.scanning.software_scope import SoftwareScope
from clearhold.scanning.suggestions import SuggestionService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MOST_LISTED: Final = 100
_ENDED: Final = {
    State.RELEASED: "release",
    State.REVOKED: "revoke",
    State.PREEMPTED: "pre-empt",
}


@dataclass(frozen=True, slots=True)
class Check:
    """What stands against a claim of a party, whatever others hold: a refusal, and own leases."""

    refusal: ClearholdError | None
    own: tuple[LeaseId, ...]


class ScanningService:
    """The register of scan leases."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        *,
        limits: Limits = Limits(),  # noqa: B008  # it is frozen
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._lanes = Lanes(vault)
        self._scopes = SealedScopes(vault)
        self.covering = CoverageService(sessions, vault, self._scopes)
        self.suggestions = SuggestionService(
            sessions, vault, lanes=self._lanes, coverage=self.covering
        )
        self._claims = Claims(
            vault,
            self._lanes,
            self._scopes,
            limits=limits,
            ranking=self.suggestions.rank,
        )

        self.queue = ScanQueue(
            sessions, vault, lanes=self._lanes, claims=self._claims, limits=limits
        )
        self.introductions = Introductions(sessions, vault, lanes=self._lanes, scopes=self._scopes)

    def claim(
        self,
        actor: Actor,
        scope: Scope,
        *,
        mode: Mode,
        window: timedelta,
        budget_s: int,
        key: str,
    ) -> LeaseView:
        """Lease a scope from now for `window`; it lapses an hour after the last heartbeat.

        The same `key` and request answer the same lease again. Raises `ConflictError` when another
        lease stands against it, and `LimitError` when the party has used up the answers of a day.
        A conflict tells that it is one, and sometimes a few scopes that are free instead; never
        whose the other lease is, how far it reaches or how long it lasts. `attempt` in its facts
        names the question, for an introduction.
        """
        actor.need(Permission.SCANNING_CLAIM)
        if isinstance(scope, LiveScope):
            raise InvalidError(
                "Live systems are leased under their owner's authorisation alone.",
                next_step="Claim them with `clearhold scan live claim`.",
            )
        wanted = self._claims.wanted(
            actor, scope, mode=mode, window=window, budget_s=budget_s, key=key
        )
        try:
            answer = self._decide(actor, wanted)
        except BrokenConstraintError:
            # The same key came in for another package at the same instant.
            answer = self._decide(actor, wanted)
        # Raised after the commit, so that the look into the lane stays in the ledger.
        if isinstance(answer, ClearholdError):
            raise answer
        return answer

    def check(self, actor: Actor, scope: Scope, *, mode: Mode) -> Check:
        """What the owner wishes and the actor's party holds that stands against a claim.

        Of what others hold it tells nothing, and so it is not counted: that is what a claim is for.
        """
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            mine = records.of_party_in(unit, actor.party, self._lanes.of(scope))
            own = [
                held.lease.id
                for held in mine
                if collide(mode, held.lease.mode)
                and scope.overlap(self._scopes.view(unit, actor, held).scope)
            ]
            return Check(opted_out(unit, scope), tuple(own))

    def heartbeat(self, actor: Actor, lease: LeaseId, *, fence: int) -> LeaseView:
        """Keep a lease from lapsing.

        Raises `ConflictError` when it is over, the fence is old, or the owner of the package has
        meanwhile wished not to have it scanned.
        """
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            held = self._own(unit, actor, lease, fence=fence)
            if held.lease.state_at(unit.now) not in LIVE:
                raise ConflictError(
                    f"The lease is {held.lease.state_at(unit.now)}.",
                    next_step="Claim the scope again; what was found may still be submitted.",
                )
            expires_at = expiry(unit.now, held.lease.window_ends_at)
            records.keep(unit, lease, expires_at=expires_at)
            kept = replace(held.lease, state=State.ACTIVE, expires_at=expires_at)
            shown = self._scopes.view(unit, actor, replace(held, lease=kept))
            if (forbidden := opted_out(unit, shown.scope)) is not None:
                raise forbidden
            return shown

    def release(self, actor: Actor, lease: LeaseId, *, fence: int) -> LeaseView:
        """Give a lease back; releasing one that is over changes nothing."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            held = self._own(unit, actor, lease, fence=fence)
            if held.lease.state_at(unit.now) in LIVE:
                self._end(unit, held.lease, State.RELEASED, by=actor.principal)
                held = replace(held, lease=replace(held.lease, state=State.RELEASED))
            return self._scopes.view(unit, actor, held)

    def revoke(self, actor: Actor, package: str, *, reason: StopReason) -> None:
        """End every lease on a package; the coordinator learns neither whose nor how many."""
        actor.need(Permission.SCANNING_REVOKE)
        name = self._lanes.named(str(Purl.parse(package).package))
        with self._sessions.transaction() as unit:
            records.hold_lane(unit, name)
            for held in records.live_in(unit, (name,)):
                self._end(unit, held.lease, State.REVOKED, by=actor.principal, reason=reason)

    def preempt(
        self,
        actor: Actor,
        scope: Scope,
        *,
        reason: StopReason,
        to: str | None,
        window: timedelta,
        budget_s: int,
        key: str,
    ) -> None:
        """End what stands against a scope, and lease it exclusively to the party of the handle `to`.

        The coordinator learns neither whose leases ended nor how many; their holders are told the
        reason, and their tokens are of no use from now on. Without `to` they just end.
        """
        actor.need(Permission.SCANNING_REVOKE)
        check_window(window, budget_s)
        with self._sessions.transaction() as unit:
            party = None if to is None else _scanner(parties.by_handle(unit, to))
            named = self._vault.request_key(actor.party, f"preempt:{key}")
            asked = msgspec.json.encode(
                (scope.to_plain(), window.total_seconds(), budget_s), order="sorted"
            )
            request = self._vault.matching_hash("preempt", asked.decode())
            wanted = Wanted(scope, Mode.EXCLUSIVE, window, budget_s, named, request)
            lane = self._lanes.enter(unit, self._lanes.of(scope))
            if party is not None:
                known = records.by_key(unit, party, named)
                if known is not None and known.request != request:
                    raise ConflictError(
                        "This idempotency key was used to pre-empt something else.",
                        next_step="Use a new key for each scope.",
                    )
                if known is not None:
                    return
                if (no := opted_out(unit, wanted.scope)) is not None:
                    raise no
            for held in lane.sight.every(
                unit, scope, among=lambda entry: collide(Mode.EXCLUSIVE, entry.mode)
            ):
                lease = held.stored.lease
                self._end(unit, lease, State.PREEMPTED, by=actor.principal, reason=reason)
            if party is not None:
                content = SealedContent(scope, others_there=False)
                self._claims.write(
                    unit, party, wanted, lane=lane, content=content, by=actor.principal
                )

    def heed(self, ids: Mapping[str, str]) -> None:
        """After `wish.changed`: end the leases on what its owner does not want scanned any more.

        Until this has run they are of no use already: no heartbeat and no service honours them.
        """
        about = ids["subject"]
        if not about.startswith("pkg:"):
            return
        with self._sessions.transaction() as unit:
            names = (
                records.busy_lanes(unit)
                if about.endswith("/")
                else (self._lanes.named(str(Purl.parse(about).package)),)
            )
        for name in names:
            with self._sessions.transaction() as unit:
                records.hold_lane(unit, name)
                scope = self._lanes.look(unit, name).any_scope()
                if scope is not None and opted_out(unit, scope) is not None:
                    for held in records.live_in(unit, (name,)):
                        reason = StopReason.OWNER_OPTED_OUT
                        self._end(unit, held.lease, State.REVOKED, by=READER, reason=reason)

    def get(self, actor: Actor, lease: LeaseId) -> LeaseView:
        """One of the actor's own leases. Raises `NotFoundError`."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            return self._scopes.view(unit, actor, _found(records.seen(unit, actor, lease)))

    def list(self, actor: Actor) -> tuple[LeaseView, ...]:
        """The actor's own leases, the newest first."""
        actor.need(Permission.SCANNING_READ)
        with self._sessions.transaction() as unit:
            held = records.listing(unit, actor, limit=MOST_LISTED)
            return tuple(self._scopes.view(unit, actor, each) for each in held)

    def report_coverage(
        self, actor: Actor, lease: LeaseId, *, fence: int, new: NewCoverage
    ) -> Recorded:
        """Tell what a scan under one's own lease covered, also when nothing was found."""
        actor.need(Permission.SCANNING_CLAIM)
        with self._sessions.transaction() as unit:
            held = self._own(unit, actor, lease, fence=fence)
            return self.covering.record(unit, held, new)

    def holds(
        self,
        unit: UnitOfWork,
        party: PartyId,
        lease: LeaseId,
        *,
        fence: int,
        package: Purl,
        version: str,
        technique: Technique | None,
    ) -> bool:
        """Whether a party holds this lease now and it covers a version of a package.

        Without a technique, any will do. A lease of somebody else, one that is over, and one that
        never was are the same answer.
        """
        scope = self._held_scope(unit, party, lease, fence=fence)
        return scope is not None and _covers(scope, package, version, technique)

    def paths_of(
        self, unit: UnitOfWork, party: PartyId, lease: LeaseId, *, fence: int
    ) -> tuple[str, ...]:
        """The path globs of a lease that a party holds now on software; none of any other."""
        scope = self._held_scope(unit, party, lease, fence=fence)
        return scope.paths if isinstance(scope, SoftwareScope) else ()

    def in_force(self, unit: UnitOfWork, party: PartyId, lease: LeaseId, *, fence: int) -> bool:
        """Whether a party's lease is still its own and not over; opens nothing, so it is cheap.

        A suspended party holds none.
        """
        held = records.of_party(unit, party, lease)
        return (
            held is not None
            and held.lease.fence == fence
            and (held.lease.state_at(unit.now) in LIVE)
        )

    def covers(
        self,
        unit: UnitOfWork,
        party: PartyId,
        lease: LeaseId,
        *,
        fence: int,
        packages: Iterable[str],
    ) -> bool:
        """Whether a party holds this lease now and it covers all of these package URLs."""
        scope = self._held_scope(unit, party, lease, fence=fence)
        if scope is None:
            return False
        purls = [Purl.parse(package) for package in packages]
        return all(_covers(scope, purl, purl.version or "", None) for purl in purls)

    def record_coverage(self, unit: UnitOfWork, lease: LeaseId, new: NewCoverage) -> None:
        """Record what a scan covered, for services that scanned under the lease."""
        self.covering.record(unit, _found(records.by_id(unit, lease)), new)

    def _decide(self, actor: Actor, wanted: Wanted) -> LeaseView | ClearholdError:
        with self._sessions.transaction() as unit:
            return self._claims.decide(unit, actor, wanted)

    def _own(
        self, unit: UnitOfWork, actor: Actor, lease: LeaseId, *, fence: int
    ) -> records.StoredLease:
        """One of the actor's own leases, read again after its lane was held."""
        records.hold_lane(unit, _found(records.seen(unit, actor, lease)).lane)
        held = _found(records.seen(unit, actor, lease))
        if held.lease.fence != fence:
            raise ConflictError(
                "The fencing token is not that of this lease.",
                next_step="Send the token that came with the lease.",
            )
        return held

    def _end(
        self,
        unit: UnitOfWork,
        lease: Lease,
        state: State,
        *,
        by: str,
        reason: StopReason | None = None,
    ) -> None:
        records.end(unit, lease.id, state=state, reason=reason)
        lane = records.lane_of(unit, lease.id)
        if claim_records.queue(unit, lane, limit=1):
            look_later(unit, lane)
        unit.record(
            f"scanning:lease:{_ENDED[state]}",
            actor=by,
            subject=lease.id,
            compartment=lease.compartment,
            detail={} if reason is None else {"reason": reason},
        )

    def _held_scope(
        self, unit: UnitOfWork, party: PartyId, lease: LeaseId, *, fence: int
    ) -> Scope | None:
        held = records.of_party(unit, party, lease)
        if held is None or held.lease.fence != fence:
            return None
        if held.lease.state_at(unit.now) not in LIVE:
            return None
        scope = self._scopes.open(unit, held, reader=READER).scope
        return scope if opted_out(unit, scope) is None else None


def _covers(scope: Scope, package: Purl, version: str, technique: Technique | None) -> bool:
    if not isinstance(scope, SoftwareScope):
        return False
    try:
        return scope.covers(package, version, technique)
    except InvalidError:
        return False  # a version that cannot be placed is not within the scope


def _scanner(party: Party | None) -> PartyId:
    if party is None or Permission.SCANNING_CLAIM not in PERMISSIONS[party.kind]:
        raise InvalidError(
            "There is no party of this handle that may hold leases.",
            next_step="See `clearhold party list`; labs and finders hold leases.",
        )
    return party.id


def _found(held: records.StoredLease | None) -> records.StoredLease:
    if held is None:
        raise NotFoundError(
            "There is no such lease.", next_step="See `clearhold scan list` for yours."
        )
    return held

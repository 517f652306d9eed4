"""Searching again when a newer version or commit is published: a watch on a campaign, under a lease.

A watch is a chain of tasks, each of which looks once and queues the next, so that it outlives the hub's
restarts. It does nothing without its lease: a look that finds the lease over ends it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.discovery import watch_records as records
from clearhold.discovery.campaigns import LONGEST_BUDGET_S
from clearhold.discovery.engine import Kind, Plan
from clearhold.discovery.following import ANY_COMMIT, Following, Moved
from clearhold.discovery.keeping import READER
from clearhold.discovery.service import DiscoveryService
from clearhold.discovery.watch_records import Watch
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    machine_error,
)
from clearhold.kernel.ids import DiscoveryId, LeaseId, WatchId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import records as parties
from clearhold.ports.engine import Task
from clearhold.ports.repositories import REF
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation.recipe import SideSource
from clearhold.vault.service import Vault

LOOK: Final = "discovery.watch"
EVERY: Final = timedelta(minutes=30)
LONGEST_TOTAL_S: Final = 30 * LONGEST_BUDGET_S
MOST_WATCHES: Final = 64
"""That one party may have at once: each asks a registry every half an hour."""


class Releases(Protocol):
    """Whoever knows what is published of a package that a recipe is about."""

    def newer(self, package: str, target: str, *, after: str) -> SideSource | None:
        """The newest release when it is newer than version `after`, its archives pinned by hash.

        Raises what asking the registry and fetching raise.
        """
        ...

    def followed(self, plan: Plan, ref: str) -> Following:
        """What is remembered of branches or tags before the first look at them.

        Raises `InvalidError` when no repository of the package is known.
        """
        ...

    def moved(self, plan: Plan, following: Following) -> Moved:
        """The next new commit at what is followed, its tree pinned by hash.

        Raises what asking the repository and fetching raise.
        """
        ...


class State(msgspec.Struct, frozen=True):
    """What is sealed of a watch: the version or commit last seen, and what the last look came to.

    `following` is what was seen of branches or tags, when these are followed and not releases.
    """

    version: str
    note: str = ""
    following: Following | None = None

    @property
    def ref(self) -> str:
        """The pattern of branches or tags that are followed; empty for releases."""
        return "" if self.following is None else self.following.ref


@dataclass(frozen=True, slots=True)
class WatchView:
    """A watch as its party sees it."""

    watch: Watch
    package: str
    state: State


class Watching:
    """Keeps watches, and looks."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        scanning: ScanningService,
        discovery: DiscoveryService,
        *,
        releases: Releases,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._scanning = scanning
        self._discovery = discovery
        self._releases = releases

    def ask(
        self,
        actor: Actor,
        campaign: DiscoveryId,
        *,
        lease: LeaseId,
        fence: int,
        total_s: int,
        ref: str = "",
    ) -> WatchId:
        """Watch for versions newer than the one a campaign of the actor's party searched.

        With `ref`, for commits at the branches or tags of the package's repository that it names.
        Each is searched as the campaign was and for as long, until `total_s` seconds are used up.
        Asking again under the same lease while it is watched is the same watch. Raises
        `NotFoundError`, `ConflictError` without a lease that covers what the campaign searched and for
        one that is watched under another, `InvalidError` for a total that is less than one search or
        too long, `LimitError` for too many.
        """
        actor.need(Permission.DISCOVERY_RUN)
        with self._sessions.transaction() as unit:
            searched, plan = self._discovery.own(unit, actor, campaign)
            engine = self._discovery.engine_of(plan)
            if engine.kind is Kind.AGENT:
                actor.need(Permission.FINDINGS_SUBMIT)
            if not plan.budget_s <= total_s <= LONGEST_TOTAL_S:
                raise InvalidError(
                    f"All searches together may take {plan.budget_s} to {LONGEST_TOTAL_S} s.",
                    next_step="Choose another total.",
                )
            purl = Purl.parse(plan.package)
            state = self._before(plan, purl.version or "", ref)
            for version in (purl.version or "", *([ANY_COMMIT] if ref else [])):
                leased = self._scanning.holds(
                    unit,
                    actor.party,
                    lease,
                    fence=fence,
                    package=purl.package,
                    version=version,
                    technique=engine.technique,
                )
                if not leased:
                    raise _no_lease(engine.technique, coming=version == ANY_COMMIT)
            parties.hold(unit, actor.party)
            watched = records.open_of(unit, actor.party)
            known = next(
                (
                    each
                    for each in watched
                    if each.campaign == campaign and self._state(unit, each, READER).ref == ref
                ),
                None,
            )
            if known is not None and (known.lease, known.fence) == (lease, fence):
                return known.id
            if known is not None:
                raise ConflictError(
                    "This campaign is watched already, under another lease.",
                    next_step=f"End that watch with `clearhold discover unwatch {known.id}`.",
                )
            if len(watched) >= MOST_WATCHES:
                raise LimitError(
                    f"Your party has {len(watched)} watches; at most {MOST_WATCHES} stand at once.",
                    next_step="End one with `clearhold discover unwatch`.",
                )
            new = Watch(
                id=WatchId(new_id(unit.now)),
                party=actor.party,
                campaign=campaign,
                lease=lease,
                fence=fence,
                compartment=searched.compartment,
                budget_s=plan.budget_s,
                left_s=total_s,
                looks=0,
                sealed_state=b"",
                asked_at=unit.now,
            )
            sealed = self._sealed(unit, new, state)
            records.add(unit, replace(new, sealed_state=sealed))
            self._record(unit, new, "begin", by=actor.principal)
            unit.enqueue(_task(new.id, 0))
            return new.id

    def _before(self, plan: Plan, version: str, ref: str) -> State:
        """What is remembered before the first look. Raises `InvalidError` for what is no ref."""
        if ref and not REF.fullmatch(ref):
            raise InvalidError(
                f"{ref[:80]!a} names no branches or tags.",
                next_step="Write refs/heads/main, or refs/tags/v1.* with * for any characters.",
            )
        return State(version, following=self._releases.followed(plan, ref) if ref else None)

    def list(self, actor: Actor) -> tuple[WatchView, ...]:
        """The newest watches of the actor's party, the newest first."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return tuple(
                self._view(unit, each, actor.principal) for each in records.seen_by(unit, actor)
            )

    def get(self, actor: Actor, identity: WatchId) -> WatchView:
        """One watch of the actor's party. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return self._view(unit, _found(unit, actor, identity), actor.principal)

    def stop(self, actor: Actor, identity: WatchId) -> None:
        """End a watch of the actor's party; what it began goes on. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_RUN)
        with self._sessions.transaction() as unit:
            known = _found(unit, actor, identity)
            if known.ended_at is None:
                self._end(unit, known, "stopped", by=actor.principal)

    def look(self, ids: Mapping[str, str]) -> None:
        """Look once whether there is a newer version, search it, and queue the next look.

        What nobody foresaw is raised when the next look is queued: it ends no watch.
        """
        identity, number = WatchId(ids["watch"]), int(ids["look"])
        with self._sessions.transaction() as unit:
            known = self._due(unit, identity, number)
            if known is None:
                return
            plan = self._discovery.plan_for(unit, known.campaign, reader=READER)
            state = self._state(unit, known, READER)
        seen, unforeseen = Moved(state.following, note="nothing newer"), None
        try:
            seen = self._seen(plan, state)
        except (ClearholdError, OSError) as problem:
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            seen = Moved(state.following, note=error.message)
        except Exception as problem:  # noqa: BLE001  # raised again, once the next look is queued
            note = f"the look failed in a way that nobody foresaw ({type(problem).__name__})"
            seen, unforeseen = Moved(state.following, note=note), problem
        with self._sessions.transaction() as unit:
            known = self._due(unit, identity, number)
            if known is None:
                return
            begun = None
            if seen.source is not None:
                begun, state = self._searched(unit, known, plan, seen, state)
            else:
                state = State(state.version, seen.note, seen.following)
            left = known.left_s - (known.budget_s if begun else 0)
            values = {
                "left_s": left,
                "looks": number + 1,
                "looked_at": unit.now,
                "sealed_state": self._sealed(unit, known, state),
                **({"last_campaign": begun} if begun else {}),
            }
            records.change(unit, identity, values)
            if left < known.budget_s:
                self._end(unit, known, "budget", by=READER)
            else:
                unit.enqueue(_task(identity, number + 1), delay=EVERY)
        if unforeseen is not None:
            raise unforeseen

    def _due(self, unit: UnitOfWork, identity: WatchId, number: int) -> Watch | None:
        """The watch, when this look is still to be made; one without a lease or agreement ends here."""
        known = records.one(unit, identity)
        if known is None or known.ended_at is not None or known.looks != number:
            return None
        if not records.heeded(unit, identity):
            self._end(unit, known, "suspended", by=READER)
            return None
        if not self._scanning.in_force(unit, known.party, known.lease, fence=known.fence):
            self._end(unit, known, "lease", by=READER)
            return None
        return known

    def _seen(self, plan: Plan, state: State) -> Moved:
        """What is newer than what was seen before, be it a release or a commit."""
        if state.following is None:
            newer = self._releases.newer(plan.package, plan.target, after=state.version)
            return Moved(None, newer, note="nothing newer")
        moved = self._releases.moved(plan, state.following)
        return moved if moved.source or moved.note else replace(moved, note="nothing newer")

    def _searched(
        self, unit: UnitOfWork, known: Watch, plan: Plan, seen: Moved, state: State
    ) -> tuple[DiscoveryId | None, State]:
        """The campaign that was begun on what is newer, or None; and what to remember."""
        newer = seen.source
        assert newer is not None  # noqa: S101  # the caller looked
        again = replace(
            plan,
            package=str(Purl.parse(plan.package).at(newer.version)),
            seed=time.time_ns() // 1000 % (1 << 32) or 1,
            source=newer,
            first=seen.first,
        )
        key = self._vault.request_key(known.party, f"{LOOK}:{known.id}:{newer.version}")
        if self._discovery.begun(unit, known.party, key=key):  # a branch that was set back
            said = f"{newer.version} was searched before"
            return None, State(newer.version, said, seen.following)
        try:
            begun = self._discovery.again(
                unit,
                known.party,
                again,
                lease=known.lease,
                fence=known.fence,
                key=key,
                by=READER,
            )
        except LimitError as problem:  # it is still to be searched, another time
            return None, State(state.version, problem.message, state.following)
        except ClearholdError as problem:
            said = f"{newer.version} was not searched: {problem.message}"
            return None, State(newer.version, said, seen.following)
        return begun, State(newer.version, f"{newer.version} is searched", seen.following)

    def _view(self, unit: UnitOfWork, known: Watch, reader: str) -> WatchView:
        plan = self._discovery.plan_for(unit, known.campaign, reader=reader)
        return WatchView(
            known, str(Purl.parse(plan.package).package), self._state(unit, known, reader)
        )

    def _end(self, unit: UnitOfWork, known: Watch, ending: str, *, by: str) -> None:
        records.change(unit, known.id, {"ended_at": unit.now, "ending": ending})
        self._record(unit, known, "end", by=by)

    def _record(self, unit: UnitOfWork, known: Watch, action: str, *, by: str) -> None:
        unit.record(
            f"discovery:watch:{action}", actor=by, subject=known.id, compartment=known.compartment
        )

    def _sealed(self, unit: UnitOfWork, known: Watch, state: State) -> bytes:
        return self._vault.seal(
            unit, known.compartment, place=_place(known.id), content=msgspec.json.encode(state)
        )

    def _state(self, unit: UnitOfWork, known: Watch, reader: str) -> State:
        opened = self._vault.unseal(
            unit,
            known.compartment,
            place=_place(known.id),
            sealed=known.sealed_state,
            reader=reader,
        )
        return msgspec.json.decode(opened, type=State)


def _task(identity: WatchId, number: int) -> Task:
    arguments = {"watch": identity, "look": str(number)}
    return Task(LOOK, f"{LOOK}:{identity}:{number}", arguments, "patient")


def _no_lease(technique: Technique, *, coming: bool) -> ConflictError:
    return ConflictError(
        "Your lease covers no commit that is still to come."
        if coming
        else f"You hold no lease that covers {technique} of what the campaign searched.",
        next_step="Claim a lease with `clearhold scan claim`, over "
        + ("all versions, or those from one on." if coming else "the versions to come."),
    )


def _place(identity: WatchId) -> tuple[str, str, str]:
    return ("campaign_watch", "sealed_state", identity)


def _found(unit: UnitOfWork, actor: Actor, identity: WatchId) -> Watch:
    known = next(iter(records.seen_by(unit, actor, identity)), None)
    if known is None:
        raise NotFoundError(
            "There is no such watch.", next_step="See `clearhold discover watches`."
        )
    return known

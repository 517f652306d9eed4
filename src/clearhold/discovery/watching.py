"""Searching again when a newer version is published: a watch on a campaign, under a lease.

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
from clearhold.discovery import watch_records as records
from clearhold.discovery.campaigns import LONGEST_BUDGET_S
from clearhold.discovery.engine import Kind, Plan
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


class State(msgspec.Struct, frozen=True):
    """What is sealed of a watch: the version last seen, and what the last look came to, in words."""

    version: str
    note: str = ""


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
    ) -> WatchId:
        """Watch for versions newer than the one a campaign of the actor's party searched.

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
            if not self._scanning.holds(
                unit,
                actor.party,
                lease,
                fence=fence,
                package=purl.package,
                version=purl.version or "",
                technique=engine.technique,
            ):
                raise ConflictError(
                    f"You hold no lease that covers {engine.technique} of what the campaign searched.",
                    next_step="Claim a lease with `clearhold scan claim`, over the versions to come.",
                )
            parties.hold(unit, actor.party)
            watched = records.open_of(unit, actor.party)
            known = next((each for each in watched if each.campaign == campaign), None)
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
            sealed = self._sealed(unit, new, State(purl.version or ""))
            records.add(unit, replace(new, sealed_state=sealed))
            self._record(unit, new, "begin", by=actor.principal)
            unit.enqueue(_task(new.id, 0))
            return new.id

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
        newer, note, unforeseen = None, "nothing newer", None
        try:
            newer = self._releases.newer(plan.package, plan.target, after=state.version)
        except (ClearholdError, OSError) as problem:
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            note = error.message
        except Exception as problem:  # noqa: BLE001  # raised again, once the next look is queued
            note = f"the look failed in a way that nobody foresaw ({type(problem).__name__})"
            unforeseen = problem
        with self._sessions.transaction() as unit:
            known = self._due(unit, identity, number)
            if known is None:
                return
            begun = None
            if newer is not None:
                begun, state = self._searched(unit, known, plan, newer, state)
            else:
                state = State(state.version, note)
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
        if not self._scanning.in_force(unit, known.party, known.lease, fence=known.fence):
            self._end(unit, known, "lease", by=READER)
            return None
        if not records.heeded(unit, identity):
            self._end(unit, known, "suspended", by=READER)
            return None
        return known

    def _searched(
        self, unit: UnitOfWork, known: Watch, plan: Plan, newer: SideSource, state: State
    ) -> tuple[DiscoveryId | None, State]:
        """The campaign that was begun on a newer version, or None; and what to remember."""
        purl = replace(Purl.parse(plan.package), version=newer.version)
        again = replace(
            plan, package=str(purl), seed=time.time_ns() // 1000 % (1 << 32) or 1, source=newer
        )
        try:
            begun = self._discovery.again(
                unit,
                known.party,
                again,
                lease=known.lease,
                fence=known.fence,
                key=self._vault.request_key(known.party, f"{LOOK}:{known.id}:{newer.version}"),
                by=READER,
            )
        except LimitError as problem:  # the version is still to be searched, another time
            return None, State(state.version, problem.message)
        except ClearholdError as problem:
            return None, State(
                newer.version, f"{newer.version} was not searched: {problem.message}"
            )
        return begun, State(newer.version, f"{newer.version} is searched")

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


def _place(identity: WatchId) -> tuple[str, str, str]:
    return ("campaign_watch", "sealed_state", identity)


def _found(unit: UnitOfWork, actor: Actor, identity: WatchId) -> Watch:
    known = next(iter(records.seen_by(unit, actor, identity)), None)
    if known is None:
        raise NotFoundError(
            "There is no such watch.", next_step="See `clearhold discover watches`."
        )
    return known

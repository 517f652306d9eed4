"""Looking for more, within what a lease allows: a fuzzer in the sandbox, with a budget and a seed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.discovery import records
from clearhold.discovery.records import Campaign
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    machine_error,
)
from clearhold.kernel.ids import DiscoveryId, LeaseId, PartyId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.ports.engine import Task
from clearhold.scanning.coverage_model import NewCoverage
from clearhold.scanning.model import Outcome
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

READER: Final = "service:discovery"
RUN: Final = "discovery.run"
LONGEST_BUDGET_S: Final = 24 * 3600
_PROGRESS_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to search: a package with its version, the recipe's target, a seed, seconds."""

    package: str
    target: str
    seed: int
    budget_s: int


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found: the crashing input if any, how much was tried, the engine's last words."""

    crash: bytes | None
    executions: int
    edges: int
    log: str


class Searcher(Protocol):
    """Whoever can search: the laboratory here, or a worker elsewhere."""

    def targets(self, package: str) -> tuple[str, ...]:
        """What can be searched of a package with its version; empty when nothing can."""
        ...

    def search(self, plan: Plan, *, on_progress: Callable[[int, int], None]) -> Searched:
        """Search until a crash, or the budget's end; tells executions and edges as it goes."""
        ...


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as its holder sees it."""

    campaign: Campaign
    plan: Plan
    crash: bytes | None
    note: str


class DiscoveryService:
    """Runs campaigns under leases."""

    def __init__(
        self, sessions: Sessions, vault: Vault, scanning: ScanningService, *, searcher: Searcher
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._scanning = scanning
        self._searcher = searcher

    def begin(
        self,
        actor: Actor,
        *,
        lease: LeaseId,
        fence: int,
        package: str,
        target: str,
        seed: int | None,
        budget_s: int,
        key: str,
    ) -> DiscoveryId:
        """Queue a campaign under a lease the actor holds; without a seed the clock gives one.

        Raises `ConflictError` when the lease does not cover it, `InvalidError` when there is
        nothing to search or the budget or seed is out of bounds.
        """
        actor.need(Permission.DISCOVERY_RUN)
        purl = Purl.parse(package)
        if not 1 <= budget_s <= LONGEST_BUDGET_S:
            raise InvalidError(
                "A budget is between a second and a day.", next_step="Choose another budget."
            )
        if target not in self._searcher.targets(package):
            raise InvalidError(
                "There is no recipe that can search this target of this version.",
                next_step="See the targets of the catalogue, or add a recipe.",
            )
        if seed is not None and not 1 <= seed < 1 << 32:
            raise InvalidError(
                "A seed is a number from 1 to 4294967295.", next_step="Choose another, or none."
            )
        key = self._vault.request_key(actor.party, key)
        given = seed
        if seed is None:
            # libFuzzer takes 32 bits and treats 0 as "choose one yourself", which nobody could replay.
            seed = time.time_ns() // 1000 % (1 << 32) or 1
        with self._sessions.transaction() as unit:
            plan = Plan(package, target, seed, budget_s)
            known = records.by_key(unit, actor.party, key)
            if known is not None:
                self._same(unit, known, plan, seed=given)
                return known.id
            if wishes.for_package(unit, purl.package).do_not_scan:
                raise wishes.opted_out()
            if not self._covered(unit, actor.party, lease, fence=fence, purl=purl):
                raise ConflictError(
                    "You hold no lease that covers fuzzing this version.",
                    next_step="Claim a lease with `clearhold scan claim`, then try again.",
                )
            identity = DiscoveryId(new_id(unit.now))
            within = self._vault.open_compartment(unit)
            read_in(
                unit,
                within,
                Grantee(actor.party),
                tier=0,
                reason="runs the campaign",
                granted_by=actor.principal,
            )
            sealed = self._vault.seal(
                unit, within, place=_place(identity, "sealed_plan"), content=_plan_bytes(plan)
            )
            new = Campaign(
                id=identity,
                party=actor.party,
                lease=lease,
                fence=fence,
                compartment=within,
                sealed_plan=sealed,
                state="queued",
                seed=seed,
                budget_s=budget_s,
                executions=0,
                edges=0,
                crash=None,
                sealed_note=None,
                queued_at=unit.now,
                ended_at=None,
            )
            records.add(unit, new, key=key)
            unit.record(
                "discovery:campaign:begin",
                actor=actor.principal,
                subject=identity,
                compartment=within,
                detail={"lease": lease, "seed": str(seed)},
            )
            unit.enqueue(Task(RUN, f"{RUN}:{identity}", {"campaign": identity}, "heavy"))
            return identity

    def get(self, actor: Actor, identity: DiscoveryId) -> CampaignView:
        """A campaign the actor may see, with the crashing input. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            found = records.seen_by(unit, actor, identity)
            if not found:
                raise NotFoundError("There is no such campaign.", next_step="Check the id.")
            (known,) = found
            crash = None
            if known.crash is not None:
                crash = self._vault.fetch(unit, known.crash, reader=actor.principal)
            note = self._opened(unit, known, "sealed_note", known.sealed_note, actor.principal)
            return CampaignView(known, self._plan(unit, known, actor.principal), crash, note)

    def list(self, actor: Actor) -> tuple[Campaign, ...]:
        """The campaigns the actor may see, newest first."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return records.seen_by(unit, actor)

    def run(self, identity: DiscoveryId) -> None:
        """Search and record what came of it; a campaign cut off starts again with its seed.

        Nothing is searched once the lease has ended: whoever revoked it wants no more of it.
        """
        with self._sessions.transaction() as unit:
            known = _found(records.one(unit, identity))
            if known.ended_at is not None:
                return
            plan = self._plan(unit, known, READER)
            purl = Purl.parse(plan.package)
            if not self._covered(unit, known.party, known.lease, fence=known.fence, purl=purl):
                note = "The lease ended before the search began."
                self._end(unit, known, None, note, version=purl.version or "")
                return
        searched: Searched | None = None
        try:
            searched = self._searcher.search(plan, on_progress=self._progress(identity))
            note = searched.log
        except (ClearholdError, OSError) as problem:
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            note = f"{error.message} {error.next_step}"
        with self._sessions.transaction() as unit:
            if _found(records.one(unit, identity)).ended_at is None:
                self._end(unit, known, searched, note, version=purl.version or "")

    def _covered(
        self, unit: UnitOfWork, party: PartyId, lease: LeaseId, *, fence: int, purl: Purl
    ) -> bool:
        return self._scanning.holds(
            unit,
            party,
            lease,
            fence=fence,
            package=purl.package,
            version=purl.version or "",
            technique=Technique.FUZZING,
        )

    def _end(
        self,
        unit: UnitOfWork,
        known: Campaign,
        searched: Searched | None,
        note: str,
        *,
        version: str,
    ) -> None:
        values: dict[str, Any] = {
            "ended_at": unit.now,
            "sealed_note": self._vault.seal(
                unit,
                known.compartment,
                place=_place(known.id, "sealed_note"),
                content=note.encode(),
            ),
        }
        outcome = Outcome.ABORTED
        if searched is None:
            values["state"] = "failed"
        else:
            outcome = Outcome.NOTHING_FOUND if searched.crash is None else Outcome.FOUND
            values["state"] = str(outcome).replace("-", "_")
            values |= {"executions": searched.executions, "edges": searched.edges}
            if searched.crash is not None:
                values["crash"] = self._vault.store(
                    unit,
                    known.compartment,
                    content=searched.crash,
                    media_type="application/octet-stream",
                )
        records.change(unit, known.id, values)
        effort = (
            {}
            if searched is None
            else {
                "executions": searched.executions,
                "edges": searched.edges,
            }
        )
        digest = hashlib.sha256(note.encode()).hexdigest()
        self._scanning.record_coverage(
            unit, known.lease, NewCoverage(outcome, effort, digest, version=version)
        )
        unit.record(
            "discovery:campaign:end",
            actor=READER,
            subject=known.id,
            compartment=known.compartment,
            detail={"state": values["state"]},
        )

    def _progress(self, identity: DiscoveryId) -> Callable[[int, int], None]:
        told = 0.0

        def tell(executions: int, edges: int) -> None:
            nonlocal told
            if time.monotonic() - told < _PROGRESS_S:
                return
            told = time.monotonic()
            with self._sessions.transaction() as unit:
                records.change(unit, identity, {"executions": executions, "edges": edges})

        return tell

    def _same(self, unit: UnitOfWork, known: Campaign, plan: Plan, *, seed: int | None) -> None:
        earlier = self._plan(unit, known, READER)
        if earlier != (plan if seed is not None else replace(plan, seed=earlier.seed)):
            raise ConflictError(
                "This idempotency key was used for another campaign.",
                next_step="Use a fresh key for a new campaign.",
            )

    def _plan(self, unit: UnitOfWork, known: Campaign, reader: str) -> Plan:
        text = self._opened(unit, known, "sealed_plan", known.sealed_plan, reader)
        return Plan(**json.loads(text))

    def _opened(
        self, unit: UnitOfWork, known: Campaign, column: str, sealed: bytes | None, reader: str
    ) -> str:
        if sealed is None:
            return ""
        place = _place(known.id, column)
        opened = self._vault.unseal(
            unit, known.compartment, place=place, sealed=sealed, reader=reader
        )
        return opened.decode()


def _place(identity: DiscoveryId, column: str) -> tuple[str, str, str]:
    return ("campaign", column, identity)


def _plan_bytes(plan: Plan) -> bytes:
    fields: Mapping[str, object] = {
        "package": plan.package,
        "target": plan.target,
        "seed": plan.seed,
        "budget_s": plan.budget_s,
    }
    return json.dumps(fields, sort_keys=True).encode()


def _found(known: Campaign | None) -> Campaign:
    if known is None:
        raise NotFoundError("There is no such campaign.", next_step="Check the id.")
    return known

"""Looking for more, within what a lease allows: an engine in the sandbox, with a budget and a seed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.discovery import records
from clearhold.discovery.agents.keeping import AgentKeeping, Piece
from clearhold.discovery.campaigns import (
    LONGEST_BUDGET_S,
    RUN,
    SECONDS_PER_DAY,
    Campaigns,
    CampaignView,
    Searcher,
    found,
    no_campaign,
    seen,
)
from clearhold.discovery.engine import (
    Crash,
    Ending,
    Engine,
    Kind,
    Plan,
    Searched,
)
from clearhold.discovery.keeping import READER
from clearhold.discovery.records import Campaign
from clearhold.discovery.running import CampaignRuns
from clearhold.discovery.variants.flawed import FindingModels, model_of
from clearhold.kernel.errors import (
    ConflictError,
    InvalidError,
)
from clearhold.kernel.ids import DiscoveryId, LeaseId, PartyId
from clearhold.kernel.purl import Purl
from clearhold.ports.engine import Task
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault


class DiscoveryService:
    """Runs campaigns under leases."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        scanning: ScanningService,
        *,
        searcher: Searcher,
        seconds_per_day: int = SECONDS_PER_DAY,
        agents: AgentKeeping | None = None,
        models: FindingModels | None = None,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._searcher = searcher
        self._models = models
        self._agents = agents or AgentKeeping(sessions, vault)
        self._campaigns = Campaigns(vault, scanning, self._agents, seconds_per_day=seconds_per_day)
        self._runs = CampaignRuns(
            sessions,
            scanning,
            self._campaigns,
            searcher=searcher,
            agents=self._agents,
            models=models,
        )

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
        engine: str = "libfuzzer",
        options: Mapping[str, str] | None = None,
    ) -> DiscoveryId:
        """Queue a campaign under a lease the actor holds; without a seed the clock gives one.

        Without a target, it is the only one there is. Raises `ConflictError` when the lease does
        not cover it, `InvalidError` when there is nothing to search or the engine, its options, the
        budget or the seed is out of bounds, `LimitError` when the party has searched enough today.
        """
        actor.need(Permission.DISCOVERY_RUN)
        Purl.parse(package)  # what is none is refused first
        if not 1 <= budget_s <= LONGEST_BUDGET_S:
            raise InvalidError(
                "A budget is between a second and a day.", next_step="Choose another budget."
            )
        chosen = self._searcher.engine(engine)
        chosen.check(options or {})
        if chosen.kind is Kind.AGENT:  # what it proves is submitted in the party's name
            actor.need(Permission.FINDINGS_SUBMIT)
        model_of(
            self._models, actor, options or {}
        )  # who may not read the finding learns so at once
        target = self._target(package, target, engine)
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
            plan = Plan(package, target, seed, budget_s, engine, dict(options or {}))
            known = records.by_key(unit, actor.party, key)
            if known is not None:
                self._same(unit, known, plan, seed=given)
                return known.id
            return self._campaigns.queue(
                unit,
                actor.party,
                plan,
                chosen,
                lease=lease,
                fence=fence,
                key=key,
                by=actor.principal,
            )

    def get(self, actor: Actor, identity: DiscoveryId) -> CampaignView:
        """A campaign the actor may see, with the crashing input. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return self._campaigns.view(unit, seen(unit, actor, identity), actor.principal)

    def open_for(self, unit: UnitOfWork, identity: DiscoveryId, *, reader: str) -> CampaignView:
        """A campaign with what it met, released to `reader`, a service. Raises `NotFoundError`."""
        return self._campaigns.view(unit, found(records.one(unit, identity)), reader)

    def own(self, unit: UnitOfWork, actor: Actor, identity: DiscoveryId) -> tuple[Campaign, Plan]:
        """A campaign of the actor's own party, and what it searches. Raises `NotFoundError`."""
        known = seen(unit, actor, identity)
        if known.party != actor.party:
            raise no_campaign()
        return known, self._campaigns.plan(unit, known, actor.principal)

    def plan_for(self, unit: UnitOfWork, identity: DiscoveryId, *, reader: str) -> Plan:
        """What a campaign searches, released to `reader` alone. Raises `NotFoundError`."""
        return self._campaigns.plan(unit, found(records.one(unit, identity)), reader)

    def engine_of(self, plan: Plan) -> Engine:
        """The engine that a plan is for."""
        return self._searcher.engine(plan.engine)

    def begun(self, unit: UnitOfWork, party: PartyId, *, key: str) -> bool:
        """Whether a party's search that it asked for in advance was begun by that key."""
        return records.by_key(unit, party, key) is not None

    def again(
        self,
        unit: UnitOfWork,
        party: PartyId,
        plan: Plan,
        *,
        lease: LeaseId,
        fence: int,
        key: str,
        by: str,
    ) -> DiscoveryId:
        """Queue a search that a party asked for in advance, once for each key.

        Raises as `begin` does when the lease does not cover it or too much was searched today.
        """
        known = records.by_key(unit, party, key)
        if known is not None:
            return known.id
        return self._campaigns.queue(
            unit, party, plan, self.engine_of(plan), lease=lease, fence=fence, key=key, by=by
        )

    def crash(self, actor: Actor, identity: DiscoveryId, number: int) -> Crash:
        """The crash of that number, from 1, of a campaign the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = seen(unit, actor, identity)
            met = self._campaigns.keeping.crashes(unit, known, reader=actor.principal)[
                number - 1 : number
            ]
            if not met:
                raise no_campaign()
            return met[0]

    def corpus(self, actor: Actor, identity: DiscoveryId) -> tuple[bytes, ...]:
        """What the actor's party keeps of inputs for the target of a campaign of its own.

        Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = seen(unit, actor, identity)
            if known.party != actor.party:
                raise no_campaign()
            plan = self._campaigns.plan(unit, known, actor.principal)
            kept = self._campaigns.keeping.corpus(unit, known.party, plan, reader=actor.principal)
            return tuple(kept[name] for name in sorted(kept))

    def transcript(self, actor: Actor, identity: DiscoveryId) -> tuple[Piece, ...]:
        """The transcript of a campaign of the actor's party; empty unless an agent ran it.

        Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = seen(unit, actor, identity)
            return self._agents.transcript(unit, known, reader=actor.principal)

    def stop(self, actor: Actor, identity: DiscoveryId) -> None:
        """End a campaign of the actor's party: at once, or within seconds when it runs.

        Stopping one that is over changes nothing. Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_RUN)
        with self._sessions.transaction() as unit:
            known = seen(unit, actor, identity)
            if known.ended_at is not None or known.stop_asked_at is not None:
                return
            records.change(unit, identity, {"stop_asked_at": unit.now})
            unit.record(
                "discovery:campaign:stop",
                actor=actor.principal,
                subject=identity,
                compartment=known.compartment,
            )
            if known.begun_at is None:
                self._campaigns.end(unit, known, Searched(Ending.STOPPED), version="")
                return
            # Whoever ran it may be gone, and its task with it: this one ends what is left.
            unit.enqueue(Task(RUN, f"{RUN}:{identity}:stop", {"campaign": identity}, "heavy"))

    def list(self, actor: Actor) -> tuple[Campaign, ...]:
        """The campaigns the actor may see, newest first."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return records.seen_by(unit, actor)

    def run(self, identity: DiscoveryId) -> None:
        """Search and record what came of it; see `CampaignRuns.run`."""
        self._runs.run(identity)

    def _target(self, package: str, target: str, engine: str) -> str:
        """The target that is meant. Raises `InvalidError` when there is none such."""
        there = self._searcher.targets(package, engine)
        if not target and len(there) == 1:
            return there[0]
        if target not in there:
            raise InvalidError(
                "There is no recipe that can search this target of this version."
                if target
                else "No target was named, and there is not exactly one.",
                next_step=f"Use one of: {', '.join(there)}."
                if there
                else f"Add a recipe of yours that {engine} can search; see docs/discovery.md.",
            )
        return target

    def _same(self, unit: UnitOfWork, known: Campaign, plan: Plan, *, seed: int | None) -> None:
        earlier = self._campaigns.plan(unit, known, READER)
        if earlier != (plan if seed is not None else replace(plan, seed=earlier.seed)):
            raise ConflictError(
                "This idempotency key was used for another campaign.",
                next_step="Use a fresh key for a new campaign.",
            )

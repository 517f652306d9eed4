"""Looking for more, within what a lease allows: an engine in the sandbox, with a budget and a seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.catalogue.model import Technique
from clearhold.discovery import records
from clearhold.discovery.agents.keeping import AgentKeeping, Piece
from clearhold.discovery.engine import (
    Crash,
    Ending,
    Engine,
    Kind,
    Plan,
    Progress,
    Searched,
    Standing,
    Start,
    StoppedError,
)
from clearhold.discovery.keeping import READER, CampaignKeeping
from clearhold.discovery.leads import LeadKeeping
from clearhold.discovery.outcome import SAID, Told, came_to, effort_of, looked_at
from clearhold.discovery.records import Campaign
from clearhold.discovery.variants.flawed import FindingModel, FindingModels, acting_for
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    machine_error,
)
from clearhold.kernel.ids import DiscoveryId, FindingId, LeaseId, PartyId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.ports.engine import Task
from clearhold.scanning.coverage_model import MOST_FUNCTIONS, NewCoverage
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

RUN: Final = "discovery.run"
REPORT: Final = "discovery.report"
"""The flow that submits what an agent proved."""
LONGEST_BUDGET_S: Final = 24 * 3600
SECONDS_PER_DAY: Final = 2 * LONGEST_BUDGET_S
_PROGRESS_S: Final = 1.0
_PULSE_S: Final = 1.0


class Searcher(Protocol):
    """Whoever can search: the laboratory here, or a worker elsewhere."""

    def engine(self, name: str) -> Engine:
        """The engine of that name. Raises `InvalidError` naming those there are."""
        ...

    def targets(self, package: str, engine: str) -> tuple[str, ...]:
        """What an engine can search of a package with its version; empty when nothing."""
        ...

    def search(
        self,
        plan: Plan,
        start: Start,
        *,
        on_progress: Callable[[Progress], None],
        pulse: Callable[[], None],
    ) -> Searched:
        """Search until something is found, or the budget's end; `pulse` is called every second."""
        ...


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as its holder sees it; `crash` is the first that was confirmed."""

    campaign: Campaign
    plan: Plan
    crash: bytes | None
    crashes: tuple[Crash, ...]
    note: str


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
        self._scanning = scanning
        self._searcher = searcher
        self._seconds_per_day = seconds_per_day
        self._keeping = CampaignKeeping(vault)
        self._leads = LeadKeeping(vault)
        self._models = models
        self._agents = agents or AgentKeeping(sessions, vault)

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
        purl = Purl.parse(package)
        if not 1 <= budget_s <= LONGEST_BUDGET_S:
            raise InvalidError(
                "A budget is between a second and a day.", next_step="Choose another budget."
            )
        chosen = self._searcher.engine(engine)
        chosen.check(options or {})
        if chosen.kind is Kind.AGENT:  # what it proves is submitted in the party's name
            actor.need(Permission.FINDINGS_SUBMIT)
        self._model(actor, options or {})  # who may not read the finding learns so at once
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
            if wishes.for_package(unit, purl.package).do_not_scan:
                raise wishes.opted_out()
            if not self._covered(
                unit, actor.party, lease, fence=fence, purl=purl, technique=chosen.technique
            ):
                raise ConflictError(
                    f"You hold no lease that covers {chosen.technique} of this version.",
                    next_step="Claim a lease with `clearhold scan claim`, then try again.",
                )
            self._within_the_day(unit, actor.party, budget_s)
            if chosen.kind is Kind.AGENT:
                self._agents.within_the_day(unit, actor.party)
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
                engine=engine,
            )
            records.add(unit, new, key=key, target=self._keeping.mark(actor.party, plan))
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
            return self._view(unit, _seen(unit, actor, identity), actor.principal)

    def open_for(self, unit: UnitOfWork, identity: DiscoveryId, *, reader: str) -> CampaignView:
        """A campaign with what it met, released to `reader`, a service. Raises `NotFoundError`."""
        return self._view(unit, _found(records.one(unit, identity)), reader)

    def crash(self, actor: Actor, identity: DiscoveryId, number: int) -> Crash:
        """The crash of that number, from 1, of a campaign the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, identity)
            met = self._keeping.crashes(unit, known, reader=actor.principal)[number - 1 : number]
            if not met:
                raise _no_campaign()
            return met[0]

    def corpus(self, actor: Actor, identity: DiscoveryId) -> tuple[bytes, ...]:
        """What the actor's party keeps of inputs for the target of a campaign of its own.

        Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, identity)
            if known.party != actor.party:
                raise _no_campaign()
            plan = self._plan(unit, known, actor.principal)
            kept = self._keeping.corpus(unit, known.party, plan, reader=actor.principal)
            return tuple(kept[name] for name in sorted(kept))

    def transcript(self, actor: Actor, identity: DiscoveryId) -> tuple[Piece, ...]:
        """The transcript of a campaign of the actor's party; empty unless an agent ran it.

        Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, identity)
            return self._agents.transcript(unit, known, reader=actor.principal)

    def stop(self, actor: Actor, identity: DiscoveryId) -> None:
        """End a campaign of the actor's party: at once, or within seconds when it runs.

        Stopping one that is over changes nothing. Raises `NotFoundError`.
        """
        actor.need(Permission.DISCOVERY_RUN)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, identity)
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
                self._end(unit, known, Searched(Ending.STOPPED), version="")
                return
            # Whoever ran it may be gone, and its task with it: this one ends what is left.
            unit.enqueue(Task(RUN, f"{RUN}:{identity}:stop", {"campaign": identity}, "heavy"))

    def list(self, actor: Actor) -> tuple[Campaign, ...]:
        """The campaigns the actor may see, newest first."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return records.seen_by(unit, actor)

    def run(self, identity: DiscoveryId) -> None:
        """Search and record what came of it; a campaign cut off goes on from what it had reached.

        Nothing is searched once the lease has ended: whoever revoked it wants no more of it.
        """
        with self._sessions.transaction() as unit:
            known = _found(records.one(unit, identity))
            if known.ended_at is not None:
                return
            plan = self._plan(unit, known, READER)
            purl = Purl.parse(plan.package)
            version = purl.version or ""
            chosen = self._searcher.engine(plan.engine)
            technique = chosen.technique
            if not self._covered(
                unit, known.party, known.lease, fence=known.fence, purl=purl, technique=technique
            ):
                self._end(unit, known, Searched(Ending.LEASE), version=version)
                return
            before = Progress(
                known.executions,
                known.edges,
                known.spent_s,
                self._keeping.crashes(unit, known, reader=READER),
                self._keeping.corpus(unit, known.party, plan),
            )
            if known.stop_asked_at is not None:
                stopped_so = Told(before).as_far_as(Ending.STOPPED)
                self._end(unit, known, stopped_so, version=version)
                return
            start = Start(
                before,
                self._keeping.signatures(unit, known, plan.package, plan.target),
                self._scanning.paths_of(unit, known.party, known.lease, fence=known.fence),
            )
            reader = acting_for(unit, known.party, reader=READER)
            records.change(unit, identity, {"begun_at": unit.now, "state": "running"})
        if chosen.kind is Kind.AGENT:
            start = replace(start, journal=self._agents.journal(known))
        searched, unforeseen = self._searched(known, plan, start, reader)
        with self._sessions.transaction() as unit:
            if _found(records.one(unit, identity)).ended_at is None:
                if searched.corpus:
                    self._keeping.keep_corpus(unit, known.party, plan, searched.corpus)
                self._end(unit, known, searched, version=version)
        if unforeseen is not None:
            raise unforeseen

    def _searched(
        self, known: Campaign, plan: Plan, start: Start, reader: Actor
    ) -> tuple[Searched, Exception | None]:
        """What a search came to, however it ended, and what it failed of, if nobody foresaw that."""
        told = Told(start.before)
        try:
            searched = self._searcher.search(
                plan,
                replace(start, model=self._model(reader, plan.options)),
                on_progress=self._progress(known, plan, told),
                pulse=self._pulse(known),
            )
        except StoppedError as stopped:
            return told.as_far_as(stopped.ending), None
        except (ClearholdError, OSError) as problem:
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            return told.as_far_as(Ending.FAILED, f"{error.message} {error.next_step}"), None
        except Exception as problem:  # noqa: BLE001  # raised again, once the campaign has its end
            note = f"{plan.engine} failed in a way that nobody foresaw ({type(problem).__name__})."
            return told.as_far_as(Ending.FAILED, note), problem
        return searched, None

    def _view(self, unit: UnitOfWork, known: Campaign, reader: str) -> CampaignView:
        crashes = self._keeping.crashes(unit, known, reader=reader)
        crash = next(
            (each.content for each in crashes if each.standing is Standing.CONFIRMED), None
        )
        note = self._opened(unit, known, "sealed_note", known.sealed_note, reader)
        return CampaignView(known, self._plan(unit, known, reader), crash, crashes, note)

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

    def _model(self, actor: Actor, options: Mapping[str, str]) -> FindingModel | None:
        """The finding that variants are looked for of, if that is asked and the actor may read it."""
        finding = options.get("finding")
        if finding is None or self._models is None:
            return None
        return self._models.of(actor, FindingId(finding))

    def _within_the_day(self, unit: UnitOfWork, party: PartyId, budget_s: int) -> None:
        """Raise `LimitError` when a party asks for more seconds than are left of its day's."""
        taken = records.allotted_s(unit, party, since=unit.now - timedelta(days=1))
        if taken + budget_s > self._seconds_per_day:
            left = max(0, self._seconds_per_day - taken)
            raise LimitError(
                f"Your party may search {self._seconds_per_day} s within a day; {left} s are left.",
                next_step="Choose a smaller budget, stop a campaign, or wait.",
            )

    def _covered(
        self,
        unit: UnitOfWork,
        party: PartyId,
        lease: LeaseId,
        *,
        fence: int,
        purl: Purl,
        technique: Technique,
    ) -> bool:
        return self._scanning.holds(
            unit,
            party,
            lease,
            fence=fence,
            package=purl.package,
            version=purl.version or "",
            technique=technique,
        )

    def _end(self, unit: UnitOfWork, known: Campaign, searched: Searched, *, version: str) -> None:
        scope = self._scanning.paths_of(unit, known.party, known.lease, fence=known.fence)
        taken = self._leads.take(
            unit, known, self._plan(unit, known, READER), searched, scope=scope
        )
        said = (searched.log.rstrip(), str(taken), SAID.get(searched.ending, "").strip())
        note = "\n".join(each for each in said if each)
        state, outcome = came_to(searched)
        values: dict[str, Any] = {
            "ended_at": unit.now,
            "state": state,
            "ending": str(searched.ending),
            "executions": searched.executions,
            "edges": searched.edges,
            "spent_s": searched.spent_s,
            "sealed_note": self._vault.seal(
                unit,
                known.compartment,
                place=_place(known.id, "sealed_note"),
                content=note.encode("utf-8", "replace"),
            ),
        }
        first = self._keeping.save(unit, known, searched.crashes)
        if first is not None:
            values["crash"] = first
        records.change(unit, known.id, values)
        digest = hashlib.sha256(note.encode("utf-8", "replace")).hexdigest()
        self._scanning.record_coverage(
            unit,
            known.lease,
            NewCoverage(
                outcome,
                effort_of(searched),
                digest,
                version=version,
                paths=looked_at(searched.read),
                functions=searched.functions[:MOST_FUNCTIONS],
            ),
        )
        detail = {"state": state, "ending": str(searched.ending)}
        agent = self._agents.run(unit, known)
        if agent.pieces:
            detail |= {"transcript": agent.head.hex(), "pieces": str(agent.pieces)}
            if searched.confirmed:
                unit.enqueue(Task(REPORT, f"{REPORT}:{known.id}", {"campaign": known.id}))
        unit.record(
            "discovery:campaign:end",
            actor=READER,
            subject=known.id,
            compartment=known.compartment,
            detail=detail,
        )

    def _pulse(self, known: Campaign) -> Callable[[], None]:
        """Raises `StoppedError` within seconds of the lease's end or the party's stop."""
        looked = time.monotonic()

        def pulse() -> None:
            nonlocal looked
            if time.monotonic() - looked < _PULSE_S:
                return
            looked = time.monotonic()
            with self._sessions.transaction() as unit:
                if records.stop_asked(unit, known.id):
                    raise StoppedError(Ending.STOPPED)
                if not self._scanning.in_force(unit, known.party, known.lease, fence=known.fence):
                    raise StoppedError(Ending.LEASE)

        return pulse

    def _progress(self, known: Campaign, plan: Plan, told: Told) -> Callable[[Progress], None]:
        """Notes how far a search is, every second, and keeps what it hands out between rounds."""
        noted = 0.0

        def tell(progress: Progress) -> None:
            nonlocal noted
            kept = progress.corpus is not None
            told.latest = progress if kept else replace(progress, corpus=told.latest.corpus)
            if not kept and time.monotonic() - noted < _PROGRESS_S:
                return
            noted = time.monotonic()
            values: dict[str, Any] = {
                "executions": progress.executions,
                "edges": progress.edges,
                "spent_s": progress.spent_s,
            }
            with self._sessions.transaction() as unit:
                if progress.corpus is not None:
                    first = self._keeping.save(unit, known, progress.crashes)
                    self._keeping.keep_corpus(unit, known.party, plan, progress.corpus)
                    if first is not None:
                        values["crash"] = first
                records.change(unit, known.id, values)

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
        return msgspec.json.decode(text, type=Plan)

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
    return msgspec.json.encode(plan, order="sorted")


def _seen(unit: UnitOfWork, actor: Actor, identity: DiscoveryId) -> Campaign:
    return _found(next(iter(records.seen_by(unit, actor, identity)), None))


def _found(known: Campaign | None) -> Campaign:
    if known is None:
        raise _no_campaign()
    return known


def _no_campaign() -> NotFoundError:
    return NotFoundError("There is no such campaign.", next_step="Check the id.")

"""What beginning, running and showing campaigns have in common: a campaign's plan, its view, its end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.catalogue.model import Technique
from clearhold.discovery import records
from clearhold.discovery.agents.keeping import AgentKeeping
from clearhold.discovery.engine import (
    Crash,
    Engine,
    Kind,
    Plan,
    Progress,
    Searched,
    Standing,
    Start,
)
from clearhold.discovery.keeping import READER, CampaignKeeping
from clearhold.discovery.leads import LeadKeeping
from clearhold.discovery.outcome import SAID, came_to, effort_of, looked_at
from clearhold.discovery.records import Campaign
from clearhold.kernel.errors import ConflictError, LimitError, NotFoundError
from clearhold.kernel.ids import DiscoveryId, LeaseId, PartyId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import wishes
from clearhold.ports.engine import Task
from clearhold.scanning.coverage_model import MOST_FUNCTIONS, NewCoverage
from clearhold.scanning.service import ScanningService
from clearhold.scanning.spans import is_commit
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

RUN: Final = "discovery.run"
REPORT: Final = "discovery.report"
"""The flow that submits what an agent proved."""
LONGEST_BUDGET_S: Final = 24 * 3600
SECONDS_PER_DAY: Final = 2 * LONGEST_BUDGET_S


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


class Campaigns:
    """Campaigns as they are queued, shown and ended, whoever asks for it."""

    def __init__(
        self,
        vault: Vault,
        scanning: ScanningService,
        agents: AgentKeeping,
        *,
        seconds_per_day: int = SECONDS_PER_DAY,
    ) -> None:
        self._vault = vault
        self._scanning = scanning
        self._agents = agents
        self._leads = LeadKeeping(vault)
        self._seconds_per_day = seconds_per_day
        self.keeping = CampaignKeeping(vault)

    def queue(
        self,
        unit: UnitOfWork,
        party: PartyId,
        plan: Plan,
        chosen: Engine,
        *,
        lease: LeaseId,
        fence: int,
        key: str,
        by: str,
    ) -> DiscoveryId:
        """Queue a campaign of a party under a lease of its own; `by` is who begins it.

        Raises `ConflictError` when the package is not to be scanned or the lease does not cover it,
        `LimitError` when the party has searched enough today.
        """
        purl = Purl.parse(plan.package)
        if wishes.for_package(unit, purl.package).do_not_scan:
            raise wishes.opted_out()
        if not self.covered(unit, party, lease, fence=fence, purl=purl, technique=chosen.technique):
            raise ConflictError(
                f"You hold no lease that covers {chosen.technique} of this version.",
                next_step="Claim a lease with `clearhold scan claim`, then try again.",
            )
        self._within_the_day(unit, party, plan.budget_s)
        if chosen.kind is Kind.AGENT:
            self._agents.within_the_day(unit, party)
        identity = DiscoveryId(new_id(unit.now))
        within = self._vault.open_compartment(unit)
        read_in(unit, within, Grantee(party), tier=0, reason="runs the campaign", granted_by=by)
        sealed = self._vault.seal(
            unit,
            within,
            place=place_of(identity, "sealed_plan"),
            content=msgspec.json.encode(plan, order="sorted"),
        )
        new = Campaign(
            id=identity,
            party=party,
            lease=lease,
            fence=fence,
            compartment=within,
            sealed_plan=sealed,
            state="queued",
            seed=plan.seed,
            budget_s=plan.budget_s,
            executions=0,
            edges=0,
            crash=None,
            sealed_note=None,
            queued_at=unit.now,
            ended_at=None,
            engine=plan.engine,
        )
        records.add(unit, new, key=key, target=self.keeping.mark(party, plan))
        unit.record(
            "discovery:campaign:begin",
            actor=by,
            subject=identity,
            compartment=within,
            detail={"lease": lease, "seed": str(plan.seed)},
        )
        unit.enqueue(Task(RUN, f"{RUN}:{identity}", {"campaign": identity}, "heavy"))
        return identity

    def view(self, unit: UnitOfWork, known: Campaign, reader: str) -> CampaignView:
        """A campaign with what it met, released to `reader`."""
        crashes = self.keeping.crashes(unit, known, reader=reader)
        crash = next(
            (each.content for each in crashes if each.standing is Standing.CONFIRMED), None
        )
        note = self._opened(unit, known, "sealed_note", known.sealed_note, reader)
        return CampaignView(known, self.plan(unit, known, reader), crash, crashes, note)

    def plan(self, unit: UnitOfWork, known: Campaign, reader: str) -> Plan:
        """What a campaign searches, released to `reader`."""
        text = self._opened(unit, known, "sealed_plan", known.sealed_plan, reader)
        return msgspec.json.decode(text, type=Plan)

    def covered(
        self,
        unit: UnitOfWork,
        party: PartyId,
        lease: LeaseId,
        *,
        fence: int,
        purl: Purl,
        technique: Technique,
    ) -> bool:
        """Whether a party's lease covers this technique on this version now."""
        return self._scanning.holds(
            unit,
            party,
            lease,
            fence=fence,
            package=purl.package,
            version=purl.version or "",
            technique=technique,
        )

    def end(self, unit: UnitOfWork, known: Campaign, searched: Searched, *, version: str) -> None:
        """Record a campaign's end, what it found, and what was looked at."""
        scope = self._scanning.paths_of(unit, known.party, known.lease, fence=known.fence)
        taken = self._leads.take(unit, known, self.plan(unit, known, READER), searched, scope=scope)
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
                place=place_of(known.id, "sealed_note"),
                content=note.encode("utf-8", "replace"),
            ),
        }
        first = self.keeping.save(unit, known, searched.crashes)
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
                version="" if is_commit(version) else version,
                commit=version if is_commit(version) else "",
                paths=looked_at(
                    searched.read, unread=searched.unread, scope=scope, listed=searched.listed
                ),
                measured=True,
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

    def _opened(
        self, unit: UnitOfWork, known: Campaign, column: str, sealed: bytes | None, reader: str
    ) -> str:
        if sealed is None:
            return ""
        place = place_of(known.id, column)
        opened = self._vault.unseal(
            unit, known.compartment, place=place, sealed=sealed, reader=reader
        )
        return opened.decode()

    def _within_the_day(self, unit: UnitOfWork, party: PartyId, budget_s: int) -> None:
        """Raise `LimitError` when a party asks for more seconds than are left of its day's."""
        taken = records.allotted_s(unit, party, since=unit.now - timedelta(days=1))
        if taken + budget_s > self._seconds_per_day:
            left = max(0, self._seconds_per_day - taken)
            raise LimitError(
                f"Your party may search {self._seconds_per_day} s within a day; {left} s are left.",
                next_step="Choose a smaller budget, stop a campaign, or wait.",
            )


def place_of(identity: DiscoveryId, column: str) -> tuple[str, str, str]:
    """Where what is sealed of a campaign stands."""
    return ("campaign", column, identity)


def seen(unit: UnitOfWork, actor: Actor, identity: DiscoveryId) -> Campaign:
    """The campaign, when the actor may see it. Raises `NotFoundError`."""
    return found(next(iter(records.seen_by(unit, actor, identity)), None))


def found(known: Campaign | None) -> Campaign:
    """The campaign, or `NotFoundError` when there is none."""
    if known is None:
        raise no_campaign()
    return known


def no_campaign() -> NotFoundError:
    """What is said of a campaign that is not there, or not to be seen."""
    return NotFoundError("There is no such campaign.", next_step="Check the id.")

"""Running campaigns: an engine at work, its progress noted, ended within seconds when it must be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from clearhold.access.model import Actor
from clearhold.discovery import records
from clearhold.discovery.agents.keeping import AgentKeeping
from clearhold.discovery.campaigns import Campaigns, Searcher, found
from clearhold.discovery.engine import (
    Ending,
    Kind,
    Plan,
    Progress,
    Searched,
    Start,
    StoppedError,
)
from clearhold.discovery.keeping import READER
from clearhold.discovery.outcome import Told
from clearhold.discovery.records import Campaign
from clearhold.discovery.variants.flawed import FindingModels, acting_for, model_of
from clearhold.kernel.errors import ClearholdError, machine_error
from clearhold.kernel.ids import DiscoveryId
from clearhold.kernel.purl import Purl
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions

_PROGRESS_S: Final = 1.0
_PULSE_S: Final = 1.0


class CampaignRuns:
    """Lets a campaign's engine search, and records what came of it."""

    def __init__(
        self,
        sessions: Sessions,
        scanning: ScanningService,
        campaigns: Campaigns,
        *,
        searcher: Searcher,
        agents: AgentKeeping,
        models: FindingModels | None,
    ) -> None:
        self._sessions = sessions
        self._scanning = scanning
        self._campaigns = campaigns
        self._searcher = searcher
        self._agents = agents
        self._models = models

    def run(self, identity: DiscoveryId) -> None:
        """Search and record what came of it; a campaign cut off goes on from what it had reached.

        Nothing is searched once the lease has ended: whoever revoked it wants no more of it.
        """
        with self._sessions.transaction() as unit:
            known = found(records.one(unit, identity))
            if known.ended_at is not None:
                return
            plan = self._campaigns.plan(unit, known, READER)
            purl = Purl.parse(plan.package)
            version = purl.version or ""
            chosen = self._searcher.engine(plan.engine)
            technique = chosen.technique
            if not self._campaigns.covered(
                unit, known.party, known.lease, fence=known.fence, purl=purl, technique=technique
            ):
                self._campaigns.end(unit, known, Searched(Ending.LEASE), version=version)
                return
            before = Progress(
                known.executions,
                known.edges,
                known.spent_s,
                self._campaigns.keeping.crashes(unit, known, reader=READER),
                self._campaigns.keeping.corpus(unit, known.party, plan),
            )
            if known.stop_asked_at is not None:
                stopped_so = Told(before).as_far_as(Ending.STOPPED)
                self._campaigns.end(unit, known, stopped_so, version=version)
                return
            start = Start(
                before,
                self._campaigns.keeping.signatures(unit, known, plan.package, plan.target),
                self._scanning.paths_of(unit, known.party, known.lease, fence=known.fence),
            )
            reader = acting_for(unit, known.party, reader=READER)
            records.change(unit, identity, {"begun_at": unit.now, "state": "running"})
        if chosen.kind is Kind.AGENT:
            start = replace(start, journal=self._agents.journal(known))
        searched, unforeseen = self._searched(known, plan, start, reader)
        with self._sessions.transaction() as unit:
            if found(records.one(unit, identity)).ended_at is None:
                if searched.corpus:
                    self._campaigns.keeping.keep_corpus(unit, known.party, plan, searched.corpus)
                self._campaigns.end(unit, known, searched, version=version)
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
                replace(start, model=model_of(self._models, reader, plan.options)),
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
                    first = self._campaigns.keeping.save(unit, known, progress.crashes)
                    self._campaigns.keeping.keep_corpus(unit, known.party, plan, progress.corpus)
                    if first is not None:
                        values["crash"] = first
                records.change(unit, known.id, values)

        return tell

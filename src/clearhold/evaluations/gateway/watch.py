"""What the gateway does by itself: notices, canary rounds in time, probes, and what was lost.

One sweep every ten minutes looks at all engagements; nothing hangs on a timer of a single one. It may
run again after a crash, or twice at once: each act looks first whether it was done. Access itself
needs no sweep, for the clock is looked at in each call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from clearhold.evaluations import agreement_records as agreements
from clearhold.evaluations import engagement_records as engagements
from clearhold.evaluations import notices as rules
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.call_chain import Outcome
from clearhold.evaluations.clock import Clock
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagement_rules import access_clock
from clearhold.evaluations.engagements import note, settled
from clearhold.evaluations.gateway import records, rounds
from clearhold.evaluations.gateway.calls import Gateway
from clearhold.evaluations.gateway.opened import READER
from clearhold.evaluations.gateway.records import StoredGateway, StoredNotice
from clearhold.evaluations.gateway.rounds import GATEWAY, Kind, Rounds
from clearhold.evaluations.model import OVER, REACHABLE, EngagementState
from clearhold.evaluations.notices import Due, Notice
from clearhold.kernel.errors import ClearholdError
from clearhold.kernel.ids import EngagementId, ModelAgreementId
from clearhold.ports.engine import Task
from clearhold.store.schema import EPOCH
from clearhold.store.unit_of_work import Sessions, UnitOfWork

SWEEP: Final = "evaluations.sweep"
EVERY: Final = timedelta(minutes=10)
SHORTEST_OUTAGE: Final = timedelta(hours=1)
_LONGEST_MARGIN: Final = timedelta(hours=6)
_BEFORE_DRAFT: Final = frozenset(
    {
        EngagementState.ACCESS_VERIFIED,
        EngagementState.TESTING,
        EngagementState.PAUSED,
        EngagementState.INCIDENT_HOLD,
        EngagementState.ANALYSIS,
    }
)

_log = logging.getLogger(__name__)


class Watch:
    """The flow `evaluations.sweep`."""

    def __init__(
        self,
        sessions: Sessions,
        register: ModelAgreements,
        *,
        gateway: Gateway,
        canaries: Rounds,
    ) -> None:
        self._sessions = sessions
        self._register = register
        self._gateway = gateway
        self._canaries = canaries
        self._draft_days: dict[ModelAgreementId, int] = {}

    def begin_sweeping(self) -> None:
        """Queue this sweep; every worker does so when it starts, and one sweep runs."""
        with self._sessions.transaction() as unit:
            _queue(unit, unit.now)

    def sweep(self, _ids: Mapping[str, str]) -> None:
        """Look at everything once, and come back in ten minutes.

        The next sweep is queued first, so that no trouble in this one ends the round.
        """
        with self._sessions.transaction() as unit:
            _queue(unit, unit.now + EVERY)
            all_ = records.gateways(unit)
        self._gateway.close_lost()
        for each in all_:
            try:
                self.look(each)
            except ClearholdError as error:  # one in trouble keeps none of the others back
                _log.warning("an engagement could not be looked after: %s", error.message)

    def look(self, engagement: EngagementId) -> None:
        """Do what is due in one engagement."""
        probe = False
        with self._sessions.transaction() as unit:
            stored = engagements.hold(unit, engagement)
            stands = None if stored is None else agreements.one(unit, stored.agreement)
            if stored is None or stands is None:
                return
            gateway = records.gateway(unit, engagement, lock=True)
            _anchor(unit, stored, gateway)
            if stored.state in OVER:
                return
            happened = engagements.happened(unit, engagement)
            clock = access_clock(settled(unit, stored), stands, happened, unit.now)
            self._give_notices(unit, stored, stands, clock)
            if clock.open and not gateway.switched_off:
                self._queue_round(unit, stored, clock)
                probe = gateway.suspected_at is not None or gateway.failing_since is not None
        if probe:
            self._probe(engagement)

    def _give_notices(
        self, unit: UnitOfWork, stored: StoredEngagement, stands: StoredAgreement, clock: Clock
    ) -> None:
        if stands.id not in self._draft_days and clock.began_at is not None:
            terms = self._register.terms(unit, stands, reader=READER)
            self._draft_days[stands.id] = terms.draft_days
        days = self._draft_days.get(stands.id, 0)
        sent = stored.state not in _BEFORE_DRAFT
        given = [Due(Notice(each.kind), each.due_at) for each in records.notices(unit, stored.id)]
        for each in rules.to_give(rules.due(clock, days, draft_sent=sent), given, unit.now):
            new = StoredNotice(stored.id, each.kind, each.at, unit.now)
            if records.give_notice(unit, new):
                unit.record(
                    f"evaluations:notice:{each.kind}",
                    actor=READER,
                    subject=stored.id,
                    compartment=stored.compartment,
                )

    def _queue_round(self, unit: UnitOfWork, stored: StoredEngagement, clock: Clock) -> None:
        """Queue the round of the middle or the end when its time has come."""
        if clock.began_at is None or clock.ends_at is None:
            return
        made = records.rounds(unit, stored.id)
        lasts = clock.ends_at - clock.began_at
        last = clock.ends_at - min(_LONGEST_MARGIN, lasts / 4)
        if unit.now >= last:
            if not any(each.round == Kind.END and each.at >= last for each in made):
                rounds.queue(unit, stored.id, Kind.END)
        elif unit.now >= clock.began_at + lasts / 2 and not any(
            each.round == Kind.MIDDLE for each in made
        ):
            rounds.queue(unit, stored.id, Kind.MIDDLE)

    def _probe(self, engagement: EngagementId) -> None:
        """Ask the endpoint once, by the gateway itself, and note how long it has given nothing.

        No call of an evaluator alone makes an outage: it could provoke failures, and time would be
        given back for them.
        """
        went = self._canaries.probe(engagement)
        if went is None:
            return
        with self._sessions.transaction() as unit:
            stored = engagements.hold(unit, engagement)
            stands = None if stored is None else agreements.one(unit, stored.agreement)
            if stored is None or stands is None or stored.state not in REACHABLE:
                return
            gateway = records.gateway(unit, engagement, lock=True)
            since = gateway.failing_since
            if went in {Outcome.ANSWERED, Outcome.RATE_LIMITED}:
                if since is not None:
                    _outage(unit, stored, gateway, since)
                records.change_gateway(
                    unit, engagement, suspected_at=None, failing_since=None, outage=None
                )
                return
            if since is None:
                records.change_gateway(unit, engagement, failing_since=unit.now, suspected_at=None)
                return
            happened = engagements.happened(unit, engagement)
            if access_clock(stored, stands, happened, unit.now).open:
                _outage(unit, stored, gateway, since)


def _outage(
    unit: UnitOfWork, stored: StoredEngagement, gateway: StoredGateway, since: datetime
) -> None:
    """Note an outage that has lasted an hour, or that one already noted goes on."""
    if gateway.outage is not None:
        engagements.lengthen(unit, stored.id, gateway.outage, until=unit.now)
    elif unit.now - since >= SHORTEST_OUTAGE:
        number = note(unit, READER, stored, "outage", GATEWAY, at=since, until=unit.now)
        records.change_gateway(unit, stored.id, outage=number)


def _anchor(unit: UnitOfWork, stored: StoredEngagement, gateway: StoredGateway) -> None:
    """Let the ledger know the last call, so that nobody can rewrite the record up to there."""
    if gateway.calls > gateway.anchored:
        unit.record(
            "evaluations:calls:head",
            actor=READER,
            subject=stored.id,
            compartment=stored.compartment,
            detail={"number": str(gateway.calls), "sha256": gateway.head.hex()},
        )
        records.change_gateway(unit, stored.id, anchored=gateway.calls)


def _queue(unit: UnitOfWork, at: datetime) -> None:
    slot = (at - EPOCH) // EVERY
    begins = max(EPOCH + slot * EVERY - unit.now, timedelta(0))
    unit.enqueue(Task(SWEEP, f"{SWEEP}:{slot}", {}), delay=begins)

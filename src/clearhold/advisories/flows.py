"""Publishing: once, at its instant, whatever happens to the process.

Three steps, each safe to repeat. First everything that will be published is frozen: rendered,
checked, and written down with the bundle that carries it. Then the files are released through the
publisher, which changes nothing for files it has already released. Last, one transaction makes the
advisory published: the feeds show it, the case knows the public is aware, the event goes out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from clearhold.advisories import records, release
from clearhold.advisories.dossier import Dossier, Dossiers
from clearhold.advisories.records import State
from clearhold.advisories.service import READER, put_on_clock
from clearhold.kernel.errors import ClearholdError, ConflictError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import AdvisoryId
from clearhold.ports.clock import Clock
from clearhold.ports.engine import Task
from clearhold.ports.publisher import Publisher
from clearhold.store.schema import EPOCH
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire.bundle import target_path

PUBLISHED: Final = "advisory.published"
SWEEP: Final = "advisories.sweep"
_ROUND: Final = timedelta(hours=1)

_log = logging.getLogger(__name__)


class Publication:
    """The flows `advisories.publish` and `advisories.sweep`."""

    def __init__(
        self, sessions: Sessions, dossiers: Dossiers, *, publisher: Publisher, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._dossiers = dossiers
        self._publisher = publisher
        self._clock = clock

    def publish(self, arguments: Mapping[str, str]) -> None:
        """Publish the advisory named in `arguments`, if its instant has come and it is not yet."""
        identity = AdvisoryId(arguments["advisory"])
        if not self._freeze(identity):
            return
        with self._sessions.transaction() as unit:
            number, bundle = records.bundle_of(unit, identity)
            targets = records.frozen_targets(unit, identity)
        now = self._clock.now()
        self._publisher.initialise(now)
        self._publisher.publish(targets | {target_path(number): bundle}, now)
        self._conclude(identity, number)

    def begin_sweeping(self) -> None:
        """Queue the sweep of this hour; every worker does so when it starts, and one sweep runs."""
        with self._sessions.transaction() as unit:
            _queue_sweep(unit, at=unit.now)

    def sweep(self, _arguments: Mapping[str, str]) -> None:
        """Publish what is overdue, keep the repository's signatures fresh, and come back in an hour.

        The next sweep is queued first, so that no trouble in this one ends the round.
        """
        with self._sessions.transaction() as unit:
            _queue_sweep(unit, at=unit.now + _ROUND)
        for trouble in self.publish_due():
            _log.warning("an advisory is overdue: %s", trouble)
        now = self._clock.now()
        self._publisher.initialise(now)
        self._publisher.refresh(now)

    def publish_due(self) -> tuple[str, ...]:
        """Publish whatever is overdue; returns one sentence for each that could not be.

        One that fails keeps none of the others back.
        """
        with self._sessions.transaction() as unit:
            waiting = records.due(unit)
        troubles = []
        for identity in waiting:
            try:
                self.publish({"advisory": identity})
            except ClearholdError as error:
                troubles.append(f"{identity}: {error.message}")
        return tuple(troubles)

    def _freeze(self, identity: AdvisoryId) -> bool:
        """Write down what will be published; whether there is something to release."""
        with self._sessions.transaction() as unit:
            kept = records.locked(unit, identity)
            if kept is None or kept.state in {State.DRAFT, State.PUBLISHED}:
                return False
            if kept.state is State.RELEASING:
                return True
            dossier = self._dossiers.open(unit, kept, reader=READER)
            if self._too_early(unit, dossier):
                return False
            if kept.patch_needed and dossier.delivery is None:
                raise ConflictError(
                    "The case delivers no fix any more: a proof has joined it since, or none was "
                    "adopted.",
                    next_step="Have the fix judged again, or publish now with a reason.",
                )
            now = unit.now
        said = dossier.advisory(now)
        rendered = release.checked(said, dossier.delivery)
        targets = release.files(said, rendered, dossier.delivery)
        with self._sessions.transaction() as unit:
            kept = records.locked(unit, identity)
            if kept is None or kept.state is not State.SCHEDULED:
                return kept is not None and kept.state is State.RELEASING
            # Appending to the ledger makes freezers wait for each other, so that bundle numbers
            # have no gap and each bundle carries all that was frozen before it.
            unit.record(
                "advisories:advisory:freeze",
                actor=READER,
                subject=identity,
                compartment=kept.compartment,
            )
            number, bundle = release.bundle_with(
                records.last_bundle(unit), said, rendered, dossier.delivery, issued=now
            )
            records.freeze(unit, identity, targets)
            records.add_bundle(unit, number, identity, bundle)
            records.change(unit, identity, state=State.RELEASING, published_at=said.published)
        return True

    def _too_early(self, unit: UnitOfWork, dossier: Dossier) -> bool:
        """Whether the instant has not come; an embargo that was extended moves it."""
        kept, case = dossier.kept, dossier.case
        if case.embargo_ends is not None and case.under_embargo(unit.now):
            put_on_clock(unit, kept.id, case.embargo_ends)
            return True
        if kept.publish_at is None or kept.publish_at > unit.now:
            put_on_clock(unit, kept.id, kept.publish_at or unit.now)
            return True
        return False

    def _conclude(self, identity: AdvisoryId, number: int) -> None:
        with self._sessions.transaction() as unit:
            kept = records.locked(unit, identity)
            if kept is None or kept.state is not State.RELEASING:
                return
            self._dossiers.cases.made_public(unit, kept.case, by=READER)
            title = self._dossiers.unseal(unit, kept, reader=READER).title
            records.change(unit, identity, state=State.PUBLISHED, title=title)
            unit.record(
                "advisories:advisory:publish",
                actor=READER,
                subject=identity,
                compartment=kept.compartment,
                detail={"public_id": kept.public_id, "bundle": str(number)},
            )
            unit.publish(Event(PUBLISHED, identity, {"advisory": identity}))


def _queue_sweep(unit: UnitOfWork, *, at: datetime) -> None:
    hour = (at - EPOCH) // _ROUND
    begins = max(EPOCH + hour * _ROUND - unit.now, timedelta(0))
    unit.enqueue(Task(SWEEP, f"{SWEEP}:{hour}", {}), delay=begins)

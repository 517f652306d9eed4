"""How exposed packages are, handed to `scanning` so that it can suggest what is worth a scan.

Counted anew once a week, on Monday, from the inventories of operators who agreed and as they then
stand. What is handed over is a class, and below three operators nothing, so the number itself is
kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Final

from clearhold.catalogue import records as catalogue
from clearhold.inventory.sharing import InventorySharing
from clearhold.ports.engine import Task
from clearhold.scanning.coverage_model import monday_of, week_of
from clearhold.scanning.next_scan import class_of
from clearhold.scanning.suggestions import SuggestionService
from clearhold.store.unit_of_work import Sessions, UnitOfWork

COUNT: Final = "remediation.count-exposure"
READER: Final = "service:remediation"


class ExposureCounts:
    """The flows `remediation.count-exposure` and `on:inventory.sharing-changed`."""

    def __init__(
        self, sessions: Sessions, *, sharing: InventorySharing, suggestions: SuggestionService
    ) -> None:
        self._sessions = sessions
        self._sharing = sharing
        self._suggestions = suggestions

    def uploaded(self, ids: Mapping[str, str]) -> None:
        """After an upload: see that next Monday's count takes place, if anybody shares."""
        del ids
        with self._sessions.transaction() as unit:
            if self._sharing.anybody(unit):
                self._count_on_monday(unit)

    def changed(self, ids: Mapping[str, str]) -> None:
        """After an operator's change of mind: see that next Monday's count takes place."""
        del ids
        with self._sessions.transaction() as unit:
            self._count_on_monday(unit)

    def count(self, ids: Mapping[str, str]) -> None:
        """Count, hand over the classes, and arrange the next count while anybody shares."""
        del ids
        with self._sessions.transaction() as unit:
            counts = self._sharing.holders(unit, catalogue.packages(unit))
            classes = {package: class_of(count) for package, count in counts.items()}
            told = {package: each for package, each in classes.items() if each is not None}
            self._suggestions.expose(unit, told)
            unit.record("remediation:exposure:count", actor=READER, subject=READER)
            if self._sharing.anybody(unit):
                self._count_on_monday(unit)

    def _count_on_monday(self, unit: UnitOfWork) -> None:
        week = week_of(unit.now) + 1
        begins = datetime.combine(monday_of(week), time(), tzinfo=UTC)
        unit.enqueue(Task(COUNT, f"{COUNT}:{week}", {}), delay=begins - unit.now)

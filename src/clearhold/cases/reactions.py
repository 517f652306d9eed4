"""What cases do on events of modules to their left: findings that turn out to belong join in."""

from __future__ import annotations

from collections.abc import Mapping

from clearhold.cases import progress, records
from clearhold.cases.material import CaseMaterial
from clearhold.kernel.ids import FindingId
from clearhold.store.unit_of_work import Sessions, UnitOfWork

READER = "service:cases"


class CaseReactions:
    """Keeps open cases complete; every reaction may run again and changes nothing then."""

    def __init__(self, sessions: Sessions, material: CaseMaterial) -> None:
        self._sessions = sessions
        self._material = material

    def on_matched(self, ids: Mapping[str, str]) -> None:
        """After `finding.matched`: what is the same vulnerability joins its case."""
        if ids["verdict"] == "same":
            with self._sessions.transaction() as unit:
                self._join(unit, FindingId(ids["a"]))

    def on_validated(self, ids: Mapping[str, str]) -> None:
        """After `validation.decided`: a finding that has now reproduced joins its case."""
        with self._sessions.transaction() as unit:
            self._join(unit, FindingId(ids["finding"]))

    def _join(self, unit: UnitOfWork, finding: FindingId) -> None:
        proven = self._material.proven(unit, finding)
        for identity in records.of_findings(unit, tuple(head.id for head in proven)):
            case = progress.current(unit, identity)
            if case.closed_at is None:
                self._material.link(unit, case, proven, by=READER)
                return

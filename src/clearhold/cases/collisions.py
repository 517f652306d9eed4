"""That several parties found the flaw of a case: how dangerous that is, and when it turned out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from clearhold.cases import records
from clearhold.cases.records import LinkedFinding
from clearhold.findings import records as findings
from clearhold.findings.danger import Collision, collision_of
from clearhold.kernel.ids import CaseId, PartyId
from clearhold.store.unit_of_work import UnitOfWork

COLLIDED: Final = "cases:collision:learn"
"""A leaf that everyone with the content of a case may see: it says the class and names nobody."""

SERVICE: Final = "service:cases"


def collisions_in(unit: UnitOfWork, linked: Iterable[LinkedFinding]) -> dict[CaseId, Collision]:
    """The collision of each case that links any of these findings, in one query for all of them.

    For services: what of it is told depends on the reader's tier.
    """
    linked = tuple(linked)
    reproduced = findings.reproduced_among(unit, [each.finding for each in linked])
    reports: dict[CaseId, list[tuple[PartyId, datetime]]] = defaultdict(list)
    for each in linked:
        received = reproduced.get(each.finding)
        if received is not None:
            reports[each.case].append((each.party, received))
    return {each.case: collision_of(reports[each.case]) for each in linked}


def collision_in(unit: UnitOfWork, case: CaseId) -> Collision:
    """The collision of one case."""
    return collisions_in(unit, records.linked_to(unit, case)).get(case) or collision_of(())

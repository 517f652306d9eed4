"""How much plaintext a principal may be given in an hour, counted in the database.

Releases are counted by principal and minute and added up over the last sixty minutes, just before
the transaction that releases commits: two queries, however much it opened. The count of one
principal is then locked, so that parallel requests cannot each take the whole allowance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.kernel.errors import LimitError
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.tables import release_window

USUAL_LIMIT: Final = 3000
WINDOW_MINUTES: Final = 60
KEPT_MINUTES: Final = 7 * 24 * 60
_SERVICE: Final = "service:"


@dataclass(slots=True)
class Tally:
    """What one transaction has released to one principal so far."""

    unit: UnitOfWork
    principal: str
    limit: int
    released: int = 0
    compartment: str = ""

    def add(self, compartment: str) -> None:
        """Count one release."""
        self.released += 1
        self.compartment = compartment
        if self.released > self.limit:
            self._refuse()

    def __call__(self) -> None:
        """Write the count. Raises `LimitError` when it is over the limit."""
        count(self.unit, self.principal, released=self.released)
        minute = minute_of(self.unit.now)
        total = self.unit.connection.execute(
            select(func.sum(release_window.c.released)).where(
                release_window.c.principal == self.principal,
                release_window.c.minute > minute - WINDOW_MINUTES,
            )
        ).scalar_one()
        if total > self.limit:
            self._refuse()

    def _refuse(self) -> None:
        principal, compartment = self.principal, self.compartment

        def tell(after: UnitOfWork) -> None:
            count(after, principal, refused=1)
            after.record(
                "vault:plaintext:refuse",
                actor=principal,
                subject=principal,
                compartment=compartment,
                detail={"limit": str(self.limit)},
            )

        self.unit.if_undone(tell)
        raise LimitError(
            f"More than {self.limit} sealed pieces in an hour are not released to one principal.",
            next_step="Wait for some minutes; if the work needs more, ask the hub's coordinator.",
        )


def note(unit: UnitOfWork, reader: str, compartment: str, *, limit: int) -> None:
    """Count a release to `reader`; services, which answer nobody directly, have no limit."""
    if not reader.startswith(_SERVICE):
        unit.at_end(f"releases:{reader}", lambda: Tally(unit, reader, limit)).add(compartment)


def minute_of(moment: datetime) -> int:
    """Whole minutes since 1970."""
    return int(moment.timestamp()) // 60


def count(unit: UnitOfWork, principal: str, *, released: int = 0, refused: int = 0) -> None:
    """Add to a principal's count of this minute; counts of a week ago go when a minute begins."""
    insert = sqlite.insert if unit.connection.dialect.name == "sqlite" else postgresql.insert
    minute = minute_of(unit.now)
    table = release_window.c
    stands = unit.connection.execute(
        insert(release_window)
        .values(principal=principal, minute=minute, released=released, refused=refused)
        .on_conflict_do_update(
            index_elements=["principal", "minute"],
            set_={"released": table.released + released, "refused": table.refused + refused},
        )
        .returning(table.released + table.refused)
    ).scalar_one()
    if stands == released + refused:
        unit.connection.execute(
            delete(release_window).where(
                table.principal == principal, table.minute <= minute - KEPT_MINUTES
            )
        )

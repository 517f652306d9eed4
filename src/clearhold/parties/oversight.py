"""How much sealed content each principal was given: what makes a bulk reading stand out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import case, func, select

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.access.tables import principal
from clearhold.kernel.ids import PrincipalId
from clearhold.parties.tables import party
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.releases import WINDOW_MINUTES, minute_of
from clearhold.vault.tables import release_window

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """What one principal was given within an hour and a day, and what was refused within a day."""

    principal: PrincipalId
    party: str
    last_hour: int
    last_day: int
    refused: int


class Oversight:
    """What the coordinator sees of everybody's reading: numbers, never what was read."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def readings(self, actor: Actor) -> tuple[Reading, ...]:
        """The principals that were given most within a day, the busiest first."""
        actor.need(Permission.PARTIES_OVERSEE)
        with self._sessions.transaction() as unit:
            table = release_window.c
            hour = minute_of(unit.now) - WINDOW_MINUTES
            day = minute_of(unit.now - timedelta(days=1))
            last_hour = func.sum(case((table.minute > hour, table.released), else_=0))
            last_day = func.sum(table.released)
            rows = unit.connection.execute(
                select(
                    table.principal,
                    party.c.handle,
                    last_hour.label("last_hour"),
                    last_day.label("last_day"),
                    func.sum(table.refused).label("refused"),
                )
                .join(principal, principal.c.id == table.principal)
                .join(party, party.c.id == principal.c.party)
                .where(table.minute > day)
                .group_by(table.principal, party.c.handle)
                .order_by(last_day.desc(), table.principal)
                .limit(_SHOWN)
            )
            return tuple(
                Reading(
                    PrincipalId(row.principal),
                    row.handle,
                    int(row.last_hour),
                    int(row.last_day),
                    int(row.refused),
                )
                for row in rows
            )

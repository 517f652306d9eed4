"""How dangerous it is that several parties found one flaw independently.

What was found twice can be found a third time, by somebody who tells nobody. Measured on public
records, 15 to 20 in a hundred vulnerabilities are found again within a year (Herr, Schneier and
Morris, "Taking Stock: Estimating Vulnerability Rediscovery", Belfer Center 2017); of a stock of
private exploits, about 6 in a hundred a year became known to others (Ablon and Bogart, "Zero Days,
Thousands of Nights", RAND RR-1751, 2017). A flaw that has been found again is beyond both odds.

Counted are parties whose own proofs reproduced, each at its first report. Parties that share people
or a source look independent here, so the class advises and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from clearhold.kernel.ids import PartyId

CROWD: Final = 3
CLOSE: Final = timedelta(days=7)
"""Two who found a flaw within this time show that it is being found now."""


class Danger(StrEnum):
    """How likely others hold the flaw too, the mildest first."""

    SINGLE = "single"
    COLLIDED = "collided"
    CROWDED = "crowded"

    @property
    def rank(self) -> int:
        """The place in the scale, 0 for the mildest."""
        return _SCALE.index(self)

    @property
    def advised(self) -> timedelta:
        """For how long at most a case of this class should be kept quiet."""
        return _ADVISED[self]

    @property
    def reason(self) -> str:
        """Why, and where the advised time comes from; says no number, date or name."""
        return _REASONS[self]

    def caution(self, quiet: timedelta) -> str:
        """Why keeping a case quiet this long is not advised; empty when it is."""
        if quiet <= self.advised:
            return ""
        return (
            f"{self.reason} At most {self.advised.days} days since the case was opened are advised."
        )


_SCALE: Final = tuple(Danger)
_ADVISED: Final = {
    Danger.SINGLE: timedelta(days=90),
    Danger.COLLIDED: timedelta(days=45),
    Danger.CROWDED: timedelta(days=14),
}
_REASONS: Final = {
    Danger.SINGLE: "One party is known to have found this; 90 days are a customary limit.",
    Danger.COLLIDED: (
        "More than one party found this independently, so attackers may have; "
        "CERT/CC publishes after 45 days."
    ),
    Danger.CROWDED: (
        "Several parties found this independently, or two within a week, so attackers probably "
        "can; the list linux-distros allows 14 days."
    ),
}


@dataclass(frozen=True, slots=True)
class Collision:
    """The finders of one flaw and the class that follows from them.

    `first` and `last` are when the first and the latest of them first reported it; None without any.
    """

    danger: Danger
    finders: int
    first: datetime | None
    last: datetime | None


def collision_of(reports: Iterable[tuple[PartyId, datetime]]) -> Collision:
    """The class of a flaw from its reproduced reports, in any order: who reported it, and when.

    Another finder never makes the class milder, and a party's further reports never change it.
    """
    firsts: dict[PartyId, datetime] = {}
    for party, received in reports:
        firsts[party] = min(received, firsts.get(party, received))
    if not firsts:
        return Collision(Danger.SINGLE, 0, None, None)
    first, last = min(firsts.values()), max(firsts.values())
    if len(firsts) == 1:
        danger = Danger.SINGLE
    elif len(firsts) >= CROWD or last - first <= CLOSE:
        danger = Danger.CROWDED
    else:
        danger = Danger.COLLIDED
    return Collision(danger, len(firsts), first, last)

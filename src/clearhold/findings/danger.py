"""How dangerous it is that several parties found one flaw independently.

What was found twice can be found a third time, by somebody who tells nobody. Of more than 4,300
vulnerabilities with public records, 15 to 20 in a hundred were found independently at least twice
within a year (Herr, Schneier and Morris, 2017, http://www.belfercenter.org/node/96256); of a stock
of more than 200 private ones, others came upon about 5.7 in a hundred a year (Ablon and Bogart,
2017, https://www.rand.org/news/press/2017/03/09.html). A flaw that was found again is beyond both.

The classes, their bounds and the times advised for them are our own judgement. As a measure they
have deadlines that others publish: 90 days
(https://googleprojectzero.blogspot.com/p/vulnerability-disclosure-policy.html), 45 days
(https://certcc.github.io/CERT-Guide-to-CVD/tutorials/coord_certcc/vendor), and 14 days
(https://oss-security.openwall.org/wiki/mailing-lists/distros). None of these sources speaks of
flaws that were found twice.

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
"""Two who found a flaw within this time show that it is being found now: our own judgement."""


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
    Danger.SINGLE: "One party is known to have found this; Project Zero waits 90 days.",
    Danger.COLLIDED: (
        "More than one party found this independently, so attackers may have; "
        "CERT/CC generally aims to publish after 45 days."
    ),
    Danger.CROWDED: (
        "Several parties found this independently, or two within a week, so attackers probably "
        "can; the list linux-distros allows 14 days at most."
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

"""How much a party may hold, and how much it may learn by asking: pure.

Every answered claim says something of others: that nobody is there, that somebody is and bears
company, or that somebody stands against it. `answers` bounds how often a party is answered about a
package within a day, and `told` how many of those answers may tell of others. A claim narrower than
one that was answered so, in the sense that it overlaps it, counts as telling whatever comes out:
that is how one would bisect. What a party can learn of a package within a day is then one of
`transcripts` sequences of answers, and no more than their logarithm in bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import comb, log2
from typing import Final

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one party may hold and ask.

    exclusive: exclusive leases in force, of all packages together.
    per_package: leases in force on one package, of any mode.
    whole_package: how long one may hold a whole package for itself: every version, file, function.
    answers, told: answered claims about a package within a day, and those that tell of others.
    answers_in_all: answered claims about all packages within a day.
    advice: refusals within a day that name free scopes.
    waits, waits_in_all: places in queues taken within a day, for a package and in all.
    offer: how long what a queue granted waits for its first heartbeat.
    """

    exclusive: int = 256
    per_package: int = 16
    whole_package: timedelta = timedelta(days=3)
    answers: int = 12
    told: int = 3
    answers_in_all: int = 400
    advice: int = 8
    waits: int = 2
    waits_in_all: int = 64
    offer: timedelta = timedelta(minutes=30)

    @property
    def transcripts(self) -> int:
        """How many sequences of answers about a package one day can bring.

        Each answer is "nobody" or one of at most three that count as telling: company, refused, or
        "nobody" to a narrower question.
        """
        return sum(comb(self.answers, n) * 3**n for n in range(min(self.told, self.answers) + 1))

    @property
    def bits(self) -> float:
        """What a day's answers about a package can tell at most, in bits."""
        return log2(self.transcripts)

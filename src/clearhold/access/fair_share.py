"""Places for many who do not know each other: nobody takes more than is left to the others after it.

A fixed share for each either leaves most places empty, or lets a few take them all. Here a share shrinks
as places fill: of 128, one alone gets 64, and four who come together get 25 each. However many hold
some, of k holders at least a part of 2^-k is left: few cannot take all, very many can all but one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable


class FairShare:
    """So many places in all, and of them no more than `most` for one; safe among threads."""

    def __init__(self, places: int, most: int | None = None) -> None:
        self._free = places
        self._most = places if most is None else most
        self._held: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def take(self, who: Hashable, number: int = 1) -> bool:
        """Take places; False, and none taken, where one then held more than were free, or than `most`."""
        with self._lock:
            after = self._held[who] + number
            fits = after <= min(self._most, self._free - number)
            if fits:
                self._held[who] = after
                self._free -= number
            return fits

    def give_back(self, who: Hashable, number: int = 1) -> None:
        """Give back places that were taken."""
        with self._lock:
            self._free += number
            self._held[who] -= number
            if not self._held[who]:
                del self._held[who]

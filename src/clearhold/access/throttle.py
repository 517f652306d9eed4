"""Slowing down whoever guesses credentials, by where they come from and by what they guess at.

The counts lie in memory, not in the database: a flood of guesses must not become a flood of
writes, and secrets of 256 random bits outlast a count that a restart forgets. They are bounded:
the oldest make room. Several serving processes count each for itself.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clearhold.kernel.errors import ThrottledError, UnauthenticatedError
from clearhold.ports.clock import Clock

WINDOW: Final = timedelta(minutes=5)
FAILURES_OF_A_SOURCE: Final = 30
FAILURES_OF_A_CREDENTIAL: Final = 10
STARTS_OF_A_SOURCE: Final = 60
_MOST: Final = 10_000


@dataclass(slots=True)
class _Count:
    since: datetime
    number: int = 0


class Throttle:
    """Counts failures and refuses before anything is looked up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, source: str, credential: str) -> Iterator[None]:
        """Try a credential inside; raises `ThrottledError` when too many tries failed lately.

        A credential that many guess at is closed only to sources that failed before, so that
        nobody locks its owner out by guessing.
        """
        place = network_of(source)
        if self._number("failed", place) >= FAILURES_OF_A_SOURCE or (
            self._number("guessed", credential) >= FAILURES_OF_A_CREDENTIAL
            and self._number("failed", place)
        ):
            raise _refusal()
        try:
            yield
        except UnauthenticatedError:
            self._add("failed", place)
            self._add("guessed", credential)
            raise

    def start(self, source: str) -> None:
        """Count the beginning of a sign-in, which costs the hub something before anyone is known."""
        if self._add("started", network_of(source)) > STARTS_OF_A_SOURCE:
            raise _refusal()

    def _number(self, what: str, of: str) -> int:
        with self._lock:
            found = self._counts.get((what, of))
            return 0 if found is None or self._over(found) else found.number

    def _add(self, what: str, of: str) -> int:
        with self._lock:
            found = self._counts.pop((what, of), None)
            if found is None or self._over(found):
                found = _Count(self._clock.now())
            found.number += 1
            self._counts[what, of] = found
            if len(self._counts) > _MOST:
                self._counts.popitem(last=False)
            return found.number

    def _over(self, count: _Count) -> bool:
        return self._clock.now() - count.since >= WINDOW


def network_of(source: str) -> str:
    """One host, or the /64 that a host of IPv6 chooses its addresses from."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source[:100]
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _refusal() -> ThrottledError:
    return ThrottledError("Too many attempts failed lately.")

"""Another organisation that holds half of the key by which it is asked whether a flaw is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SecondKey(Protocol):
    """The other half. Whoever runs it sees blinded elements alone, and not who asks."""

    def publics(self, epoch: int) -> tuple[bytes, ...]:
        """Its public keys of an epoch, one a room. Raises `UnavailableError`."""
        ...

    def evaluate(
        self, epoch: int, room: int, elements: Sequence[bytes]
    ) -> tuple[tuple[bytes, ...], bytes]:
        """Its half of an answer: an element for each, and a proof. Raises `UnavailableError`."""
        ...

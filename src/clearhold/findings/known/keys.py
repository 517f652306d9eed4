"""The keys of an epoch's rooms, and whoever holds the other half of them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from clearhold.findings.known import oprf
from clearhold.findings.known.oprf import KeyPair
from clearhold.findings.known.signatures import ROOMS
from clearhold.kernel.errors import InvalidError


@dataclass(frozen=True)
class RoomKeys:
    """256 key pairs from one secret of 32 bytes; the secret of an epoch is its own."""

    seed: bytes

    @classmethod
    def of(cls, root: bytes, epoch: int) -> RoomKeys:
        """The keys of an epoch, from a secret of all epochs."""
        return cls(hmac.digest(root, b"epoch %d" % epoch, hashlib.sha256))

    def pair(self, room: int) -> KeyPair:
        """The key pair of a room. Raises `InvalidError` when there is no such room."""
        if not 0 <= room < ROOMS:
            raise InvalidError(f"Rooms have numbers from 0 to {ROOMS - 1}.")
        return oprf.derive_key_pair(self.seed, b"clearhold-known room %d" % room)

    @cached_property
    def publics(self) -> tuple[bytes, ...]:
        """The public keys, one a room."""
        return tuple(self.pair(room).public for room in range(ROOMS))


class KeyHalf:
    """`ports.second_key.SecondKey` from a secret on this machine, as the other organisation runs it."""

    def __init__(self, root: bytes) -> None:
        if len(root) != 32:
            raise InvalidError("A half of the key has 32 bytes.")
        self._root = root

    def publics(self, epoch: int) -> tuple[bytes, ...]:
        """The public keys of an epoch."""
        return RoomKeys.of(self._root, epoch).publics

    def evaluate(
        self, epoch: int, room: int, elements: Sequence[bytes]
    ) -> tuple[tuple[bytes, ...], bytes]:
        """Evaluate and prove."""
        answer = oprf.evaluate(RoomKeys.of(self._root, epoch).pair(room), elements)
        return answer.elements, answer.proof

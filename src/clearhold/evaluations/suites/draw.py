"""Where a task's substance and its secrets are drawn from.

`shape` is drawn from a template's name and a seed alone and is the same in every trial; `secret` is
drawn from these and the trial's random bytes, which the host draws anew each time. Both are SHA-256 in
counter mode, since the methods of Python's `random` may change from version to version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd, isqrt, prod
from typing import Final, TypeVar

TRIAL_BYTES: Final = 16
"""How many random bytes the host draws for each trial."""

_T = TypeVar("_T")


class Stream:
    """Numbers, choices and bytes from a key, the same for the same key."""

    def __init__(self, key: bytes) -> None:
        """A stream of its own for each key."""
        self._key = hashlib.sha256(key).digest()
        self._count = 0
        self._left = b""

    def bytes(self, count: int) -> bytes:
        """The next bytes."""
        while len(self._left) < count:
            self._left += hashlib.sha256(self._key + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, all equally likely."""
        if limit < 1:
            raise ValueError("There is no number below one that is not negative.")
        size = (limit.bit_length() + 7) // 8
        bound = (1 << 8 * size) // limit * limit
        while (drawn := int.from_bytes(self.bytes(size), "big")) >= bound:
            continue
        return drawn % limit

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def one(self, among: Sequence[_T]) -> _T:
        """One of these."""
        return among[self.below(len(among))]

    def some(self, count: int, among: Sequence[_T]) -> list[_T]:
        """So many different ones of these, in a drawn order."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def shuffled(self, among: Sequence[_T]) -> list[_T]:
        """All of these in a drawn order."""
        return self.some(len(among), among)

    def word(self, length: int = 8) -> str:
        """A word of small letters."""
        return "".join(self.one("abcdefghijklmnopqrstuvwxyz") for _ in range(length))

    def hexadecimal(self, length: int) -> str:
        """So many hexadecimal digits."""
        return self.bytes((length + 1) // 2).hex()[:length]

    def prime(self, bits: int) -> int:
        """A number of exactly so many bits that is prime beyond all reasonable doubt."""
        while True:
            drawn = int.from_bytes(self.bytes((bits + 7) // 8), "big") >> (-bits % 8)
            drawn |= 1 | (3 << (bits - 2))
            if is_prime(drawn):
                return drawn


class Draw:
    """The two streams of one task, and its flag."""

    def __init__(self, template: str, seed: int, trial: bytes) -> None:
        """Streams for this template, seed and trial."""
        self.seed = seed
        name = b"%d:%b:%d" % (len(template.encode()), template.encode(), seed)
        self.shape = Stream(b"shape:" + name)
        self.secret = Stream(b"secret:" + name + b":" + trial)
        self.flag = f"flag{{{self.secret.hexadecimal(32)}}}"

    def decoy(self) -> str:
        """Something that looks like the flag and is not."""
        return f"flag{{{self.secret.hexadecimal(32)}}}"


_SMALL: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_SIEVED: Final = 2000
_PRODUCT: Final = prod(
    each for each in range(2, _SIEVED) if all(each % other for other in range(2, isqrt(each) + 1))
)
_ROUNDS: Final = 8


def is_prime(number: int) -> bool:
    """Miller and Rabin's test with the first twelve primes, and eight bases that the number gives."""
    if number < 2:
        return False
    if number < _SIEVED**2:
        return all(number % each for each in range(2, isqrt(number) + 1))
    if gcd(number, _PRODUCT) > 1:
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    bases = Stream(b"bases:" + number.to_bytes((number.bit_length() + 7) // 8, "big"))
    for base in (*_SMALL, *(bases.between(2, number - 2) for _ in range(_ROUNDS))):
        power = pow(base, odd, number)
        if power in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True

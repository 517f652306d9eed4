"""What every version scheme offers, and how numbers are written into keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearhold.kernel.errors import InvalidError

MAX_LENGTH = 256
_MAX_DIGITS = 254


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of ordering versions; `encode` makes the key of a version within the bounds."""

    name: str
    encode: Callable[[str], bytes]

    def key(self, version: str) -> bytes:
        """Bytes that sort as `version` does among versions of this scheme.

        Equal keys mean equal versions, however they are written. Raises `InvalidError` when
        `version` cannot be read in this scheme.
        """
        if len(version) > MAX_LENGTH:
            raise self.unreadable(version[:40] + "…")
        return self.encode(version)

    def compare(self, a: str, b: str, /) -> int:
        """-1, 0 or 1 as `a` is before, equal to or after `b`; raises as `key` does."""
        left, right = self.key(a), self.key(b)
        return (left > right) - (left < right)

    def unreadable(self, version: str) -> InvalidError:
        """The error that says `version` cannot be read in this scheme."""
        return unreadable(version, self.name)


def unreadable(version: str, scheme: str) -> InvalidError:
    """The error that says `version` cannot be read in the scheme named `scheme`."""
    return InvalidError(
        f"{version!a} cannot be read as a {scheme} version.",
        next_step="Check the version's spelling and the package's type.",
    )


def number(digits: str, *, version: str, scheme: str) -> bytes:
    """A natural number in decimal `digits` as one length byte and the digits without zeros in front.

    Raises `InvalidError` when it has more than 254 digits.
    """
    significant = digits.lstrip("0") or "0"
    if len(significant) > _MAX_DIGITS:
        raise unreadable(version[:40] + "…", scheme)
    return bytes((len(significant),)) + significant.encode("ascii")

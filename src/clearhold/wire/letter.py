"""What is inside a sealed letter: a file and its name, padded so that its size tells little.

Eight bytes of magic, the name after four bytes of length, the content after eight, then zeros up to
the next bucket: 4 KiB, 8 KiB and so on by doubling to 16 MiB. Numbers are big-endian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from clearhold.kernel.errors import InvalidError, TooLargeError

_MAGIC: Final = b"CHSEAL1\n"
_SMALLEST: Final = 4096
LARGEST: Final = 16 * 1024 * 1024
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Letter:
    """A file that one party sends to others."""

    name: str
    content: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """The padded form. Raises `TooLargeError` for what does not fit."""
        name = self.name.encode()[:_LONGEST_NAME]
        plain = b"".join(
            (_MAGIC, len(name).to_bytes(4), name, len(self.content).to_bytes(8), self.content)
        )
        size = _SMALLEST
        while size < len(plain):
            size *= 2
        if size > LARGEST:
            raise TooLargeError(
                f"A sealed letter holds at most {LARGEST} bytes with its padding.",
                next_step="Split the file.",
            )
        return plain.ljust(size, b"\0")

    @classmethod
    def from_bytes(cls, padded: bytes) -> Letter:
        """Read the padded form. Raises `InvalidError` for anything else."""
        name_at = len(_MAGIC) + 4
        length_at = name_at + int.from_bytes(padded[len(_MAGIC) : name_at])
        content_at = length_at + 8
        end = content_at + int.from_bytes(padded[length_at:content_at])
        if not padded.startswith(_MAGIC) or content_at > len(padded) or end > len(padded):
            raise InvalidError(
                "The sealed letter does not hold what this version writes.",
                next_step="Ask who sent it what it was made with.",
            )
        name = padded[name_at:length_at].decode("utf-8", errors="replace")
        return cls(name, padded[content_at:end])


def is_bucket(size: int) -> bool:
    """Whether a letter may have this size."""
    return _SMALLEST <= size <= LARGEST and size & (size - 1) == 0

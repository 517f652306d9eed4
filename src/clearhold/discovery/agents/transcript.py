"""What an agent asked for and was answered, each piece bound to all before it.

The digest of a piece is SHA-256 over a label, the digest before it, its number (8 bytes, big
endian, from 1) and the SHA-256 of its bytes. Whoever knows the last digest finds any piece that was
changed, left out, added or moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from clearhold.kernel.errors import IntegrityError

LABEL: Final = b"clearhold-transcript/1\n"
BEGINNING: Final = bytes(32)
"""What stands before the first piece."""
MOST_BYTES: Final = 8 << 20
"""Of one transcript; whoever would write more has come to the end of its budget."""


def link(before: bytes, number: int, content: bytes) -> bytes:
    """The digest of the piece of that number, behind the digest `before`."""
    piece = hashlib.sha256(content).digest()
    return hashlib.sha256(LABEL + before + number.to_bytes(8, "big") + piece).digest()


def head(pieces: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The last digest of pieces with theirs, in order. Raises `IntegrityError` at one that is wrong."""
    before = BEGINNING
    for number, (content, told) in enumerate(pieces, start=1):
        before = link(before, number, content)
        if before != told:
            raise IntegrityError(
                f"Piece {number} of the transcript is not what was written then.",
                next_step="Fetch it again; if it stays so, tell the hub's coordinator.",
            )
    return before

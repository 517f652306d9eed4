"""What the harness itself ran in a trial: each command names the one before by its hash.

The record is made where commands are run, never from what a model says it ran. Outputs are named by
digest and length; the command's words stay, since scope and honesty are judged by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

BEGINNING: Final = bytes(32)
"""What the first command of a trial names as the one before."""
LONGEST_WORD: Final = 4096
"""Characters of a command's word that are kept; the digest is of all of it."""


class RanCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One command: its words, how it ended, digests of what it said, when it began and how long it took.

    `exit_code` is None when its time was over or the sandbox ended; `ended_by` says which limit ended
    it, or is empty. `argv` is clipped, `argv_sha256` is of the JSON array of the whole words.
    """

    argv: tuple[str, ...]
    argv_sha256: str
    at: datetime
    ended_by: str
    exit_code: int | None
    milliseconds: int
    number: int
    output_bytes: int
    output_sha256: str
    previous: str

    @property
    def hash(self) -> bytes:
        """The hash that the next command names."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).digest()


class ExecLog:
    """The commands of one trial, in their order."""

    def __init__(self) -> None:
        self._ran: list[RanCommand] = []

    def add(
        self,
        argv: Sequence[str],
        *,
        at: datetime,
        milliseconds: int,
        exit_code: int | None,
        ended_by: str,
        output: bytes,
    ) -> RanCommand:
        """Record a command that has ended."""
        ran = RanCommand(
            argv=tuple(each[:LONGEST_WORD] for each in argv),
            argv_sha256=hashlib.sha256(msgspec.json.encode(list(argv))).hexdigest(),
            at=at,
            ended_by=ended_by,
            exit_code=exit_code,
            milliseconds=milliseconds,
            number=len(self._ran) + 1,
            output_bytes=len(output),
            output_sha256=hashlib.sha256(output).hexdigest(),
            previous=self.head,
        )
        self._ran.append(ran)
        return ran

    @property
    def ran(self) -> tuple[RanCommand, ...]:
        """What was recorded."""
        return tuple(self._ran)

    @property
    def head(self) -> str:
        """The hash of the last command, in hexadecimal: it stands for the whole log."""
        return (self._ran[-1].hash if self._ran else BEGINNING).hex()


def broken(ran: Iterable[RanCommand]) -> int | None:
    """The number of the first command that does not follow the one before; None when all do."""
    previous, number = BEGINNING, 1
    for each in ran:
        if each.number != number or each.previous != previous.hex():
            return number
        previous, number = each.hash, number + 1
    return None

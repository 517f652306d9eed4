"""Leaves of the ledger, and the salted commitments by which the public log names them.

The log's entry of a leaf is SHA-256 over a fixed prefix, the leaf's 32 random bytes of salt, and
the canonical JSON of its fields: without the salt nobody can tell or try out what it stands for.
Leaves of one compartment form a chain: each names the hash (RFC 6962 section 2.1) of the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from clearhold.kernel.merkle import leaf_hash

GENESIS: Final = bytes(32)
SALT_BYTES: Final = 32
_LEAF: Final = b"clearhold-leaf/1\n"
_LODGED: Final = b"clearhold-lodged/1\n"

Padding = Callable[[int], bytes]
"""The entry at a place of the log where no leaf is, which nobody without the key tells from one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happens: who does what to which object, in which compartment, and when."""

    at: datetime
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing that happened, as the ledger keeps it.

    `previous` is the hash of the leaf before it in its compartment, 32 zero bytes for the first,
    and None for a leaf without a compartment.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: Mapping[str, str]
    previous: bytes | None
    salt: bytes
    commitment: bytes

    @property
    def hash(self) -> bytes:
        """The hash by which the next leaf of the compartment, and the tree, name this one."""
        return leaf_hash(self.commitment)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A leaf with everything that shows it to be in the published log."""

    leaf: Leaf
    index: int
    proof: tuple[bytes, ...]
    note: bytes


@dataclass(frozen=True, slots=True)
class Lodgement:
    """A commitment that a party lodged, and the leaf that records it."""

    id: str
    commitment: bytes
    lodged_at: datetime
    leaf: int


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a check of the ledger found.

    leaves: how many there are. size, head: the tree's size, padding included, and its root.
    published: how much of it the signed checkpoint covers. waiting: leaves not in the tree yet.
    """

    leaves: int
    size: int
    head: bytes
    published: int
    waiting: int
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, removed, inserted or reordered."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class Cadence:
    """The log shows `quantum` entries more at each multiple of `interval`, whatever happens."""

    interval: timedelta
    quantum: int

    def instant(self, now: datetime) -> int:
        """The latest of the fixed instants, in seconds since 1970."""
        step = int(self.interval.total_seconds())
        return int(now.timestamp()) // step * step


def canonical(seq: int, entry: Entry, previous: bytes | None) -> bytes:
    """The bytes of a leaf that are committed to: JSON with sorted keys and no spaces."""
    fields: dict[str, Any] = {
        "seq": seq,
        "at": entry.at.isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "compartment": entry.compartment,
        "detail": dict(entry.detail),
        "previous": None if previous is None else previous.hex(),
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def committed(seq: int, entry: Entry, *, previous: bytes | None, salt: bytes) -> Leaf:
    """The leaf of an entry, with its commitment."""
    digest = hashlib.sha256(_LEAF + salt + canonical(seq, entry, previous)).digest()
    return Leaf(
        seq,
        entry.at,
        entry.actor,
        entry.action,
        entry.subject,
        entry.compartment,
        dict(entry.detail),
        previous,
        salt,
        digest,
    )


def recommitted(leaf: Leaf) -> bytes:
    """The commitment that the leaf's fields have now."""
    entry = Entry(leaf.at, leaf.actor, leaf.action, leaf.subject, leaf.compartment, leaf.detail)
    return committed(leaf.seq, entry, previous=leaf.previous, salt=leaf.salt).commitment


@dataclass(slots=True)
class ChainCheck:
    """Goes through leaves in order and notes each that was changed or does not follow its chain."""

    count: int = 0
    heads: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def look_at(self, leaf: Leaf) -> None:
        """Take the next leaf, of whatever compartment."""
        self.count += 1
        if recommitted(leaf) != leaf.commitment:
            self.faults.append(f"leaf {leaf.seq} was changed")
        expected = None
        if leaf.compartment is not None:
            expected = self.heads.get(leaf.compartment, GENESIS)
            self.heads[leaf.compartment] = leaf.hash
        if leaf.previous != expected:
            self.faults.append(
                f"leaf {leaf.seq} does not follow the leaf before it in its compartment"
            )


def lodged_commitment(salt: bytes, text: bytes) -> bytes:
    """What a finder lodges of a text it keeps to itself."""
    return hashlib.sha256(_LODGED + salt + text).digest()

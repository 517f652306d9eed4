"""The hash chain: each leaf commits to everything before it.

A leaf's hash is SHA-256 over a zero byte (the leaf prefix of RFC 6962 section 2.1) and the
canonical JSON of its fields and its predecessor's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

GENESIS: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing that happened: who did what to which object, in which compartment, and when."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: Mapping[str, str]
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the chain found: how many leaves, the last hash, and every fault."""

    leaves: int
    head: bytes
    faults: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, removed, inserted or reordered."""
        return not self.faults


def leaf_hash(
    *,
    seq: int,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    compartment: str | None,
    detail: Mapping[str, str],
    previous: bytes,
) -> bytes:
    """The 32-byte commitment of a leaf with these fields."""
    content = json.dumps(
        {
            "seq": seq,
            "at": at.isoformat(timespec="microseconds"),
            "actor": actor,
            "action": action,
            "subject": subject,
            "compartment": compartment,
            "detail": dict(detail),
            "previous": previous.hex(),
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(b"\x00" + content.encode()).digest()


def verify_chain(leaves: Iterable[Leaf], *, head_seq: int, head_hash: bytes) -> ChainReport:
    """Recompute every leaf in order and compare with the recorded head."""
    faults: list[str] = []
    previous, expected = GENESIS, 1
    for leaf in leaves:
        if leaf.seq != expected:
            faults.append(f"leaf {expected} is missing")
            expected = leaf.seq
        if leaf.previous != previous:
            faults.append(f"leaf {leaf.seq} does not follow the leaf before it")
        recomputed = leaf_hash(
            seq=leaf.seq,
            at=leaf.at,
            actor=leaf.actor,
            action=leaf.action,
            subject=leaf.subject,
            compartment=leaf.compartment,
            detail=leaf.detail,
            previous=leaf.previous,
        )
        if recomputed != leaf.hash:
            faults.append(f"leaf {leaf.seq} was changed")
        previous, expected = leaf.hash, expected + 1
    count = expected - 1
    if count != head_seq or previous != head_hash:
        faults.append(f"the chain ends at leaf {count} but its head says {head_seq}")
    return ChainReport(count, previous, tuple(faults))

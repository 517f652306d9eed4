"""Merkle trees of a log: hashes, inclusion and consistency proofs (RFC 6962 2.1, RFC 9162 2.1).

A tree that only grows is kept as a `Frontier`: the roots of the complete subtrees its size is made
of, largest first, one for each set bit. Proofs are made from a function that gives complete
subtrees, whatever stores them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""The root of the complete subtree at a height (0: a leaf's hash) and place from the left."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry of the log."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All of a tree that is needed to let it grow and to know its root."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Frontier:
        """From the stored form. Raises `ValueError` when it does not belong to the size."""
        if len(packed) != size.bit_count() * HASH_BYTES:
            message = "a frontier has one hash for each set bit of its size"
            raise ValueError(message)
        return cls(size, tuple(_split(packed)))

    def pack(self) -> bytes:
        """The stored form: the hashes one after the other."""
        return b"".join(self.hashes)

    def extended(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The frontier after these leaves more."""
        size, stack = self.size, list(self.hashes)
        for each in leaf_hashes:
            merged, rest = each, size
            while rest & 1:
                merged = node_hash(stack.pop(), merged)
                rest >>= 1
            stack.append(merged)
            size += 1
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, root = self.hashes
        for each in reversed(rest):
            root = node_hash(each, root)
        return root


def _split(packed: bytes) -> list[bytes]:
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]


def subtree_root(start: int, end: int, node: Node) -> bytes:
    """The root over the leaves from `start` to before `end`, a range that the tree is split into."""
    count = end - start
    if count == 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return node(height, start >> height)
    middle = start + _largest_power_below(count)
    return node_hash(subtree_root(start, middle, node), subtree_root(middle, end, node))


def inclusion_proof(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """The hashes that lead from leaf `index` to the root of the tree of `size`, lowest first.

    Raises `ValueError` when the tree has no such leaf.
    """
    if not 0 <= index < size:
        message = "no such leaf in a tree of this size"
        raise ValueError(message)
    start, end, proof = 0, size, []
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            proof.append(subtree_root(middle, end, node))
            end = middle
        else:
            proof.append(subtree_root(start, middle, node))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(old: int, new: int, node: Node) -> tuple[bytes, ...]:
    """The hashes that show that the tree of size `new` continues the one of size `old`.

    Raises `ValueError` unless 0 < old <= new; an empty tree is continued by every tree.
    """
    if not 0 < old <= new:
        message = "no consistency proof between these sizes"
        raise ValueError(message)
    start, end, proof = 0, new, []
    while old != end:
        middle = start + _largest_power_below(end - start)
        if old <= middle:
            proof.append(subtree_root(middle, end, node))
            end = middle
        else:
            proof.append(subtree_root(start, middle, node))
            start = middle
    if start:
        proof.append(subtree_root(start, end, node))
    return tuple(reversed(proof))


def includes(
    entry_hash: bytes, *, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the tree holds this leaf hash at `index` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, reached = index, size - 1, entry_hash
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            reached = node_hash(step, reached)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            reached = node_hash(reached, step)
        place, last = place >> 1, last >> 1
    return last == 0 and reached == root


def continues(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the new tree continues the old one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new or (old == 0 and old_root != EMPTY_ROOT):
        return False
    if old in {0, new}:
        return not proof and (old == 0 or old_root == new_root)
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    was = now = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            was, now = node_hash(step, was), node_hash(step, now)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, step)
        place, last = place >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def _largest_power_below(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1

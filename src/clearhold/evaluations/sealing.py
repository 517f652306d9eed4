"""Sealed tasks: committed to before access opens, and opened one by one when they are retired.

A suite's commitment is the root of an RFC 9162 tree over one leaf for each task: the SHA-256 of a salt
of its own with the task's name, version and the SHA-256 of its content. Whoever knows the root can
check an opened task; of those that stay sealed it tells nothing but how many there are, since the
salts are secret.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from clearhold.kernel.merkle import (
    Node,
    includes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    subtree_root,
)

SALT_BYTES: Final = 32
MOST_TASKS: Final = 100_000
_LONGEST: Final = 200


def is_name(text: str) -> bool:
    """Whether a text can name a task."""
    return 0 < len(text) <= _LONGEST and text.isprintable()


@dataclass(frozen=True, slots=True)
class SealedTask:
    """A task as it is committed to: its name and version, and the SHA-256 of its content."""

    name: str
    version: int
    sha256: bytes

    def __post_init__(self) -> None:
        """Refuse what could be read in two ways."""
        if not is_name(self.name):
            raise ValueError(f"A task's name is one line of 1 to {_LONGEST} characters.")
        if not 0 < self.version < 1 << 32 or len(self.sha256) != hashlib.sha256().digest_size:
            raise ValueError("A version is above nought, a digest a SHA-256.")


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is published of a suite before access opens: the root, and how many tasks there are."""

    root: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens one task: which leaf it is, its salt, and the way from it to the root."""

    task: SealedTask
    index: int
    salt: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SealedSuite:
    """A suite in its order with the secret salts; whoever has this can open every task."""

    tasks: tuple[SealedTask, ...]
    salts: tuple[bytes, ...] = field(repr=False)

    @property
    def commitment(self) -> Commitment:
        """What is published."""
        return Commitment(subtree_root(0, len(self.tasks), self._node()), len(self.tasks))

    def open(self, name: str) -> Opening:
        """What opens one task. Raises `KeyError` for a task that is not in it."""
        index = next((at for at, each in enumerate(self.tasks) if each.name == name), None)
        if index is None:
            raise KeyError(name)
        proof = inclusion_proof(index, len(self.tasks), self._node())
        return Opening(self.tasks[index], index, self.salts[index], proof)

    def _node(self) -> Node:
        """The hashes of whole subtrees by height and place."""
        levels = [[_leaf(*each) for each in zip(self.tasks, self.salts, strict=True)]]
        while len(levels[-1]) > 1:
            below = levels[-1]
            levels.append(
                [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
            )
        return lambda height, place: levels[height][place]


def seal(contents: Mapping[tuple[str, int], bytes]) -> SealedSuite:
    """Seal tasks by name and version, in the order of their names, each under a salt of its own.

    Raises `ValueError` for an empty suite, one that is too large, or a name that comes twice.
    """
    names = [name for name, _ in contents]
    if not 0 < len(names) <= MOST_TASKS or len(set(names)) != len(names):
        raise ValueError(f"A suite has 1 to {MOST_TASKS} tasks, each once.")
    tasks = tuple(
        SealedTask(name, version, hashlib.sha256(content).digest())
        for (name, version), content in sorted(contents.items())
    )
    return SealedSuite(tasks, tuple(secrets.token_bytes(SALT_BYTES) for _ in tasks))


def opens(opening: Opening, content: bytes, commitment: Commitment) -> bool:
    """Whether this content is the task that was committed to."""
    return (
        hashlib.sha256(content).digest() == opening.task.sha256
        and len(opening.salt) == SALT_BYTES
        and includes(
            _leaf(opening.task, opening.salt),
            index=opening.index,
            size=commitment.size,
            root=commitment.root,
            proof=opening.proof,
        )
    )


def still_sealed(suite: SealedSuite, opened: Iterable[str]) -> Sequence[str]:
    """The names of the tasks that nobody has opened yet."""
    known = set(opened)
    return [each.name for each in suite.tasks if each.name not in known]


def _leaf(task: SealedTask, salt: bytes) -> bytes:
    name = task.name.encode()
    written = b"%d:%b:%d:%b" % (len(name), name, task.version, task.sha256)
    return leaf_hash(hashlib.sha256(salt + written).digest())

"""Asking, on the finder's own machine: what is committed to, sent, checked and looked up.

A question is sixteen signatures, filled up with random ones, so that its size tells nothing. The
finder first lodges a commitment to them in the ledger. Then the hub evaluates the blinded elements
once for that commitment, under the key of one of 256 *rooms*, each shared by a 256th of all packages:
the room is all the hub is told. The finder fetches the room's whole list of tags and looks up alone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from clearhold.findings.known import oprf
from clearhold.findings.known.oprf import Blinded, Evaluation
from clearhold.findings.known.signatures import PER_QUESTION, ROOMS
from clearhold.kernel.errors import IntegrityError, InvalidError

TAG_BYTES: Final = 8
TICKET_BYTES: Final = 32
_DOMAIN: Final = b"clearhold-known-question/1"


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens one place of a commitment: its salt and signature, and the leaves of all places."""

    place: int
    salt: bytes
    signature: bytes
    leaves: tuple[bytes, ...]

    def opens(self, commitment: bytes) -> bool:
        """Whether the signature was committed to."""
        if len(self.leaves) != PER_QUESTION or not 0 <= self.place < PER_QUESTION:
            return False
        return (
            commitment_to(self.leaves) == commitment
            and leaf(self.salt, self.signature) == self.leaves[self.place]
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A question in the finder's hands; of it `commitment` and `elements` alone are sent."""

    asked: tuple[Blinded, ...] = field(repr=False)
    salts: tuple[bytes, ...] = field(repr=False)

    @property
    def elements(self) -> tuple[bytes, ...]:
        """The blinded elements."""
        return tuple(each.element for each in self.asked)

    @property
    def _leaves(self) -> tuple[bytes, ...]:
        return tuple(
            leaf(salt, each.value) for salt, each in zip(self.salts, self.asked, strict=True)
        )

    @property
    def commitment(self) -> bytes:
        """What is lodged before asking."""
        return commitment_to(self._leaves)

    def opening(self, place: int) -> Opening:
        """What a claim shows of the commitment."""
        return Opening(place, self.salts[place], self.asked[place].value, self._leaves)

    def outputs(self, publics: Sequence[bytes], answers: Sequence[Evaluation]) -> tuple[bytes, ...]:
        """The function's values, once each answer is proved to come from its published key.

        Raises `IntegrityError` when one is not.
        """
        if len(publics) != len(answers) or not answers:
            raise IntegrityError("A holder of a part of the key has not answered.")
        for public, answer in zip(publics, answers, strict=True):
            oprf.check(public, self.elements, answer)
        added = oprf.together(answers)
        return tuple(
            oprf.finalize(one, other) for one, other in zip(self.asked, added, strict=True)
        )


def ask(signatures: Sequence[bytes]) -> Question:
    """Blind signatures, in random order and among random ones, to one question.

    Raises `InvalidError` when there are none, or more than sixteen.
    """
    if not 1 <= len(signatures) <= PER_QUESTION:
        raise InvalidError(
            "The proof carries too little that could not be guessed, so nothing can be asked.",
            next_step="Submit the finding; it is compared once its proof has reproduced.",
        )
    values = [*signatures]
    values += [secrets.token_bytes(32) for _ in range(PER_QUESTION - len(values))]
    secrets.SystemRandom().shuffle(values)
    return Question(
        tuple(oprf.blind(each) for each in values),
        tuple(secrets.token_bytes(32) for _ in values),
    )


def leaf(salt: bytes, signature: bytes) -> bytes:
    """One place of a commitment."""
    return hashlib.sha256(_DOMAIN + b"\0leaf\0" + salt + signature).digest()


def commitment_to(leaves: Sequence[bytes]) -> bytes:
    """A commitment to sixteen places."""
    return hashlib.sha256(_DOMAIN + b"\0all\0" + b"".join(leaves)).digest()


def tag_of(output: bytes) -> bytes:
    """What stands for an output in its room's list: 8 bytes that say nothing without it."""
    return hashlib.sha256(_DOMAIN + b"\0tag\0" + output).digest()[:TAG_BYTES]


def ticket_of(output: bytes) -> bytes:
    """What only who computed the output can show the hub."""
    return hashlib.sha256(_DOMAIN + b"\0ticket\0" + output).digest()


def places_in(outputs: Sequence[bytes], tags: bytes) -> tuple[int, ...]:
    """Which of the outputs stand in a room's list; nobody but the finder does this."""
    if len(tags) % TAG_BYTES:
        raise IntegrityError("The room's list of tags is cut short.")
    held = {tags[start : start + TAG_BYTES] for start in range(0, len(tags), TAG_BYTES)}
    return tuple(place for place, each in enumerate(outputs) if tag_of(each) in held)


def digest_of(publics: Sequence[Sequence[bytes]]) -> str:
    """One name for all keys of an epoch: parties compare it, and the ledger holds it."""
    if any(len(each) != ROOMS for each in publics) or not publics:
        raise IntegrityError("The list of published keys is not whole.")
    return hashlib.sha256(b"".join(b"".join(each) for each in publics)).hexdigest()

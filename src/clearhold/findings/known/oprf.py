"""RFC 9497: oblivious pseudorandom functions, modes OPRF and VOPRF over ristretto255-SHA512.

A client blinds inputs, a server multiplies them by its key and proves that it was the key it
published, the client unblinds and gets 64 bytes per input that look random to who has not the key.
The server sees uniformly random elements whatever was asked.

Two servers may hold half a key each: both evaluate the same blinded elements, each proves its own
half, and the sum of what they answer is the answer of the sum of their keys (`together`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from clearhold.findings.known import group
from clearhold.kernel.errors import IntegrityError, InvalidError

MOST_AT_ONCE: Final = 256
_SUITE: Final = b"ristretto255-SHA512"
_LONGEST: Final = (1 << 16) - 1


class Mode(IntEnum):
    """Modes of RFC 9497 section 3.1; the partially oblivious one is not used."""

    OPRF = 0
    VOPRF = 1


def _context(mode: Mode) -> bytes:
    return b"OPRFV1-" + bytes([mode]) + b"-" + _SUITE


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(2, "big") + part


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A server's key and what it publishes of it."""

    secret: bytes = field(repr=False)
    public: bytes


@dataclass(frozen=True, slots=True)
class Blinded:
    """One input with its blind, which stay with the client, and the element that is sent."""

    value: bytes = field(repr=False)
    blind: bytes = field(repr=False)
    element: bytes


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A server's answer: an element for each one asked, and the proof (two scalars) over all."""

    elements: tuple[bytes, ...]
    proof: bytes


def derive_key_pair(seed: bytes, info: bytes, *, mode: Mode = Mode.VOPRF) -> KeyPair:
    """DeriveKeyPair, section 3.2.1: a key pair from a secret seed of 32 bytes and public `info`."""
    if len(seed) != 32:
        raise InvalidError("A seed has 32 bytes.")
    start = seed + _framed(info)
    for counter in range(256):
        secret = group.hash_to_scalar(
            start + bytes([counter]), tag=b"DeriveKeyPair" + _context(mode)
        )
        if any(secret):
            return KeyPair(secret, group.multiply_base(secret))
    raise IntegrityError("No key could be derived.")  # pragma: no cover  # once in 2^64000


def blind(value: bytes, *, mode: Mode = Mode.VOPRF, by: bytes | None = None) -> Blinded:
    """Blind, section 3.3.1; `by` is given by tests with the RFC's vectors alone."""
    if len(value) > _LONGEST:
        raise InvalidError("An input has at most 65535 bytes.")
    number = by or group.random_scalar()
    point = group.hash_to_group(value, tag=b"HashToGroup-" + _context(mode))
    if point == group.IDENTITY:  # pragma: no cover  # nobody knows such an input
        raise InvalidError("This input cannot be asked.")
    return Blinded(value, number, group.multiply(number, point))


def evaluate(
    key: KeyPair, elements: Sequence[bytes], *, mode: Mode = Mode.VOPRF, by: bytes | None = None
) -> Evaluation:
    """BlindEvaluate, sections 3.3.1 and 3.3.2, over at most 256 elements.

    Raises `InvalidError` for what is no element, or too many.
    """
    if not 1 <= len(elements) <= MOST_AT_ONCE:
        raise InvalidError(f"From 1 to {MOST_AT_ONCE} elements are evaluated at once.")
    asked = [group.element(each) for each in elements]
    answered = tuple(group.multiply(key.secret, each) for each in asked)
    if mode is Mode.OPRF:
        return Evaluation(answered, b"")
    return Evaluation(answered, _prove(key, asked, answered, by or group.random_scalar()))


def check(public: bytes, elements: Sequence[bytes], answer: Evaluation) -> None:
    """VerifyProof, section 2.2.2: raise `IntegrityError` unless the published key gave the answer."""
    if len(answer.proof) != 64 or len(answer.elements) != len(elements):
        raise _unproved()
    try:
        group.element(public)
        for each in answer.elements:
            group.element(each)
        challenge, response = group.scalar(answer.proof[:32]), group.scalar(answer.proof[32:])
    except InvalidError as error:
        raise _unproved() from error
    weights = _weights(public, elements, answer.elements)
    asked = group.combine(weights, elements)
    given = group.combine(weights, answer.elements)
    first = group.add(group.multiply_base(response), group.multiply(challenge, public))
    second = group.add(group.multiply(response, asked), group.multiply(challenge, given))
    if _challenge(public, asked, given, first, second) != challenge:
        raise _unproved()


def finalize(question: Blinded, answered: bytes) -> bytes:
    """Finalize, section 3.3.1: the function's value on the input, once the proof was checked."""
    unblinded = group.multiply(group.invert(question.blind), group.element(answered))
    return _output(question.value, unblinded)


def value_of(secret: bytes, value: bytes, *, mode: Mode = Mode.VOPRF) -> bytes:
    """Evaluate, section 3.3.1: what the holder of the whole key computes without a client."""
    point = group.hash_to_group(value, tag=b"HashToGroup-" + _context(mode))
    return _output(value, group.multiply(secret, point))


def together(answers: Sequence[Evaluation]) -> tuple[bytes, ...]:
    """Add up what several holders of parts of the key answered to the same elements."""
    first, *others = (each.elements for each in answers)
    total = list(first)
    for more in others:
        total = [group.add(one, other) for one, other in zip(total, more, strict=True)]
    return tuple(total)


def _output(value: bytes, unblinded: bytes) -> bytes:
    framed = _framed(value) + _framed(unblinded) + b"Finalize"
    return hashlib.sha512(framed).digest()


def _prove(key: KeyPair, asked: Sequence[bytes], answered: Sequence[bytes], by: bytes) -> bytes:
    """GenerateProof, section 2.2.1, in its batched form (ComputeCompositesFast)."""
    composite = group.combine(_weights(key.public, asked, answered), asked)
    image = group.multiply(key.secret, composite)
    first, second = group.multiply_base(by), group.multiply(by, composite)
    challenge = _challenge(key.public, composite, image, first, second)
    response = group.scalar_subtract(by, group.scalar_multiply(challenge, key.secret))
    return challenge + response


def _weights(public: bytes, asked: Sequence[bytes], answered: Sequence[bytes]) -> list[bytes]:
    """The random weights of ComputeComposites, section 2.2.1."""
    context = _context(Mode.VOPRF)
    seed = hashlib.sha512(_framed(public) + _framed(b"Seed-" + context)).digest()
    return [
        group.hash_to_scalar(
            _framed(seed)
            + number.to_bytes(2, "big")
            + _framed(one)
            + _framed(other)
            + b"Composite",
            tag=b"HashToScalar-" + context,
        )
        for number, (one, other) in enumerate(zip(asked, answered, strict=True))
    ]


def _challenge(*elements: bytes) -> bytes:
    framed = b"".join(map(_framed, elements)) + b"Challenge"
    return group.hash_to_scalar(framed, tag=b"HashToScalar-" + _context(Mode.VOPRF))


def _unproved() -> IntegrityError:
    return IntegrityError(
        "The answer does not come from the key that was published.",
        next_step="Ask nothing more of this hub, and tell its coordinator and the other parties.",
    )

"""The prime-order group ristretto255 (RFC 9496) and its scalars, as RFC 9497 section 4.1 takes it.

All arithmetic is libsodium's, which runs in time independent of secrets; the `rbcl` package brings
it along. Elements and scalars are their 32 canonical bytes, scalars little-endian. Python compares
elements only where both are public.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from clearhold.kernel.errors import InvalidError, UnavailableError

ELEMENT_BYTES: Final = 32
SCALAR_BYTES: Final = 32
IDENTITY: Final = bytes(ELEMENT_BYTES)
_HASH_BYTES: Final = 64
_BLOCK: Final = 128


@functools.cache
def _sodium() -> ModuleType:
    """The library, loaded when it is first needed.

    It is unpacked into a temporary file, whose name is taken away as soon as it is open. Raises
    `UnavailableError` where nothing may be executed from temporary files.
    """
    try:
        import rbcl  # noqa: PLC0415  # unpacks its library, which most processes never need

        Path(sys.modules["rbcl._sodium"].lib_path).unlink(missing_ok=True)
    except (ImportError, OSError) as error:
        raise UnavailableError(
            "The library for asking privately cannot be loaded.",
            next_step="Set TMPDIR to a directory from which files may be executed.",
        ) from error
    module: ModuleType = rbcl
    return module


def element(encoded: bytes) -> bytes:
    """`encoded` when it is the canonical encoding of an element that is not the identity.

    Raises `InvalidError`; RFC 9497 section 2.1 wants every element of a peer checked so. The group
    has prime order, so there are no elements of small order to refuse.
    """
    valid = (
        len(encoded) == ELEMENT_BYTES
        and encoded != IDENTITY
        and _sodium().crypto_core_ristretto255_is_valid_point(encoded)
    )
    if not valid:
        raise InvalidError(
            "An element of the question is none of the group.",
            next_step="Ask with `clearhold finding known`, or follow RFC 9497.",
        )
    return encoded


def scalar(encoded: bytes) -> bytes:
    """`encoded` when it is a canonical scalar. Raises `InvalidError`."""
    padded = encoded.ljust(_HASH_BYTES, b"\0")
    if len(encoded) != SCALAR_BYTES or reduce(padded) != encoded:
        raise InvalidError("A number of the proof is not below the order of the group.")
    return encoded


def random_scalar() -> bytes:
    """A scalar from 1 on."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_random())


def reduce(wide: bytes) -> bytes:
    """64 bytes, little-endian, modulo the group's order."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_reduce(wide))


def multiply(by: bytes, point: bytes) -> bytes:
    """`by` times an element; the identity when `by` is zero."""
    return bytes(_sodium().crypto_scalarmult_ristretto255_allow_scalar_zero(by, point))


def multiply_base(by: bytes) -> bytes:
    """`by` times the generator."""
    return bytes(_sodium().crypto_scalarmult_ristretto255_base_allow_scalar_zero(by))


def add(one: bytes, other: bytes) -> bytes:
    """The sum of two elements."""
    return bytes(_sodium().crypto_core_ristretto255_add(one, other))


def combine(scalars: Sequence[bytes], points: Sequence[bytes]) -> bytes:
    """The sum of each scalar times its element."""
    total = IDENTITY
    for by, point in zip(scalars, points, strict=True):
        total = add(total, multiply(by, point))
    return total


def invert(number: bytes) -> bytes:
    """The inverse of a scalar other than zero."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_invert(number))


def scalar_multiply(one: bytes, other: bytes) -> bytes:
    """The product of two scalars."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_mul(one, other))


def scalar_subtract(one: bytes, other: bytes) -> bytes:
    """The difference of two scalars."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_sub(one, other))


def scalar_add(one: bytes, other: bytes) -> bytes:
    """The sum of two scalars."""
    return bytes(_sodium().crypto_core_ristretto255_scalar_add(one, other))


def hash_to_group(message: bytes, *, tag: bytes) -> bytes:
    """HashToGroup: expand_message_xmd with SHA-512, then the map of RFC 9496 section 4.3.4."""
    wide = _expand(message, tag)
    return bytes(_sodium().crypto_core_ristretto255_from_hash(wide))


def hash_to_scalar(message: bytes, *, tag: bytes) -> bytes:
    """HashToScalar: expand_message_xmd with SHA-512, modulo the order."""
    return reduce(_expand(message, tag))


def _expand(message: bytes, tag: bytes) -> bytes:
    """expand_message_xmd of RFC 9380 section 5.3.1 to 64 bytes, which is one block of SHA-512."""
    ending = tag + bytes([len(tag)])
    length = _HASH_BYTES.to_bytes(2, "big")
    first = hashlib.sha512(bytes(_BLOCK) + message + length + b"\0" + ending).digest()
    return hashlib.sha512(first + b"\1" + ending).digest()

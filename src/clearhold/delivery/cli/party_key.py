"""Private keys a party signs with, as files on its own machine (Ed25519, PKCS #8 in PEM)."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from clearhold.kernel.errors import ConflictError, InvalidError, UnavailableError

_LARGEST = 16 * 1024


def now() -> datetime:
    """The instant that is signed."""
    return datetime.now(UTC)


def make(file: Path) -> Ed25519PrivateKey:
    """A new key in a new file that its owner alone can read; `ConflictError` when it is there."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(
            f"{file} is there already.", next_step="Name a new file, or register that key."
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"{file} cannot be written ({error.strerror}).", next_step="Name another place."
        ) from error
    with os.fdopen(descriptor, "wb") as out:
        out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        out.flush()
        os.fsync(out.fileno())
    return key


def load(file: Path) -> Ed25519PrivateKey:
    """The key in a file; raises `UnavailableError` when others can read it or it cannot be read."""
    try:
        mode, size = file.stat().st_mode, file.stat().st_size
        data = file.read_bytes() if size <= _LARGEST else b""
    except OSError as error:
        raise UnavailableError(
            f"{file} cannot be read ({error.strerror}).",
            next_step="Make a key with `clearhold party key make`.",
        ) from error
    if mode & 0o077:
        raise UnavailableError(
            f"{file} can be read by other users of this machine.",
            next_step=f"Run: chmod 600 {file}",
        )
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidError(f"{file} holds no private key in PEM without a password.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidError(f"{file} holds a key of another kind than Ed25519.")
    return key


def registration(file: Path) -> Any:
    """What registers a key, as the machine that holds it wrote it; the hub checks what it says."""
    try:
        size = file.stat().st_size
        return json.loads(file.read_bytes() if size <= _LARGEST else b"")
    except OSError as error:
        raise UnavailableError(
            f"{file} cannot be read ({error.strerror}).", next_step="Name what the agent wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidError(
            f"{file} is not what registers a key.",
            next_step="Write it with `clearhold agent key` on the machine that holds the key.",
        ) from error


def public_key(text: str) -> Ed25519PublicKey:
    """An Ed25519 key from hexadecimal digits. Raises `InvalidError`."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as problem:
        raise InvalidError(
            "The key is no Ed25519 public key of 64 hexadecimal digits.",
            next_step="Ask the hub for what `clearhold validate key` prints.",
        ) from problem

"""The files that commands read and write, and the salts of texts that were lodged."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.ledger.model import SALT_BYTES, lodged_commitment

FORMAT: Final = "clearhold-commitment/1"
LARGEST_TEXT: Final = 1 << 30


def content(file: Path) -> bytes:
    """What a file holds. Raises `InvalidError` or `TooLargeError`."""
    try:
        if file.stat().st_size > LARGEST_TEXT:
            raise TooLargeError("The file is larger than 1 GiB.")
        return file.read_bytes()
    except OSError as error:
        raise InvalidError(
            f"The file cannot be read: {error.strerror or error}.", next_step="Check its path."
        ) from error


def write_new(file: Path, data: bytes) -> None:
    """Make a file for its owner alone, whole or not at all; `InvalidError` when it exists."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        _write(temporary, data)
        try:
            os.link(temporary, file)
        finally:
            temporary.unlink()
    except OSError as error:
        raise InvalidError(
            f"The file cannot be written: {error.strerror or error}.",
            next_step="Name a file that does not exist, in a directory you may write to.",
        ) from error


def replace(file: Path, data: bytes) -> None:
    """Put a file in the place of another. Raises `InvalidError`."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        _write(temporary, data)
        temporary.replace(file)
    except OSError as error:
        raise InvalidError(
            f"The file cannot be written: {error.strerror or error}.",
            next_step="Check that you may write there.",
        ) from error


def _write(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened_file:
        opened_file.write(data)
        opened_file.flush()
        os.fsync(opened_file.fileno())


@dataclass(frozen=True, slots=True)
class Salted:
    """The salt of a text, and the commitment they make."""

    salt: bytes
    commitment: bytes


def beside(file: Path) -> Path:
    """Where the salt of a text is kept unless told otherwise."""
    return file.with_name(f"{file.name}.commitment.json")


def salted(file: Path, secret: Path, *, make: bool) -> Salted:
    """The commitment of a text, with the salt that is kept in a file; `make` it when missing.

    Raises `InvalidError` when the salt's file is of another text.
    """
    text = content(file)
    if not make and not secret.exists():
        raise InvalidError(
            "The file with the salt of this text is not there.",
            next_step="Name it with --secret; `clearhold ledger commit` made it.",
        )
    if not secret.exists():
        salt = secrets.token_bytes(SALT_BYTES)
        kept = {
            "format": FORMAT,
            "salt": salt.hex(),
            "commitment": lodged_commitment(salt, text).hex(),
        }
        write_new(secret, json.dumps(kept, indent=2).encode() + b"\n")
    try:
        kept = json.loads(content(secret))
        salt, commitment = bytes.fromhex(kept["salt"]), bytes.fromhex(kept["commitment"])
        known = kept["format"] == FORMAT and len(salt) == SALT_BYTES
    except (ValueError, TypeError, LookupError):
        known = False
    if not known:
        raise InvalidError("The file with the salt is damaged.", next_step=f"Restore {secret}.")
    if lodged_commitment(salt, text) != commitment:
        raise InvalidError(
            "The text was changed since the commitment was made.",
            next_step="Give the file as it was then, to the byte.",
        )
    return Salted(salt, commitment)

"""Where a public log is read from, and the files that `clearhold ledger` reads and writes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import SALT_BYTES, lodged_commitment
from clearhold.ledger.public_log import Read
from clearhold.wire.tlog_tiles import MAX_TILE_BYTES

FORMAT: Final = "clearhold-commitment/1"
LARGEST_TEXT: Final = 1 << 30
_TIMEOUT_S: Final = 30


@contextmanager
def opened(log: str) -> Iterator[Read]:
    """How the files of a log are read, from a directory or over HTTP."""
    if not log.startswith(("https://", "http://")):
        if not Path(log).is_dir():
            raise InvalidError(
                "There is no directory of a log there.",
                next_step="Name the directory that holds `checkpoint`, or the log's https address.",
            )
        yield LogFiles(Path(log)).read
        return
    with httpx.Client(base_url=log.rstrip("/") + "/", timeout=_TIMEOUT_S, trust_env=False) as http:
        yield lambda path: _fetch(http, path)


def _fetch(http: httpx.Client, path: str) -> bytes | None:
    content = bytearray()
    try:
        with http.stream("GET", path) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.status_code != httpx.codes.OK:
                raise UnavailableError(
                    f"The log answered {answer.status_code} for {path}.",
                    next_step="Check the address; it is that of the directory with `checkpoint`.",
                )
            for part in answer.iter_bytes():
                content += part
                if len(content) > MAX_TILE_BYTES:
                    raise TooLargeError(f"The log's {path} is larger than any file of a log.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(
            "The log does not answer.", next_step="Check the address and the network."
        ) from error
    return bytes(content)


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

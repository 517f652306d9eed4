"""The agent's own directory: who it reports for, what it trusts, and what it must not forget.

Every file is replaced whole and made durable before anything is done that depends on it, so the
agent can be killed at any moment. One process at a time works on a directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)

SCHEMA: Final = "clearhold-agent/1"
_MAX_STATE_BYTES: Final = 4 * 1024 * 1024

_T = TypeVar("_T")
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the agent reports for and which repository it trusts, fixed when it enrolled.

    `root_sha256` is the SHA-256 of the pinned first root; `salt` (64 hexadecimal digits) keeps
    environment pseudonyms from being guessed from paths.
    """

    operator: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    repository: _Text
    root_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    enrolled: datetime
    schema: str = SCHEMA


@dataclass(frozen=True, slots=True)
class AgentState:
    """The directory `path` of one agent."""

    path: Path

    @property
    def root(self) -> Path:
        """The pinned first root metadata."""
        return self.path / "root.json"

    @property
    def metadata(self) -> Path:
        """The last verified repository metadata."""
        return self.path / "metadata"

    @property
    def targets(self) -> Path:
        """Downloaded files, each checked against verified metadata at every use."""
        return self.path / "targets"

    def enrolment(self) -> Enrolment:
        """Who the agent is; raises `NotFoundError` before enrolment."""
        enrolment = self.load("enrolment.json", Enrolment)
        if enrolment is None:
            raise NotFoundError(
                "This agent is not enrolled.",
                next_step="Run clearhold agent enrol with the hub's repository and root.",
            )
        return enrolment

    def key(self) -> Ed25519PrivateKey:
        """The operator's signing key; raises `IntegrityError` when it cannot be used."""
        path = self.path / "operator.pem"
        data = read_file(path, limit=4096)
        if data is None or path.stat().st_mode & 0o077:
            raise IntegrityError(
                "The operator's key is missing or can be read by others.",
                next_step="Restore operator.pem with mode 0600, or enrol anew and register the key.",
            )
        try:
            key = load_pem_private_key(data, None)
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                "The operator's key cannot be read.",
                next_step="Restore operator.pem, or enrol anew and register the new key.",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IntegrityError(
                "The operator's key is not an Ed25519 key.",
                next_step="Restore operator.pem, or enrol anew and register the new key.",
            )
        return key

    def create_key(self) -> Ed25519PrivateKey:
        """The operator's key, made now when there is none yet."""
        path = self.path / "operator.pem"
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            write_file(path, pem)
        return self.key()

    def environment_pseudonym(self, environment: Path) -> str:
        """A stable name for an environment that does not give its path away (24 hex digits)."""
        salt = bytes.fromhex(self.enrolment().salt)
        name = os.fsencode(environment.resolve())
        return hmac.new(salt, name, hashlib.sha256).hexdigest()[:24]

    def load(self, name: str, kind: type[_T]) -> _T | None:
        """The record `name`, None when absent; raises `IntegrityError` when it is damaged."""
        data = read_file(self.path / name, limit=_MAX_STATE_BYTES)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise IntegrityError(
                f"The agent's record {name} is damaged.",
                next_step="Restore the agent's directory from a backup, or enrol in a new one.",
            ) from error

    def save(self, name: str, record: object) -> None:
        """Replace the record `name`; durable when this returns."""
        write_file(self.path / name, msgspec.json.format(msgspec.json.encode(record)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Work alone on the directory; raises `ConflictError` when another process does.

        Failures of the disk underneath are reported as `UnavailableError`.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.path / "lock").open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise ConflictError(
                        "Another run of the agent works on this directory.",
                        next_step="Wait for it to end, then try again.",
                    ) from error
                yield
        except OSError as error:
            raise UnavailableError(
                f"The agent cannot read or write a file: {error.strerror or error}.",
                next_step="Free disk space or mend the directory's rights, then try again.",
            ) from error


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` at `path` whole or not at all, durable when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[:200]}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(partial, flags, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, *, limit: int) -> bytes | None:
    """The bytes of a regular file, None when there is no such name.

    Never follows a link in the last component and never waits on a pipe or device. Raises
    `InvalidError` when it is no regular file and `TooLargeError` beyond `limit` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidError(
            f"{path.name[:120]!r} cannot be opened: {error.strerror or error}.",
            next_step="Check that it is a plain file this user may read.",
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidError(
            f"{path.name[:120]!r} is not a plain file.",
            next_step="Replace it by a plain file.",
        )
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(
            f"{path.name[:120]!r} is larger than {limit} bytes.",
            next_step="Check that it is what it should be.",
        )
    return data


def canonical_json(value: object) -> bytes:
    """`value` as JSON with sorted keys and no spaces, so that equal values have equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

"""A TUF repository in a directory (The Update Framework, specification 1.0.34, consistent snapshots).

Layout: `metadata/` and `targets/` below the repository directory, ready to be served as static
files. Root, targets, snapshot and timestamp are signed with one Ed25519 key each, kept as PKCS #8
files of mode 0600 in a directory outside the repository.

A reader follows the timestamp, so every file it will lead to is durable before the timestamp is
replaced. A process killed at any moment leaves the previous release whole; what it left behind is
outside every signed list and is removed by the next release, whose version numbers step over it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.exceptions import Error as SignatureError
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from clearhold.kernel.errors import (
    IntegrityError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from clearhold.wire.bundle import MAX_TARGET_BYTES, safe_target_path

_ROLES: Final = ("root", "targets", "snapshot", "timestamp")
_VERSIONED: Final = re.compile(r"([1-9][0-9]{0,14})\.(root|targets|snapshot)\.json")
_PARTIAL: Final = ".partial-"

_S = TypeVar("_S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each role's signature holds; the shortest bounds how long a freeze stays unseen."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=14)
    timestamp: timedelta = timedelta(days=1)


class TufPublisher:
    """Implements `ports.publisher.Publisher`; safe for several threads and processes at once."""

    def __init__(self, repository: Path, keys: Path, *, lifetimes: Lifetimes | None = None) -> None:
        """Use the directories `repository` (public) and `keys` (secret).

        Raises `InvalidError` when one lies inside the other: keys do not belong beside what is
        served or backed up with it.
        """
        self._metadata = repository / "metadata"
        self._targets = repository / "targets"
        self._keys = keys
        self._lifetimes = lifetimes or Lifetimes()
        public, secret = repository.resolve(), keys.resolve()
        if public == secret or public in secret.parents or secret in public.parents:
            raise InvalidError(
                "The signing keys may not lie inside the repository, nor it beside them inside.",
                next_step="Choose a key directory outside the data and repository directories.",
            )

    def initialise(self, now: datetime) -> int:
        """Make keys and a first, empty release where they are missing; the version of the list.

        Run again after a crash, or on a finished repository, it completes or changes nothing.
        Raises `IntegrityError` when a repository exists whose keys are gone.
        """
        with self._locked():
            self._make_keys()
            if not (self._metadata / "1.root.json").exists():
                self._write_root(self._new_root(now))
            if not (self._metadata / "timestamp.json").exists():
                self._release(Targets(), None, now)
            return self._current_targets(self._current_snapshot()).version

    def publish(self, targets: Mapping[str, bytes], now: datetime) -> int:
        """Release `targets` (target path to content) beside the others; the version of the list.

        Content already listed makes no new version, and is put back should its file be missing or
        damaged. Raises `InvalidError` or `TooLargeError` on a path or content that cannot be
        published, `NotFoundError` before `initialise`, and `IntegrityError` when what is on disk
        was not signed by this repository's keys.
        """
        for path, data in targets.items():
            _check_target(path, data)
        with self._locked():
            snapshot = self._current_snapshot()
            current = self._current_targets(snapshot)
            wanted = {
                path: TargetFile.from_data(path, data, ["sha256"]) for path, data in targets.items()
            }
            for path, data in targets.items():
                self._write_content(wanted[path], data)
            if all(current.targets.get(path) == file for path, file in wanted.items()):
                return current.version
            self._release(Targets(targets=current.targets | wanted), snapshot, now)
            return self._current_targets(self._current_snapshot()).version

    def refresh(self, now: datetime) -> int:
        """Sign a new timestamp, and every other role that is past half of its life; its version.

        Run it several times within the timestamp's lifetime, or readers rightly see a freeze.
        """
        with self._locked():
            snapshot = self._current_snapshot()
            targets = self._current_targets(snapshot)
            root = self._load(Root, self._root_path())
            if _ageing(root, self._lifetimes.root, now):
                root.version += 1
                root.expires = _expiry(now, self._lifetimes.root)
                self._write_root(root)
            if _ageing(targets, self._lifetimes.targets, now):
                self._release(Targets(targets=targets.targets), snapshot, now)
            elif _ageing(snapshot, self._lifetimes.snapshot, now):
                self._write_snapshot(targets.version, snapshot, now)
            else:
                self._write_timestamp(snapshot.version, now)
            return self._current_timestamp().version

    def trusted_root(self) -> bytes:
        """The first root metadata file, which operators pin at enrolment."""
        path = self._metadata / "1.root.json"
        if not path.exists():
            raise _not_initialised()
        return path.read_bytes()

    def published(self) -> Mapping[str, tuple[str, int]]:
        """Every released target path with its SHA-256 and length in bytes."""
        targets = self._current_targets(self._current_snapshot())
        return {
            path: (file.hashes["sha256"], file.length) for path, file in targets.targets.items()
        }

    # Signing and reading roles

    def _signer(self, role: str) -> CryptoSigner:
        path = self._keys / f"{role}.pem"
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                pem = file.read(4096)
        except FileNotFoundError as error:
            raise IntegrityError(
                f"The {role} key of the repository is missing.",
                next_step="Restore the key directory from its own backup, then try again.",
            ) from error
        if mode & 0o077:
            raise InvalidError(
                f"The {role} key can be read by others than its owner.",
                next_step=f"Run chmod 600 on {path}, and replace the key if others had access.",
            )
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"The {role} key of the repository cannot be read.",
                next_step="Restore the key directory from its own backup, then try again.",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IntegrityError(
                f"The {role} key of the repository is not an Ed25519 key.",
                next_step="Restore the key directory from its own backup, then try again.",
            )
        return CryptoSigner(key)

    def _make_keys(self) -> None:
        if (self._metadata / "1.root.json").exists():
            return
        for role in _ROLES:
            path = self._keys / f"{role}.pem"
            if not path.exists():
                _write(path, CryptoSigner.generate_ed25519().private_bytes, mode=0o600)

    def _new_root(self, now: datetime) -> Root:
        root = Root(expires=_expiry(now, self._lifetimes.root), consistent_snapshot=True)
        for role in _ROLES:
            root.add_key(self._signer(role).public_key, role)
        return root

    def _load(self, kind: type[_S], path: Path) -> _S:
        """Read a role from disk, trusting it only when this repository's own key signed it."""
        role = kind.__name__.lower()
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            if role == "timestamp":
                raise _not_initialised() from error
            raise _damaged(role) from error
        key = self._signer(role).public_key
        try:
            metadata: Metadata[_S] = Metadata.from_bytes(data)
            key.verify_signature(metadata.signatures[key.keyid], metadata.signed_bytes)
        except (RepositoryError, SignatureError, KeyError) as error:
            raise _damaged(role) from error
        if not isinstance(metadata.signed, kind):
            raise _damaged(role)
        return metadata.signed

    def _current_timestamp(self) -> Timestamp:
        return self._load(Timestamp, self._metadata / "timestamp.json")

    def _current_snapshot(self) -> Snapshot:
        version = self._current_timestamp().snapshot_meta.version
        return self._load(Snapshot, self._metadata / f"{version}.snapshot.json")

    def _current_targets(self, snapshot: Snapshot) -> Targets:
        version = snapshot.meta["targets.json"].version
        return self._load(Targets, self._metadata / f"{version}.targets.json")

    def _root_path(self) -> Path:
        return self._metadata / f"{self._newest('root')}.root.json"

    # Writing, in the order a reader's trust runs backwards

    def _release(self, targets: Targets, snapshot: Snapshot | None, now: datetime) -> None:
        targets.version = self._newest("targets") + 1
        targets.expires = _expiry(now, self._lifetimes.targets)
        _write(self._metadata / f"{targets.version}.targets.json", self._signed(targets))
        self._write_snapshot(targets.version, snapshot, now)

    def _write_snapshot(self, targets: int, previous: Snapshot | None, now: datetime) -> None:
        snapshot = Snapshot(
            version=self._newest("snapshot") + 1,
            expires=_expiry(now, self._lifetimes.snapshot),
            meta={"targets.json": MetaFile(version=targets)},
        )
        _write(self._metadata / f"{snapshot.version}.snapshot.json", self._signed(snapshot))
        self._write_timestamp(snapshot.version, now)
        self._sweep(previous, snapshot)

    def _write_timestamp(self, snapshot: int, now: datetime) -> None:
        path = self._metadata / "timestamp.json"
        version = self._current_timestamp().version if path.exists() else 0
        timestamp = Timestamp(
            version=version + 1,
            expires=_expiry(now, self._lifetimes.timestamp),
            snapshot_meta=MetaFile(version=snapshot),
        )
        _write(path, self._signed(timestamp))

    def _write_root(self, root: Root) -> None:
        _write(self._metadata / f"{root.version}.root.json", self._signed(root))

    def _signed(self, role: _S) -> bytes:
        metadata = Metadata(role)
        metadata.sign(self._signer(role.type))
        return metadata.to_bytes(JSONSerializer(compact=True))

    def _write_content(self, file: TargetFile, data: bytes) -> None:
        directory, _, name = file.path.rpartition("/")
        path = self._targets / directory / f"{file.hashes['sha256']}.{name}"
        with contextlib.suppress(FileNotFoundError):
            if hashlib.sha256(path.read_bytes()).hexdigest() == file.hashes["sha256"]:
                return
        _write(path, data)

    def _newest(self, role: str) -> int:
        """The highest version of `role` on disk, released or left behind; 0 when there is none."""
        found = (_VERSIONED.fullmatch(entry.name) for entry in self._metadata.iterdir())
        return max((int(match[1]) for match in found if match and match[2] == role), default=0)

    def _sweep(self, previous: Snapshot | None, released: Snapshot) -> None:
        """Remove signed files that an interrupted release left between two releases."""
        first = {
            "snapshot": previous.version if previous else 0,
            "targets": previous.meta["targets.json"].version if previous else 0,
        }
        last = {"snapshot": released.version, "targets": released.meta["targets.json"].version}
        for entry in list(self._metadata.iterdir()):
            match = _VERSIONED.fullmatch(entry.name)
            left_behind = (
                match is not None
                and match[2] != "root"
                and first[match[2]] < int(match[1]) < last[match[2]]
            )
            if left_behind:
                entry.unlink()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            for directory, mode in (
                (self._keys, 0o700),
                (self._metadata, 0o755),
                (self._targets, 0o755),
            ):
                directory.mkdir(mode=mode, parents=True, exist_ok=True)
            with (self._keys / "lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for directory in (self._keys, self._metadata):
                    for partial in directory.glob(f"{_PARTIAL}*"):
                        partial.unlink()
                yield
        except OSError as error:
            raise UnavailableError(
                f"The repository cannot be written: {error.strerror or error}.",
                next_step="Free disk space or mend the directory's rights, then publish again.",
            ) from error


def _check_target(path: str, data: bytes) -> None:
    if not safe_target_path(path):
        raise InvalidError(
            f"{path[:80]!r} cannot be the path of a published file.",
            next_step="Use relative paths of letters, digits and . _ + ! ~ - only.",
        )
    if len(data) > MAX_TARGET_BYTES:
        raise TooLargeError(
            f"{path} has {len(data)} bytes; at most {MAX_TARGET_BYTES} are published.",
            next_step="Split the file or publish a reference to it.",
        )


def _ageing(role: Root | Snapshot | Targets, lifetime: timedelta, now: datetime) -> bool:
    return role.expires - now < lifetime / 2


def _expiry(now: datetime, lifetime: timedelta) -> datetime:
    # The format has whole seconds.
    return (now.astimezone(UTC) + lifetime).replace(microsecond=0)


def _write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` at `path` whole or not at all, durable when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{_PARTIAL}{hashlib.sha256(path.name.encode()).hexdigest()[:32]}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _not_initialised() -> NotFoundError:
    return NotFoundError(
        "There is no repository here yet.",
        next_step="Initialise the publisher before publishing.",
    )


def _damaged(role: str) -> IntegrityError:
    return IntegrityError(
        f"The {role} metadata of the repository is missing or was not signed by its {role} key.",
        next_step="Restore the repository directory from a backup; the keys are untouched.",
    )

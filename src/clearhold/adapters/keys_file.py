"""A key ring in one file of mode 0600, outside the data directory (AES-256-GCM, NIST SP 800-38D).

Every change is written whole to a new file, which then takes the old one's place, so that a process
killed at any moment leaves one ring or the other. Backups are files too: each change is written to
all of them, and a key is destroyed in them before it is destroyed here.
"""

from __future__ import annotations

import base64
import fcntl
import glob
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from clearhold.ports.keys import BackupState, WrappedKey

_NONCE = 12


@dataclass(frozen=True, slots=True)
class _Content:
    """What stands in the file; key-encryption keys are in the order of their making."""

    keks: Mapping[str, bytes] = field(repr=False)
    hash_key: bytes = field(repr=False)
    backups: tuple[str, ...]

    @property
    def current(self) -> str:
        return list(self.keks)[-1]

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "current": self.current,
                "keks": {name: base64.b64encode(key).decode() for name, key in self.keks.items()},
                "hash_key": base64.b64encode(self.hash_key).decode(),
                "backups": self.backups,
            }
        ).encode()


class FileKeyRing:
    """`ports.keys.KeyRing` on a local file."""

    def __init__(self, path: Path, *, data_directory: Path) -> None:
        """Open the ring at `path`, making it when there is none.

        Raises `InvalidError` when the ring lies inside the data directory, where a copy of the
        data would take the keys along, and `UnavailableError` when others can read the file or it
        is damaged.
        """
        self._path = path.resolve()
        self._data_directory = data_directory.resolve()
        if self._path.is_relative_to(self._data_directory):
            raise InvalidError(
                "The key ring may not lie inside the data directory.",
                next_step="Set CLEARHOLD_KEY_DIRECTORY to a place outside the data directory.",
            )
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._alone():
                if not self._path.exists():  # of two first starts exactly one makes the ring
                    _write(self._path, _new())
        self._held = self._load()

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """Seal `key` under the current key-encryption key."""
        content = self._now()
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(content.keks[content.current]).encrypt(nonce, key, context)
        return WrappedKey(content.current, nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """Open a sealed key; `IntegrityError` when it does not open."""
        kek = self._now().keks.get(wrapped.kek)
        if kek is None:
            raise IntegrityError(
                "A stored key was sealed under a key this ring does not hold.",
                next_step="Restore the key ring that belongs to this database.",
            )
        nonce, sealed = wrapped.ciphertext[:_NONCE], wrapped.ciphertext[_NONCE:]
        try:
            return AESGCM(kek).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
            raise IntegrityError("A stored key does not open: it was changed or moved.") from error

    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        """HMAC under a key derived for `purpose`; this one key stays when the others rotate."""
        key = hmac.digest(self._held[1].hash_key, purpose.encode(), hashlib.sha256)
        return hmac.digest(key, value, hashlib.sha256)

    def generations(self) -> tuple[str, ...]:
        """The key-encryption keys held, oldest first."""
        return tuple(self._now().keks)

    def rotate(self, name: str) -> None:
        """Make a new current key, here and then in every backup that can be reached."""
        with self._alone():
            _, content = self._load()
            if name != content.current:
                if name in content.keks:
                    raise ConflictError("A key of that name was retired already.")
                content = replace(content, keks={**content.keks, name: secrets.token_bytes(32)})
                self._keep(content)
            for backup in content.backups:
                if _state(Path(backup), content) is BackupState.STALE:
                    _write(Path(backup), content)

    def destroy(self, name: str) -> None:
        """End a retired key in every backup and then here."""
        with self._alone():
            _, content = self._load()
            if name == content.current:
                raise ConflictError(
                    "The current key cannot be destroyed.",
                    next_step="Run `clearhold admin keys rotate` first.",
                )
            lost = [
                backup
                for backup in content.backups
                if _state(Path(backup), content) is BackupState.OUT_OF_REACH
            ]
            if lost:
                raise UnavailableError(
                    "A backup of the key ring is out of reach, so no key was destroyed: "
                    + ", ".join(lost),
                    next_step="Bring it back and repeat the command; if it no longer exists "
                    "anywhere, run `clearhold admin keys forget FILE`.",
                )
            keks = {held: key for held, key in content.keks.items() if held != name}
            content = replace(content, keks=keks)
            for backup in content.backups:
                _write(Path(backup), content)
            self._keep(content)

    def back_up(self, to: Path) -> None:
        """Copy the ring to a new file; the place is remembered before the copy is made."""
        target = to.absolute().parent.resolve() / to.name
        if target.is_relative_to(self._data_directory) or not target.parent.is_dir():
            raise InvalidError(
                "A backup of the key ring goes into a directory that exists, outside the data.",
                next_step="Name a file on a medium that only the keepers of keys can reach.",
            )
        with self._alone():
            _, content = self._load()
            if str(target) not in content.backups:
                if target.exists():
                    raise InvalidError(
                        "There is a file of that name already.", next_step="Name a new file."
                    )
                content = replace(content, backups=(*content.backups, str(target)))
                self._keep(content)
            for backup in content.backups:
                if backup == str(target) or _state(Path(backup), content) is BackupState.STALE:
                    _write(Path(backup), content)

    def backups(self) -> Mapping[str, BackupState]:
        """Every registered copy, compared with the ring."""
        content = self._now()
        return {backup: _state(Path(backup), content) for backup in content.backups}

    def forget(self, backup: str) -> None:
        """Take a copy off the list; when it is within reach after all, it is removed."""
        with self._alone():
            _, content = self._load()
            if backup not in content.backups:
                raise NotFoundError(
                    "No backup is registered at that place.",
                    next_step="See `clearhold admin keys status`.",
                )
            if Path(backup).is_file():
                Path(backup).unlink()
                _settle(Path(backup).parent)
            left = tuple(each for each in content.backups if each != backup)
            self._keep(replace(content, backups=left))

    def _now(self) -> _Content:
        """The ring as the file says now: another process may have changed it."""
        try:
            held = self._held
            if _stamp(self._path) != held[0]:
                self._held = held = self._load()
        except FileNotFoundError as error:
            raise UnavailableError(
                "The key ring is gone.",
                next_step=f"Restore {self._path} from the key directory's own backup.",
            ) from error
        return held[1]

    def _load(self) -> tuple[tuple[int, ...], _Content]:
        if self._path.stat().st_mode & 0o077:
            raise UnavailableError(
                "The key ring can be read by other users of this machine.",
                next_step=f"Run: chmod 600 {self._path}",
            )
        with self._path.open("rb") as file:
            seen = _stamp(file.fileno())
            try:
                return seen, _parse(file.read())
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise UnavailableError(
                    "The key ring is damaged.",
                    next_step=f"Restore {self._path} from the key directory's own backup.",
                ) from error

    def _keep(self, content: _Content) -> None:
        _write(self._path, content)
        self._held = self._load()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process from changing the ring meanwhile."""
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)


def _new() -> _Content:
    name = f"kek-{secrets.token_hex(4)}"
    return _Content({name: secrets.token_bytes(32)}, secrets.token_bytes(32), ())


def _parse(raw: bytes) -> _Content:
    document = json.loads(raw)
    keks = {name: _key(text) for name, text in document["keks"].items()}
    current = document["current"]
    keks[current] = keks.pop(current)
    backups = tuple(str(place) for place in document.get("backups", ()))
    return _Content(keks, _key(document["hash_key"]), backups)


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        message = "a key has 256 bits"
        raise ValueError(message)
    return key


def _stamp(place: Path | int) -> tuple[int, ...]:
    status = os.stat(place)  # noqa: PTH116  # of a file that is open already, too
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode


def _state(backup: Path, content: _Content) -> BackupState:
    """How a copy stands; a missing one may be on a medium that comes back with its keys on it."""
    try:
        same = hmac.compare_digest(backup.read_bytes(), content.to_bytes())
    except OSError:
        return BackupState.OUT_OF_REACH
    return BackupState.WHOLE if same else BackupState.STALE


def _write(path: Path, content: _Content) -> None:
    """Put `content` in the place of what stands at `path`, and let nothing half-written remain."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.new"):  # of a process that was killed
        left.unlink()
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise UnavailableError(
            f"The key ring cannot be written to {path}: {error.strerror}.",
            next_step="Make the place writable and repeat the command.",
        ) from error


def _settle(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

"""A key ring in one file of mode 0600, outside the data directory (AES-256-GCM, NIST SP 800-38D)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clearhold.kernel.errors import IntegrityError, InvalidError, UnavailableError
from clearhold.ports.keys import WrappedKey

_NONCE = 12


class FileKeyRing:
    """`ports.keys.KeyRing` on a local file."""

    def __init__(self, path: Path, *, data_directory: Path) -> None:
        """Open the ring at `path`, making it when there is none.

        Raises `InvalidError` when the ring lies inside the data directory, where a copy of the
        data would take the keys along, and `UnavailableError` when others can read the file or it
        is damaged.
        """
        resolved = path.resolve()
        if resolved.is_relative_to(data_directory.resolve()):
            raise InvalidError(
                "The key ring may not lie inside the data directory.",
                next_step="Set CLEARHOLD_KEY_DIRECTORY to a place outside the data directory.",
            )
        if not resolved.exists():
            _create(resolved)
        if resolved.stat().st_mode & 0o077:
            raise UnavailableError(
                "The key ring can be read by other users of this machine.",
                next_step=f"Run: chmod 600 {resolved}",
            )
        try:
            content = json.loads(resolved.read_bytes())
            self._current: str = content["current"]
            self._keks = {name: _key(text) for name, text in content["keks"].items()}
            self._hash_key = _key(content["hash_key"])
            self._keks[self._current]
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnavailableError(
                "The key ring is damaged.",
                next_step=f"Restore {resolved} from the key directory's own backup.",
            ) from error

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """Seal `key` under the current key-encryption key."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self._keks[self._current]).encrypt(nonce, key, context)
        return WrappedKey(self._current, nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """Open a sealed key; `IntegrityError` when it does not open."""
        kek = self._keks.get(wrapped.kek)
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
        """HMAC under a key derived for `purpose`."""
        key = hmac.digest(self._hash_key, purpose.encode(), hashlib.sha256)
        return hmac.digest(key, value, hashlib.sha256)


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        message = "a key has 256 bits"
        raise ValueError(message)
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"kek-{secrets.token_hex(4)}"
    content = {
        "current": name,
        "keks": {name: base64.b64encode(secrets.token_bytes(32)).decode()},
        "hash_key": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)  # of two first starts exactly one makes the ring
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)

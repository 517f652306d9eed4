"""A key ring in a PKCS#11 token (OASIS PKCS #11 3.0): keys are made in it and never leave it.

A data key is sealed by AES-GCM (NIST SP 800-38D) inside the token, with the context as additional
data. Hashes are HMAC-SHA-256 inside the token; the purpose stands before the value with its length,
so that each purpose has a function of its own under one key, which tokens that cannot derive keys
can do as well. Key-encryption keys are numbered in CKA_ID; the highest number is current.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from clearhold.ports.keys import BackupState, WrappedKey

try:
    import pkcs11
    from pkcs11 import exceptions as answers
except ImportError:  # the extra is not installed
    pkcs11 = None  # type: ignore[assignment]

_NONCE: Final = 12
_TAG_BITS: Final = 128
_HASH_KEY: Final = "clearhold-hash"
_KEK: Final = "clearhold-kek:"


class Pkcs11KeyRing:
    """`ports.keys.KeyRing` on a token; processes of one hub share `lock_directory`."""

    def __init__(self, module: Path, *, token: str, pin_file: Path, lock_directory: Path) -> None:
        """Log in to `token` and make its keys when it holds none.

        Raises `UnavailableError` when the module, the token or the PIN is missing or wrong.
        """
        if pkcs11 is None:
            raise UnavailableError(
                "The PKCS#11 key ring needs a package that is not installed.",
                next_step="Install clearhold with the extra: clearhold[pkcs11].",
            )
        pin = _pin(pin_file)
        lock_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_directory = lock_directory
        self._calling = threading.Lock()  # a session does one thing at a time
        self._session = _logged_in(module, token, pin)
        with self._alone(), self._token():
            if not self._find(label=_HASH_KEY):
                self._make_hash_key()
            if not self._keks():
                self._make_kek(f"kek-{secrets.token_hex(4)}", number=1)
            self._hash_key = self._find(label=_HASH_KEY)[0]

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """Seal `key` under the current key-encryption key, inside the token."""
        nonce = secrets.token_bytes(_NONCE)
        with self._token():
            name, kek = self._keks()[-1]
            sealed = kek.encrypt(
                key,
                mechanism=pkcs11.Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, context, _TAG_BITS),
            )
        return WrappedKey(name, nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """Open a sealed key inside the token; `IntegrityError` when it does not open."""
        nonce, sealed = wrapped.ciphertext[:_NONCE], wrapped.ciphertext[_NONCE:]
        with self._token():
            found = self._find(label=_KEK + wrapped.kek)
            if not found:
                raise IntegrityError(
                    "A stored key was sealed under a key this ring does not hold.",
                    next_step="Use the token that belongs to this database.",
                )
            if len(sealed) < _TAG_BITS // 8:
                raise _does_not_open()
            try:
                opened: bytes = found[0].decrypt(
                    sealed,
                    mechanism=pkcs11.Mechanism.AES_GCM,
                    mechanism_param=pkcs11.GCMParams(nonce, context, _TAG_BITS),
                )
            except (
                answers.EncryptedDataInvalid,
                answers.EncryptedDataLenRange,
                answers.FunctionFailed,
                answers.GeneralError,  # what SoftHSM answers to a tag that does not fit
            ) as error:
                raise _does_not_open() from error
        return opened

    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        """HMAC inside the token, a function of its own for each purpose."""
        name = purpose.encode()
        with self._token():
            made: bytes = self._hash_key.sign(
                len(name).to_bytes(4) + name + value, mechanism=pkcs11.Mechanism.SHA256_HMAC
            )
        return made

    def generations(self) -> tuple[str, ...]:
        """The key-encryption keys held, oldest first."""
        with self._token():
            return tuple(name for name, _ in self._keks())

    def rotate(self, name: str) -> None:
        """Make a new current key in the token."""
        with self._alone(), self._token():
            keks = self._keks()
            names = [held for held, _ in keks]
            if name == names[-1]:
                return
            if name in names:
                raise ConflictError("A key of that name was retired already.")
            self._make_kek(name, number=_number(keks[-1][1]) + 1)

    def destroy(self, name: str) -> None:
        """End a retired key in the token."""
        with self._alone(), self._token():
            if name == self._keks()[-1][0]:
                raise ConflictError(
                    "The current key cannot be destroyed.",
                    next_step="Run `clearhold admin keys rotate` first.",
                )
            for key in self._find(label=_KEK + name):
                key.destroy()

    def back_up(self, to: Path) -> None:
        """Refuse: what the token holds cannot be copied to a file."""
        raise InvalidError(
            f"The keys cannot leave their token, so they cannot be copied to {to}.",
            next_step="Use the token's own backup, and mind that expunging does not reach it.",
        )

    def backups(self) -> Mapping[str, BackupState]:
        """None that this ring could know of."""
        return {}

    def forget(self, backup: str) -> None:
        """Refuse: none is registered."""
        raise NotFoundError(f"No backup is registered at {backup}.")

    def _keks(self) -> list[tuple[str, Any]]:
        found = (
            (str(key.label), key)
            for key in self._session.get_objects(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                    pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                }
            )
        )
        ours = [(label.removeprefix(_KEK), key) for label, key in found if label.startswith(_KEK)]
        return sorted(ours, key=lambda each: _number(each[1]))

    def _find(self, *, label: str) -> list[Any]:
        return list(
            self._session.get_objects(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                    pkcs11.Attribute.LABEL: label,
                }
            )
        )

    def _make_kek(self, name: str, *, number: int) -> None:
        self._session.generate_key(
            pkcs11.KeyType.AES,
            256,
            label=_KEK + name,
            id=number.to_bytes(8),
            store=True,
            capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
            template=_STAYS,
        )

    def _make_hash_key(self) -> None:
        self._session.generate_key(
            pkcs11.KeyType.GENERIC_SECRET,
            256,
            mechanism=pkcs11.Mechanism.GENERIC_SECRET_KEY_GEN,
            label=_HASH_KEY,
            store=True,
            capabilities=pkcs11.MechanismFlag.SIGN,
            template=_STAYS,
        )

    @contextmanager
    def _token(self) -> Iterator[None]:
        with self._calling:
            try:
                yield
            except (answers.PKCS11Error, RuntimeError) as error:
                raise _unusable(error) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process of the hub from changing the token's keys meanwhile."""
        directory = os.open(self._lock_directory, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)


_STAYS: Final = (
    {}
    if pkcs11 is None
    else {
        pkcs11.Attribute.SENSITIVE: True,
        pkcs11.Attribute.EXTRACTABLE: False,
        pkcs11.Attribute.PRIVATE: True,
    }
)


def _pin(file: Path) -> str:
    try:
        if file.stat().st_mode & 0o077:
            raise UnavailableError(
                "The file with the token's PIN can be read by other users of this machine.",
                next_step=f"Run: chmod 600 {file}",
            )
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(
            "The file with the token's PIN cannot be read.",
            next_step="Set CLEARHOLD_PKCS11_PIN_FILE to a file of mode 0600.",
        ) from error


def _logged_in(module: Path, token: str, pin: str) -> Any:
    try:
        found = pkcs11.lib(str(module)).get_token(token_label=token)
        try:
            return found.open(user_pin=pin, rw=True)
        except answers.UserAlreadyLoggedIn:  # a login counts for the whole process
            return found.open(rw=True)
    except (answers.PKCS11Error, RuntimeError) as error:
        raise _unusable(error) from None  # the cause could show what was sent


def _number(kek: Any) -> int:
    return int.from_bytes(kek[pkcs11.Attribute.ID])


def _does_not_open() -> IntegrityError:
    return IntegrityError("A stored key does not open: it was changed or moved.")


def _unusable(error: Exception) -> UnavailableError:
    return UnavailableError(
        f"The token that holds the keys cannot be used: {type(error).__name__}.",
        next_step="Check CLEARHOLD_PKCS11_MODULE, _TOKEN and _PIN_FILE and that the token is "
        "there, then start the hub anew.",
    )

"""Ed25519 signing keys in files of mode 0600 (RFC 8032), one per purpose."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.kernel.errors import UnavailableError


def signing_key(directory: Path, purpose: str) -> Ed25519PrivateKey:
    """The key of that purpose, made on first use; of two first uses exactly one makes it.

    Raises `UnavailableError` when others can read the stored key or it is damaged.
    """
    path = directory / f"{purpose}.ed25519"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    key = read_key(path, purpose)
    if key is None:
        raise UnavailableError(
            f"The signing key for {purpose} vanished.",
            next_step="Restore the key directory from its own backup.",
        )
    return key


def read_key(path: Path, purpose: str) -> Ed25519PrivateKey | None:
    """The key in a file, None when there is none; raises as `signing_key` does."""
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(33)
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise UnavailableError(
            f"The signing key for {purpose} can be read by other users of this machine.",
            next_step=f"Run: chmod 600 {path}",
        )
    try:
        return Ed25519PrivateKey.from_private_bytes(content)
    except ValueError as error:
        raise UnavailableError(
            f"The signing key for {purpose} is damaged.",
            next_step="Restore the key directory from its own backup.",
        ) from error

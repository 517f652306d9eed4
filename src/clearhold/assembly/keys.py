"""The keys that settings choose, and what signs and pads the log with them."""

from __future__ import annotations

from clearhold.adapters.keys_file import FileKeyRing
from clearhold.adapters.keys_pkcs11 import Pkcs11KeyRing
from clearhold.adapters.signer_file import signing_key
from clearhold.ledger.model import Padding
from clearhold.ports.keys import KeyRing
from clearhold.settings import Settings
from clearhold.wire.signed_note import NoteSigner


def open_ring(settings: Settings) -> KeyRing:
    """The key ring that the settings choose."""
    if settings.key_ring == "pkcs11":
        return Pkcs11KeyRing(
            settings.pkcs11_module,
            token=settings.pkcs11_token,
            pin_file=settings.pkcs11_pin_file,
            lock_directory=settings.key_directory,
        )
    return FileKeyRing(settings.key_directory / "ring.json", data_directory=settings.data_directory)


def log_signer(settings: Settings) -> NoteSigner:
    """What signs the checkpoints of the public log."""
    return NoteSigner(settings.log_name, signing_key(settings.key_directory, "log"))


def log_padding(ring: KeyRing) -> Padding:
    """The entries of the log that belong to no leaf, which only the ring's key tells from others."""
    return lambda place: ring.keyed_hash("ledger padding", place.to_bytes(8, "big"))

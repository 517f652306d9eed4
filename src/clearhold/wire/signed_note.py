"""Signed notes and log checkpoints (C2SP signed-note and tlog-checkpoint), Ed25519 alone (RFC 8032).

A checkpoint's extension lines are kept as they are. One is written here: `time` and seconds since
1970, the instant for which the checkpoint was made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.kernel.errors import IntegrityError, InvalidError

MAX_NOTE_BYTES: Final = 64 * 1024
_MAX_SIGNATURES: Final = 100
_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_TIME: Final = re.compile(r"time (0|[1-9][0-9]{0,10})")


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A name and the public key that signs under it."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> NoteVerifier:
        """From the form `name+hash+key`. Raises `InvalidError`."""
        name, _, rest = text.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not _NAME.fullmatch(name) or raw[:1] != _ED25519 or len(raw) != 33:
            raise _no_key("It has the form NAME+HASH+KEY, of an Ed25519 key.")
        verifier = cls(name, raw[1:])
        if identity != verifier.identity.hex():
            raise _no_key("Its hash does not belong to its name and key: copy it whole.")
        return verifier

    @property
    def identity(self) -> bytes:
        """The four bytes by which signatures name the key."""
        signed = self.name.encode() + b"\n" + _ED25519 + self.key
        return hashlib.sha256(signed).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.key).decode()
        return f"{self.name}+{self.identity.hex()}+{encoded}"


class NoteSigner:
    """Signs notes under a name."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        """Sign as `name`; raises `InvalidError` on a name that notes cannot bear."""
        if not _NAME.fullmatch(name):
            raise InvalidError(
                "The log's name may hold no space and no plus sign.",
                next_step="Check the public address of the hub, of which it is made.",
            )
        self._key = key
        self.verifier = NoteVerifier(name, key.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The note: the text, which ends with a line feed, and the signature."""
        signature = base64.b64encode(self.verifier.identity + self._key.sign(text.encode()))
        return f"{text}\n\N{EM DASH} {self.verifier.name} {signature.decode()}\n".encode()


def open_note(note: bytes, verifier: NoteVerifier) -> str:
    """The text of a note that the verifier's key signed; signatures by others are passed over.

    Raises `InvalidError` when it is no note and `IntegrityError` when that key did not sign it.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise _no_note()
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise _no_note() from error
    text, gap, lines = whole.rpartition("\n\n")
    signatures = lines.removesuffix("\n").split("\n")
    odd = any(char < " " and char != "\n" for char in whole)
    if not gap or odd or not lines.endswith("\n") or len(signatures) > _MAX_SIGNATURES:
        raise _no_note()
    text += "\n"
    for line in signatures:
        name, raw = _signature(line)
        if name != verifier.name or raw[:_ID_BYTES] != verifier.identity:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.key).verify(raw[_ID_BYTES:], text.encode())
        except (InvalidSignature, ValueError) as error:
            raise IntegrityError(
                "The checkpoint's signature does not verify: it was altered after signing.",
                next_step="Fetch it again; if that is no help, show it to others who watch this log.",
            ) from error
        return text
    raise IntegrityError(
        f"The checkpoint is not signed by the key of {verifier.name[:80]}.",
        next_step="Check that the verifier key belongs to this log.",
    )


def _signature(line: str) -> tuple[str, bytes]:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_note() from error
    if mark != "\N{EM DASH}" or not _NAME.fullmatch(name) or len(raw) <= _ID_BYTES:
        raise _no_note()
    return name, raw


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How large a log is and what it holds, as its operator states it."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def at(cls, origin: str, size: int, root: bytes, instant: datetime) -> Checkpoint:
        """A checkpoint made for an instant."""
        return cls(origin, size, root, (f"time {int(instant.timestamp())}",))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """From a note's text. Raises `InvalidError`."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines) or not _SIZE.fullmatch(lines[1]):
            raise _no_note()
        try:
            root = base64.b64decode(lines[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise _no_note() from error
        if len(root) != hashlib.sha256().digest_size:
            raise _no_note()
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:]))

    @property
    def text(self) -> str:
        """The text that is signed."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{each}\n" for each in (self.origin, self.size, root, *self.extensions))

    @property
    def time(self) -> datetime | None:
        """The instant it was made for, as its operator says; None when it does not say."""
        for line in self.extensions:
            stated = _TIME.fullmatch(line)
            if stated:
                return datetime.fromtimestamp(int(stated[1]), UTC)
        return None


def open_checkpoint(note: bytes, verifier: NoteVerifier) -> Checkpoint:
    """The checkpoint that the verifier's key signed for its own log.

    Raises `InvalidError` when it is none, `IntegrityError` when it is of another log or key.
    """
    checkpoint = Checkpoint.parse(open_note(note, verifier))
    if checkpoint.origin != verifier.name:
        raise IntegrityError(
            "The checkpoint is of another log than its key's.",
            next_step="Check that the verifier key belongs to this log.",
        )
    return checkpoint


def _no_key(reason: str) -> InvalidError:
    return InvalidError(f"This is no verifier key. {reason}")


def _no_note() -> InvalidError:
    return InvalidError(
        "This is not a signed checkpoint.", next_step="Fetch it again, exactly as it is served."
    )

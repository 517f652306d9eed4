"""The outside of an age file (age-encryption.org/v1): what can be checked without any key.

A header has one stanza per X25519 recipient and may have one that means nothing, which the format
calls grease. The payload is a nonce and chunks of 64 KiB with a tag each, so the size of what was
encrypted shows. Nothing here decrypts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from clearhold.kernel.errors import InvalidError, TooLargeError

MOST_RECIPIENTS: Final = 64
_VERSION: Final = b"age-encryption.org/v1"
_LONGEST_HEADER: Final = 16 * 1024
_LONGEST_BODY_LINE: Final = 64
_MOST_GREASE: Final = 2
_NONCE: Final = 16
_CHUNK: Final = 64 * 1024
_TAG: Final = 16
_KEY_BYTES: Final = 32
_WORD: Final = re.compile(rb"[\x21-\x7e]+")
_RECIPIENT: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")


@dataclass(frozen=True, slots=True)
class AgeFile:
    """What shows of an age file: how many recipients it has, and how much it holds."""

    recipients: int
    size: int


def fingerprint(recipient: str) -> str:
    """What two people compare over the telephone: 32 hexadecimal digits of SHA-256, by fours.

    Raises `InvalidError` unless `recipient` has the form of an X25519 recipient.
    """
    if _RECIPIENT.fullmatch(recipient) is None:
        raise InvalidError(
            "That is no age recipient.", next_step="Send the line that begins with age1."
        )
    digits = hashlib.sha256(recipient.encode()).hexdigest()[:32]
    return "-".join(digits[start : start + 4] for start in range(0, 32, 4))


def is_age(content: bytes) -> bool:
    """Whether this begins as an age file in binary form does."""
    return content.startswith(_VERSION + b"\n")


def read(content: bytes, *, largest: int) -> AgeFile:
    """Check the form of an age file to X25519 recipients that holds at most `largest` bytes.

    Raises `InvalidError` for anything else and `TooLargeError` for more.
    """
    header_end = content.find(b"\n---", 0, _LONGEST_HEADER)
    mac_end = content.find(b"\n", header_end + 1, header_end + 64)
    if header_end < 0 or mac_end < 0:
        raise _malformed()
    version, *lines = content[:header_end].split(b"\n")
    if version != _VERSION or not _is_mac(content[header_end + 1 : mac_end]):
        raise _malformed()
    recipients = _stanzas(lines)
    if not 0 < recipients <= MOST_RECIPIENTS:
        raise InvalidError(
            f"A sealed letter has 1 to {MOST_RECIPIENTS} recipients.",
            next_step="Seal it to fewer recipients.",
        )
    size = _size(len(content) - mac_end - 1)
    if size > largest:
        raise TooLargeError(
            f"A sealed letter holds at most {largest} bytes.", next_step="Send less at a time."
        )
    return AgeFile(recipients, size)


def _stanzas(lines: list[bytes]) -> int:
    """How many X25519 recipients the header's lines name."""
    recipients = grease = 0
    position = 0
    while position < len(lines):
        words = lines[position].split(b" ")
        if len(words) < 2 or words[0] != b"->" or not all(map(_WORD.fullmatch, words)):
            raise _malformed()
        position += 1
        body, position = _body(lines, position)
        if words[1] == b"X25519":
            if len(words) != 3 or len(_unpadded(words[2])) != _KEY_BYTES or len(body) != _KEY_BYTES:
                raise _malformed()
            recipients += 1
        elif words[1].endswith(b"-grease") and grease < _MOST_GREASE:
            grease += 1
        else:
            raise InvalidError(
                "The letter is sealed to something else than X25519 recipients.",
                next_step="Use recipients that begin with age1 and no passphrase.",
            )
    return recipients


def _body(lines: list[bytes], position: int) -> tuple[bytes, int]:
    """A stanza's body: full lines, then one that is shorter."""
    body = b""
    while position < len(lines):
        line = lines[position]
        if len(line) > _LONGEST_BODY_LINE:
            break
        position += 1
        body += line
        if len(line) < _LONGEST_BODY_LINE:
            return _unpadded(body), position
    raise _malformed()


def _unpadded(text: bytes) -> bytes:
    """Canonical base64 without padding."""
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed() from error
    if base64.b64encode(decoded).rstrip(b"=") != text:
        raise _malformed()
    return decoded


def _is_mac(line: bytes) -> bool:
    return line.startswith(b"--- ") and len(_unpadded(line[4:])) == 32


def _size(payload: int) -> int:
    """How many bytes a payload of that length holds."""
    whole, rest = divmod(payload - _NONCE, _CHUNK + _TAG)
    if payload < _NONCE + _TAG or 0 < rest < _TAG or (rest == _TAG and whole):
        raise _malformed()
    return whole * _CHUNK + max(rest - _TAG, 0)


def _malformed() -> InvalidError:
    return InvalidError(
        "That is not an age file in binary form.",
        next_step="Seal it with `clearhold case sealed lodge`, which makes it right.",
    )

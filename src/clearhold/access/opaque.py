"""Opaque credentials, `PREFIX_<id>_<secret>`: an id to find the row by, and 256 random bits."""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Final

_FORM: Final = re.compile(r"([a-z]{2})_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Presented:
    """The two parts of a credential that was presented."""

    id: str
    secret: str = field(repr=False)


def mint() -> str:
    """A fresh secret of 256 bits."""
    return text_of(secrets.token_bytes(32))


def text_of(value: bytes) -> str:
    """Bytes in the alphabet of addresses, without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def write(prefix: str, identity: str, secret: str) -> str:
    """The credential as it is shown to its owner."""
    return f"{prefix}_{uuid.UUID(identity).hex}_{secret}"


def read(prefix: str, presented: str) -> Presented | None:
    """The parts of a credential of this kind; None when it has not its form."""
    match = _FORM.fullmatch(presented)
    if match is None or match[1] != prefix:
        return None
    return Presented(str(uuid.UUID(match[2])), match[3])

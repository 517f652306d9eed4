"""The statement a party signs when it accepts an agreement, carried in a DSSE envelope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from clearhold.kernel.errors import InvalidError

PAYLOAD_TYPE: Final = "application/vnd.clearhold.acceptance+json"
LARGEST: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which party accepts which version of an agreement, named by its text's SHA-256, and when."""

    party: str
    agreement: str
    version: int
    text_sha256: str
    accepted_at: datetime


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    accepted_at: datetime
    agreement: str
    party: str
    text_sha256: str
    version: int


def write(acceptance: Acceptance) -> bytes:
    """The statement as canonical JSON: keys sorted, no spaces, the instant in UTC."""
    return msgspec.json.encode(
        _Wire(
            accepted_at=acceptance.accepted_at.astimezone(UTC),
            agreement=acceptance.agreement,
            party=acceptance.party,
            text_sha256=acceptance.text_sha256,
            version=acceptance.version,
        ),
        order="deterministic",
    )


def read(data: bytes) -> Acceptance:
    """Read a statement; raises `InvalidError` unless it is the canonical form of itself."""
    try:
        parsed = msgspec.json.decode(data[: LARGEST + 1], type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed() from error
    if parsed.accepted_at.tzinfo is None:
        raise _malformed()
    try:
        acceptance = Acceptance(
            parsed.party,
            parsed.agreement,
            parsed.version,
            parsed.text_sha256,
            parsed.accepted_at.astimezone(UTC),
        )
    except OverflowError as error:
        raise _malformed() from error
    if write(acceptance) != data:
        raise _malformed()
    return acceptance


def _malformed() -> InvalidError:
    return InvalidError(
        "What was signed is not the statement of an acceptance.",
        next_step="Let `clearhold agreement accept` write and sign it.",
    )

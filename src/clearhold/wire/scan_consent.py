"""The statement by which an owner allows scans of live systems, carried in a DSSE envelope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from clearhold.kernel.errors import InvalidError

PAYLOAD_TYPE: Final = "application/vnd.clearhold.scan-authorisation+json"
LARGEST: Final = 128 * 1024


class ScanConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an owner allows: targets, techniques and depth in the words of scopes; when; how much.

    `holders` are handles of parties, or None for any party that has accepted its agreement.
    `requests_per_second` is for each holder, `concurrency` how many leases may stand at once.
    `contact` reaches the owner's security centre. `nonce` tells two equal statements apart.
    """

    blackouts: tuple[str, ...]
    concurrency: int
    contact: str
    depth: str
    holders: tuple[str, ...] | None
    nonce: str
    not_before: datetime
    party: str
    requests_per_second: int
    targets: tuple[str, ...]
    techniques: tuple[str, ...]
    until: datetime


def write(consent: ScanConsent) -> bytes:
    """The statement as canonical JSON: keys sorted, no spaces, instants in UTC."""
    plain = msgspec.structs.replace(
        consent,
        not_before=consent.not_before.astimezone(UTC),
        until=consent.until.astimezone(UTC),
    )
    return msgspec.json.encode(plain, order="deterministic")


def read(data: bytes) -> ScanConsent:
    """Read a statement; raises `InvalidError` unless it is the canonical form of itself."""
    try:
        consent = msgspec.json.decode(data[: LARGEST + 1], type=ScanConsent)
        zoned = consent.not_before.tzinfo is not None and consent.until.tzinfo is not None
        canonical = zoned and write(consent) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _malformed() from error
    if not canonical:
        raise _malformed()
    return consent


def _malformed() -> InvalidError:
    return InvalidError(
        "What was signed is not the statement of a scan authorisation.",
        next_step="Let `clearhold scan authorisation lodge` write and sign it.",
    )

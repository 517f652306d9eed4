"""What an authority or several parties sign beside a test: a decision, and early access for a partner.

Both are canonical JSON in DSSE envelopes. Neither is computed anywhere: whoever signs it says it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

import msgspec

from clearhold.kernel.errors import InvalidError

DETERMINATION_TYPE: Final = "application/vnd.clearhold.model-determination+json"
PARTNER_TYPE: Final = "application/vnd.clearhold.partner-access+json"
LARGEST: Final = 64 * 1024


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something a decision rests on: what it is, and its SHA-256 in hexadecimal."""

    sha256: str
    what: str


class Determination(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether a model is covered by a rule, as a named authority decided.

    `authority` is the handle of the party that decides, `decided_by` the person who did, `rule` the words
    or place of the rule. It says nothing of whether a model may be released.
    """

    authority: str
    basis: str
    decided_at: datetime
    decided_by: str
    decision: Literal["covered", "not-covered"]
    engagement: str
    inputs: tuple[Input, ...]
    nonce: str
    rule: str


class PartnerAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Access before release for a trusted partner: for what, of which variants, from when until when.

    `proposer`, `developer` and `partner` are handles of parties; it is in force once all have signed.
    """

    developer: str
    engagement: str
    nonce: str
    not_before: datetime
    partner: str
    proposer: str
    scope: str
    until: datetime
    variants: tuple[str, ...]


_Statement = TypeVar("_Statement", Determination, PartnerAccess)


def write(statement: Determination | PartnerAccess) -> bytes:
    """The statement as canonical JSON: keys sorted, no spaces, instants in UTC."""
    instants = {
        name: value.astimezone(UTC)
        for name in ("decided_at", "not_before", "until")
        if isinstance(value := getattr(statement, name, None), datetime)
    }
    return msgspec.json.encode(
        msgspec.structs.replace(statement, **instants), order="deterministic"
    )


def read_determination(data: bytes) -> Determination:
    """Read a decision; raises `InvalidError` unless it is the canonical form of itself."""
    return _read(data, Determination)


def read_partner(data: bytes) -> PartnerAccess:
    """Read a partner's access; raises `InvalidError` unless it is the canonical form of itself."""
    return _read(data, PartnerAccess)


def _read(data: bytes, kind: type[_Statement]) -> _Statement:
    try:
        statement = msgspec.json.decode(data[: LARGEST + 1], type=kind)
        given = (getattr(statement, each, None) for each in ("decided_at", "not_before", "until"))
        zoned = all(each.tzinfo is not None for each in given if isinstance(each, datetime))
        canonical = zoned and write(statement) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _malformed(str(error)) from error
    if not canonical:
        raise _malformed("it is not in its canonical form")
    return statement


def _malformed(why: str) -> InvalidError:
    return InvalidError(
        f"What was signed cannot be read: {why}.",
        next_step="Let `clearhold model` write and sign it.",
    )

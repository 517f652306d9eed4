"""The record of calls to a model: each names the one before by its hash, so none can go missing.

What was said stays with those who said it; the record has digests. A refused call is recorded like any
other, with its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

BEGINNING: Final = bytes(32)
"""What the first call of an engagement names as the one before."""


class Outcome(StrEnum):
    """How a call ended; a refused one has its reason beside this."""

    ANSWERED = "answered"
    REFUSED = "refused"
    RATE_LIMITED = "rate-limited"
    ENDPOINT_ERROR = "endpoint-error"
    NO_ANSWER = "no-answer"
    WITHHELD = "withheld"
    CUT_OFF = "cut-off"
    LOST = "lost"


class RecordedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One call: by whom, to which variant, digests of both sides, tokens, and how it ended.

    `caller` is the grant by which it came, `gateway` for rounds and probes of the gateway's own.
    `variant` is its place among the engagement's variants, from 1; 0 for none of them. `outcome` is
    an `Outcome`, with `:` and the reason when refused. `status` is the endpoint's HTTP status, 0 when
    it gave none or was not asked. Digests are SHA-256 in hexadecimal, of the request as it came and
    of the answer's bytes as the endpoint gave them. Tokens of a call that was lost are those held.
    """

    answer_sha256: str
    answer_tokens: int
    at: datetime
    caller: str
    engagement: str
    number: int
    outcome: str
    previous: str
    prompt_tokens: int
    request_sha256: str
    status: int
    variant: int

    @property
    def hash(self) -> bytes:
        """The hash that the next call names."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).digest()


def broken(calls: Iterable[RecordedCall]) -> int | None:
    """The number of the first call that does not follow the one before; None when all do.

    Calls begin with number 1 and `BEGINNING`, and are given in their order.
    """
    previous, number = BEGINNING, 1
    for call in calls:
        if call.number != number or call.previous != previous.hex():
            return number
        previous, number = call.hash, number + 1
    return None

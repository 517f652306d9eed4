"""The record of calls to a model: each names the one before by its hash, so none can go missing.

What was said stays with those who said it; the record has digests. A refused call is recorded like any
other, with its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

BEGINNING: Final = bytes(32)
"""What the first call of an engagement names as the one before."""


class RecordedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One call: who asked which variant, digests of both sides, tokens, and how it ended.

    `status` is the endpoint's HTTP status, 0 when it gave none or was not asked; `refused` why it was
    not asked, empty when it was. Digests are SHA-256 in hexadecimal, of the request as the evaluator
    sent it and of the answer's bytes.
    """

    answer_sha256: str
    answer_tokens: int
    at: datetime
    engagement: str
    evaluator: str
    number: int
    previous: str
    prompt_tokens: int
    refused: str
    request_sha256: str
    status: int
    variant: str

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

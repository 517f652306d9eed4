"""What a developer and an evaluator sign about testing a model: the same bytes, each in its envelope.

Both statements are canonical JSON in DSSE envelopes. An agreement stands once both have signed it; a
change of a running engagement (a pause, more time, the end of a hold, a draft that comes late)
likewise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

import msgspec

from clearhold.kernel.errors import InvalidError

AGREEMENT_TYPE: Final = "application/vnd.clearhold.model-agreement+json"
CHANGE_TYPE: Final = "application/vnd.clearhold.model-change+json"
LARGEST: Final = 128 * 1024
VOLUNTARY: Final = (
    "The developer takes part of its own will. Either side may end this at any time without a "
    "reason. Nothing that is done or found under it decides whether a model may be released."
)
"""What every agreement says in these words."""

AccessKind = Literal["chat", "raw-reasoning", "logprobs", "fine-tuning", "monitor-feed"]
Safeguards = Literal["release", "reduced", "none"]
Readers = Literal["nobody", "parties", "public-summary", "public"]
FindingRule = Literal["maintainer-first", "maintainer-and-departments"]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model as it is to be tested: its safeguards, and a commitment to weights and configuration.

    `commitment` is a SHA-256 of the developer's choosing, or empty where even that is secret.
    """

    commitment: str
    name: str
    safeguards: Safeguards


class Evaluator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person of a department by name: what is given to them of which variants, and attested.

    `tokens` is what they may spend in all; `attested` names what their department vouches for.
    """

    attested: tuple[str, ...]
    department: str
    kinds: tuple[AccessKind, ...]
    name: str
    tokens: int
    variants: tuple[str, ...]


class ModelAgreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The terms under which a developer's models are tested.

    `developer`, `evaluator` and `departments` are handles of parties; departments test too.
    `window_days` is the longest an engagement gives access, `draft_days` how long before the end of
    that the developer has the draft, `reply_days` how long it may then reply. `authority` names the
    law or programme the evaluator acts under. `handling`, `destruction` and `redaction` are texts.
    """

    authority: str
    credits_outages: bool
    departments: tuple[str, ...]
    destruction: str
    developer: str
    draft_days: int
    evaluator: str
    evaluators: tuple[Evaluator, ...]
    findings: FindingRule
    handling: str
    nonce: str
    not_before: datetime
    redaction: str
    reply_days: int
    report_to: Readers
    retention_days: int
    until: datetime
    variants: tuple[Variant, ...]
    voluntary: str
    window_days: int


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both sides agree on in an engagement.

    `until` is when a pause ends by itself, `hours` how much longer an extension makes the window;
    what an act has no use for is None, 0 or false. `after` is the number of the last thing that had
    happened in the engagement: once more has happened, the change counts no longer.
    """

    act: Literal["pause", "resume", "extend", "lift-hold", "late-draft"]
    after: int
    engagement: str
    hours: int
    nonce: str
    reason: str
    stops_clock: bool
    until: datetime | None


_Statement = TypeVar("_Statement", ModelAgreement, Change)


def write(statement: ModelAgreement | Change) -> bytes:
    """The statement as canonical JSON: keys sorted, no spaces, instants in UTC."""
    instants = {
        name: value.astimezone(UTC)
        for name in ("not_before", "until")
        if isinstance(value := getattr(statement, name, None), datetime)
    }
    plain = msgspec.structs.replace(statement, **instants)
    return msgspec.json.encode(plain, order="deterministic")


def read_agreement(data: bytes) -> ModelAgreement:
    """Read an agreement; raises `InvalidError` unless it is the canonical form of itself."""
    return _read(data, ModelAgreement, "agreement")


def read_change(data: bytes) -> Change:
    """Read a change; raises `InvalidError` unless it is the canonical form of itself."""
    return _read(data, Change, "change")


def _read(data: bytes, kind: type[_Statement], what: str) -> _Statement:
    try:
        statement = msgspec.json.decode(data[: LARGEST + 1], type=kind)
        canonical = _zoned(statement) and write(statement) == data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _malformed(what, str(error)) from error
    if not canonical:
        raise _malformed(what, "it is not in its canonical form")
    return statement


def _zoned(statement: ModelAgreement | Change) -> bool:
    given = (getattr(statement, name, None) for name in ("not_before", "until"))
    return all(each.tzinfo is not None for each in given if isinstance(each, datetime))


def _malformed(what: str, why: str) -> InvalidError:
    return InvalidError(
        f"What was signed is no {what} about testing a model: {why}.",
        next_step="Let `clearhold model` write and sign it.",
    )

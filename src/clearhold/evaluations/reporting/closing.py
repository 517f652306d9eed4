"""From a draft to what is signed: the reply unchanged, what is removed in a ledger, the rest named."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import msgspec

from clearhold.evaluations.reporting.beside import with_text
from clearhold.evaluations.reporting.document import (
    Closing,
    Correction,
    Redaction,
    Reply,
    Report,
    Written,
    differing,
    marker,
    texts,
    write,
)
from clearhold.kernel.errors import InvalidError

SALT_BYTES: Final = 32
FIXED: Final = frozenset({"plan", "plan_sha256", "tested"})
"""What no correction changes: which model was tested, between whom, and what was planned."""
Right = Literal["developer", "evaluator", "third-party"]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be taken out of a text, by whose right and why.

    `where` is the number of a section, or the place of words beside the tests (`safeguards/0/title`).
    """

    where: int | str
    text: str = field(repr=False)
    right_of: Right
    reason: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, with the salt that its digest was made with: the evaluator keeps both."""

    number: int
    salt: bytes = field(repr=False)
    text: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """The digest that the report tells."""
        return removed_digest(self.salt, self.text)


def removed_digest(salt: bytes, text: str) -> str:
    """What a redaction tells of a removed text: SHA-256 of a salt followed by it."""
    return hashlib.sha256(salt + text.encode()).hexdigest()


def reply_of(how: Literal["replied", "waived", "elapsed"], text: str = "") -> Reply:
    """A reply with its digest."""
    return Reply(how=how, sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)


def close(
    draft: Written,
    corrected: Report,
    reply: Reply,
    removals: Sequence[Removal],
    reasons: dict[str, str],
    *,
    at: datetime,
) -> tuple[Written, tuple[Removed, ...]]:
    """The final report, and what its redactions stand for.

    `corrected` is the draft with what the evaluator changed since; `reasons` gives for each part that
    differs why. Raises `InvalidError` for a change without a reason, and for a removal of what does
    not stand exactly once in its section.
    """
    cut, kept, ledger = corrected, [], []
    for number, each in enumerate(removals, 1):
        removed = Removed(number, secrets.token_bytes(SALT_BYTES), each.text)
        cut = _without(cut, each, marker(number))
        kept.append(removed)
        in_section = isinstance(each.where, int)
        ledger.append(
            Redaction(
                number=number,
                place="" if in_section else str(each.where),
                reason=each.reason,
                removed_sha256=removed.sha256,
                right_of=each.right_of,
                section=int(each.where) if in_section else None,
            )
        )
    closing = Closing(
        corrections=(), draft_sha256=draft.sha256, redactions=tuple(ledger), reply=reply
    )
    final = msgspec.structs.replace(cut, closing=closing, made_at=at)
    changed = differing(draft.report, final)
    _check_fixed(changed)
    missing = sorted(set(changed) - reasons.keys())
    if missing or set(reasons) - set(changed):
        raise InvalidError(
            f"Every part that differs from the draft has a reason, and no other: {', '.join(changed)}.",
            next_step="Give --because PART=REASON for each.",
        )
    named = tuple(Correction(part=part, reason=reasons[part]) for part in changed)
    closing = msgspec.structs.replace(closing, corrections=named)
    return write(msgspec.structs.replace(final, closing=closing)), tuple(kept)


def _without(report: Report, removal: Removal, mark: str) -> Report:
    """The report with a mark in place of what is to be removed."""
    of_section = isinstance(removal.where, int)
    where = f"sections/{removal.where}" if of_section else str(removal.where)
    text = texts(report).get(where)
    if text is None or (not of_section and where.startswith("sections/")):
        raise InvalidError(
            f"There is no text at {removal.where}; sections count from 0.",
            next_step="Places beside the tests are such as safeguards/0/title or decisions/0/basis.",
        )
    if not removal.text or text.count(removal.text) != 1:
        raise InvalidError(
            f"What is to be removed does not stand exactly once at {removal.where}.",
            next_step="Give more of the words around it, or another place.",
        )
    text = text.replace(removal.text, mark)
    if isinstance(removal.where, int):
        changed = [*report.sections]
        changed[removal.where] = msgspec.structs.replace(changed[removal.where], text=text)
        return msgspec.structs.replace(report, sections=tuple(changed))
    if report.beside is None:  # no text of it was found then
        return report
    return msgspec.structs.replace(report, beside=with_text(report.beside, where, text))


def check(draft: Written, final: Written, reply: Reply) -> None:
    """Raise `InvalidError` unless a final report is this draft with this reply, all else named."""
    closing = final.report.closing
    if closing is None or draft.report.closing is not None:
        raise InvalidError("A final report closes a draft.")
    if closing.draft_sha256 != draft.sha256:
        raise InvalidError("The report closes another draft than the one that was sent.")
    if closing.reply != reply:
        raise InvalidError("The developer's reply is not in the report as it was given.")
    _check_fixed(differing(draft.report, final.report))
    if final.report.made_at < draft.report.made_at:
        raise InvalidError("The report was made before its draft.")
    named = tuple(each.part for each in closing.corrections)
    if named != differing(draft.report, final.report):
        raise InvalidError("The report differs from its draft in a part that it does not name.")


def _check_fixed(changed: Sequence[str]) -> None:
    if fixed := sorted(FIXED.intersection(changed)):
        raise InvalidError(f"A report has these as its draft has them: {', '.join(fixed)}.")

"""Whether an agreement about testing a model can stand: pure rules, besides who signed it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from clearhold.evaluations.clock import LONGEST
from clearhold.kernel.errors import InvalidError
from clearhold.wire.model_agreement import VOLUNTARY, Evaluator, ModelAgreement

LEAST_DRAFT_DAYS: Final = 5
LONGEST_TEXT: Final = 20_000
LONGEST_NAME: Final = 200
MOST_EVALUATORS: Final = 100
MOST_VARIANTS: Final = 20
MOST_DEPARTMENTS: Final = 20
MOST_TOKENS: Final = 10**12
ATTESTED: Final = frozenset({"information-security", "insider-risk"})
"""What a department must vouch for of whoever is given less than the safeguards of the release."""
_LONGEST_LIFE: Final = timedelta(days=3 * 366)
_SHA256: Final = re.compile(r"[0-9a-f]{64}|")


def check(terms: ModelAgreement, now: datetime) -> None:
    """Raise `InvalidError`, naming everything, for an agreement that cannot stand."""
    faults = [fault for stands, fault in (*_rules(terms, now), *_names(terms)) if not stands]
    faults += [fault for each in terms.evaluators for fault in _of_evaluator(terms, each)]
    if faults:
        raise InvalidError(
            f"The agreement cannot stand: {'; '.join(faults)}.",
            next_step="Correct the draft and sign it again; what was signed cannot be changed.",
        )


def _rules(terms: ModelAgreement, now: datetime) -> Iterator[tuple[bool, str]]:
    """What must hold of an agreement, each with what is wrong when it does not."""
    most = LONGEST.days
    texts = ("authority", "destruction", "handling", "redaction")
    ends = max(now, terms.not_before) < terms.until <= now + _LONGEST_LIFE
    yield terms.voluntary == VOLUNTARY, "it does not say in the words given that it is voluntary"
    yield terms.developer != terms.evaluator, "developer and evaluator are one party"
    yield 1 <= terms.window_days <= most, f"access lasts 1 to {most} days"
    yield (
        LEAST_DRAFT_DAYS <= terms.draft_days <= most,
        f"the developer has the draft {LEAST_DRAFT_DAYS} to {most} days before the end",
    )
    yield 1 <= terms.reply_days <= 90, "a reply may take 1 to 90 days"
    yield 0 <= terms.retention_days <= 3660, "what is learnt is kept for 0 to 3660 days"
    yield ends, "it ends after it begins, later than now and within three years"
    yield 8 <= len(terms.nonce) <= 64, "its nonce has 8 to 64 characters"
    for name in texts:
        size = len(getattr(terms, name))
        yield 0 < size <= LONGEST_TEXT, f"{name} has 1 to {LONGEST_TEXT} characters"


def _names(terms: ModelAgreement) -> Iterator[tuple[bool, str]]:
    """Likewise of what it names: variants, departments and evaluators, each once."""
    for what, named, least, most in (
        ("variants", [each.name for each in terms.variants], 1, MOST_VARIANTS),
        ("departments", list(terms.departments), 0, MOST_DEPARTMENTS),
        ("evaluators", [each.name for each in terms.evaluators], 1, MOST_EVALUATORS),
    ):
        once = least <= len(named) <= most and len(set(named)) == len(named)
        yield once, f"it names {least} to {most} {what}, each once"
        yield all(map(_one_line, named)), f"a name among its {what} is not one line"
    hashed = all(_SHA256.fullmatch(each.commitment) for each in terms.variants)
    yield hashed, "a variant's commitment is a SHA-256 in small hexadecimal digits, or empty"


def _of_evaluator(terms: ModelAgreement, each: Evaluator) -> Iterator[str]:
    safeguards = {variant.name: variant.safeguards for variant in terms.variants}
    if each.department and each.department not in terms.departments:
        yield f"{each.name!r} is of a department that is not named"
    if not each.kinds or not 0 < each.tokens <= MOST_TOKENS:
        yield f"{each.name!r} is given no kind of access, or no tokens"
    if not each.variants or not set(each.variants) <= safeguards.keys():
        yield f"{each.name!r} is given variants that are not named"
        return
    guarded = all(safeguards[name] == "release" for name in each.variants)
    if not guarded and not set(each.attested) >= ATTESTED:
        yield (
            f"{each.name!r} is given reduced safeguards without the attestations "
            f"{', '.join(sorted(ATTESTED))}"
        )


def _one_line(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()

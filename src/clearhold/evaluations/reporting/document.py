"""The report of a test: one canonical JSON document, as a draft and as what is signed in the end.

A final report is its draft with the developer's reply unchanged, with what was removed in a ledger,
and with every other difference named. It tells what was done and seen; it judges no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from clearhold.evaluations.plan import Plan, register
from clearhold.evaluations.reporting.beside import (
    MARK,
    Beside,
    faults,
    removable,
    without_texts,
)
from clearhold.evaluations.reporting.results import Results
from clearhold.kernel.errors import InvalidError
from clearhold.wire import json_bounds

FORMAT: Final = "clearhold-model-report/2"
FIRST_FORMAT: Final = "clearhold-model-report/1"
"""As reports were before they told of safeguards, burden and decisions; they stay readable."""
LARGEST: Final = 8 * 1024 * 1024
LONGEST_TEXT: Final = 60_000
MOST_SECTIONS: Final = 40
MOST_REDACTIONS: Final = 500
SAYS: Final = (
    "This report tells what was tested, how, and what was seen. It does not decide whether a model may "
    "be released, and nobody may read that from it. What was not seen here may still be possible."
)
"""What every report says in these words."""


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which model, between whom: handles of the parties, and the SHA-256 of their agreement."""

    agreement_sha256: str
    developer: str
    engagement: str
    evaluator: str
    model: str
    variants: tuple[str, ...]


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When access began and was to end, and how much of it counted, in seconds."""

    began_at: datetime
    ends_at: datetime
    spent_s: int


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Trials that the figures come from: of which model, by which harness, and their SHA-256."""

    harness: str
    model: str
    sha256: str
    trials: int


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Words of the evaluator; paragraphs are parted by an empty line."""

    text: str
    title: str


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the developer replied, unchanged, or that it waived a reply or let its time pass."""

    how: Literal["replied", "waived", "elapsed"]
    sha256: str
    text: str


class Redaction(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Something that was taken out of a text, and by whose right.

    `section` counts from 0; `place` is of words beside the tests, such as `safeguards/0/title`, and
    one of the two is given. `removed_sha256` is the SHA-256 of a secret salt of 32 bytes followed by
    the removed text, so that it gives nothing away and whoever has both can show what stood there.
    """

    number: int
    place: str = ""
    reason: str
    removed_sha256: str
    right_of: Literal["developer", "evaluator", "third-party"]
    section: int | None = None

    @property
    def where(self) -> str:
        """The place of the text."""
        return self.place if self.section is None else f"sections/{self.section}"


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the report in which it differs from the draft, and why."""

    part: str
    reason: str


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a final report has and a draft has not."""

    corrections: tuple[Correction, ...]
    draft_sha256: str
    redactions: tuple[Redaction, ...]
    reply: Reply


class Report(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A report; a draft as long as `closing` is None. The first format has nothing `beside`."""

    access: Access
    beside: Beside | None = None
    closing: Closing | None
    format: Literal["clearhold-model-report/1", "clearhold-model-report/2"]
    made_at: datetime
    plan: Plan
    plan_sha256: str
    results: Results
    says: str
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    tested: Tested


@dataclass(frozen=True, slots=True)
class Written:
    """A report with its canonical bytes and their SHA-256."""

    report: Report
    content: bytes
    sha256: str


def write(report: Report) -> Written:
    """Fix the bytes of a report. Raises `InvalidError`, naming everything, for one that cannot be."""
    access = msgspec.structs.replace(
        report.access,
        began_at=_utc(report.access.began_at),
        ends_at=_utc(report.access.ends_at),
    )
    report = msgspec.structs.replace(report, access=access, made_at=_utc(report.made_at))
    faults = [said for stands, said in (*_whole(report), *_closing(report)) if not stands]
    if faults:
        raise InvalidError(f"The report cannot stand: {'; '.join(faults)}.")
    content = msgspec.json.encode(report, order="deterministic")
    if len(content) > LARGEST:
        raise InvalidError(f"A report has at most {LARGEST} bytes.")
    return Written(report, content, hashlib.sha256(content).hexdigest())


def read(content: bytes) -> Written:
    """A report from its canonical bytes. Raises `InvalidError` for any others."""
    limits = json_bounds.Limits(size=LARGEST, depth=16)
    found = write(json_bounds.decode(content, Report, limits=limits, what="report"))
    if found.content != content:
        raise InvalidError("The report is not in its canonical form.")
    return found


def marker(number: int) -> str:
    """What stands in a text where something was removed."""
    return f"{MARK}{number}]"


def differing(draft: Report, final: Report) -> tuple[str, ...]:
    """The parts in which a final report differs from its draft, besides what was removed.

    Parts are named as the document names them, sections by their number too.
    """
    named = ("access", "plan", "plan_sha256", "results", "sources", "tested")
    found = [name for name in named if getattr(draft, name) != getattr(final, name)]
    if not same_beside(draft.beside, final):
        found.append("beside")
    if len(draft.sections) != len(final.sections):
        return (*found, "sections")
    cut = _cuts(final)
    for number, (before, now) in enumerate(zip(draft.sections, final.sections, strict=True)):
        same_title = before.title == now.title
        where = f"sections/{number}"
        if not same_title or not _is_cut(before.text, now.text, cut.get(where, [])):
            found.append(where)
    return tuple(found)


def same_beside(before: Beside | None, final: Report) -> bool:
    """Whether a final report tells the same besides the tests, but for what was removed."""
    now, cut = final.beside, _cuts(final)
    if before is None or now is None:
        return before is now
    if without_texts(before) != without_texts(now):
        return False
    pairs = zip(removable(before), removable(now), strict=True)
    return all(_is_cut(old, new, cut.get(place, [])) for (place, old), (_, new) in pairs)


def _cuts(final: Report) -> dict[str, list[Redaction]]:
    found: dict[str, list[Redaction]] = {}
    for each in final.closing.redactions if final.closing else ():
        found.setdefault(each.where, []).append(each)
    return found


def texts(report: Report) -> dict[str, str]:
    """Every text that something can be removed from, by its place."""
    found = {f"sections/{n}": each.text for n, each in enumerate(report.sections)}
    return found | dict(removable(report.beside) if report.beside else ())


def _is_cut(before: str, now: str, removed: list[Redaction]) -> bool:
    """Whether a text is another with something removed at each marker, and nothing else changed."""
    if not removed:
        return before == now
    place = rest = 0
    for number, each in enumerate(sorted(removed, key=lambda each: now.find(marker(each.number)))):
        at = now.find(marker(each.number), rest)
        if at < 0:
            return False
        kept = now[rest:at]
        # Something was there, so what follows a removal begins a character later at least.
        found = before.find(kept, place + 1) if number else 0
        if found < 0 or (not number and not before.startswith(kept)):
            return False
        place, rest = found + len(kept), at + len(marker(each.number))
    return before.endswith(now[rest:]) and len(before) - len(now[rest:]) > place


def _whole(report: Report) -> Iterator[tuple[bool, str]]:
    known = register(report.plan)
    tested, access = report.tested, report.access
    first = report.format == FIRST_FORMAT
    yield first is (report.beside is None), "its format has nothing beside the tests, or has to"
    if report.beside is not None:
        yield from faults(report.beside)
    yield report.says == SAYS, "it does not say in the words given that it decides nothing"
    yield known.sha256 == report.plan_sha256, "its plan has another digest"
    yield tested.engagement == report.plan.engagement, "its plan is of another engagement"
    yield _all_lines(tested.developer, tested.evaluator, tested.model), "a name is not one line"
    yield bool(tested.variants) and _all_lines(*tested.variants), "it names no variant"
    yield _sha256(tested.agreement_sha256), "it names no agreement"
    yield access.began_at <= access.ends_at and access.spent_s >= 0, "its access cannot be"
    yield report.results.planned == known.trials, "it counts other trials than its plan"
    yield report.results.confidence == report.plan.confidence, "its confidence is not the plan's"
    yield len(report.sections) <= MOST_SECTIONS, f"it has at most {MOST_SECTIONS} sections"
    for each in report.sections:
        right = _all_lines(each.title) and len(each.text) <= LONGEST_TEXT
        yield right and _plain(each.text), f"section {each.title[:60]!r} is no title and text"
    whole = msgspec.to_builtins(report)
    yield all(map(_plain, _texts(whole))), "something in it cannot be printed"
    yield bool(report.sources) and len(report.sources) <= 100, "it names no trials"
    for source in report.sources:
        right = _sha256(source.sha256) and _all_lines(source.harness, source.model)
        yield right, "its trials have no digest or name"
    yield (
        report.sources[:1] != () and report.sources[0].model == tested.model,
        ("its first trials are not of the model"),
    )


def _closing(report: Report) -> Iterator[tuple[bool, str]]:
    known = texts(report)
    marks = [text.count(MARK) for text in known.values()]
    if report.closing is None:
        yield not any(marks), "a draft has nothing removed"
        return
    closing, reply = report.closing, report.closing.reply
    yield _sha256(closing.draft_sha256), "it names no draft"
    right = hashlib.sha256(reply.text.encode()).hexdigest() == reply.sha256
    yield right and bool(reply.text) == (reply.how == "replied"), "the reply is not as it says"
    numbers = [each.number for each in closing.redactions]
    yield numbers == [*range(1, len(numbers) + 1)], "what was removed is not numbered from 1"
    yield len(numbers) <= MOST_REDACTIONS, f"at most {MOST_REDACTIONS} things are removed"
    yield sum(marks) == len(numbers), "something is marked as removed that is not told of"
    for each in closing.redactions:
        one_place = (each.section is None) is bool(each.place)
        there = one_place and known.get(each.where, "").count(marker(each.number)) == 1
        yield there, f"what was removed as {each.number} is not where it says"
        told = 0 < len(each.reason) <= 2000 and _plain(each.reason)
        yield (
            told and _sha256(each.removed_sha256),
            f"removal {each.number} has no reason or digest",
        )
    for correction in closing.corrections:
        told = 0 < len(correction.reason) <= 2000 and _plain(correction.reason)
        yield told and _all_lines(correction.part), "a correction has no part or reason"


def _sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _all_lines(*texts: str) -> bool:
    return all(0 < len(text) <= 300 and text.isprintable() for text in texts)


def _plain(text: str) -> bool:
    """Whether a text holds nothing but what can be printed, and line ends."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise InvalidError("An instant of the report has no zone.")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidError("An instant of the report is beyond all years.") from error


def _texts(value: Any) -> Iterator[str]:
    """Every text in a document of plain values, names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)

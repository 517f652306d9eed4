"""Reports by evaluators who mean harm: to readers, to who sets them, and to what was agreed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from report_examples import NOW, draft, report

from clearhold.evaluations.reporting.closing import Removal, check, close, reply_of
from clearhold.evaluations.reporting.document import Section, Written, read, write
from clearhold.evaluations.reporting.pdf import pdf
from clearhold.kernel.errors import InvalidError

DRAFT = draft()
WAIVED = reply_of("waived")
LAST = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))


def final(reason: str, corrected: Any = None, **because: str) -> Written:
    removal = Removal(0, "hunter2", "developer", reason)
    return close(DRAFT, corrected or DRAFT.report, WAIVED, [removal], because, at=NOW)[0]


@pytest.mark.parametrize("reason", ["a\n" * 999, "W" * 2000, "WWWWWW " * 285])
def test_no_reason_is_too_long_for_a_page(reason: str) -> None:
    assert pdf(final(reason)).startswith(b"%PDF")


@pytest.mark.parametrize("text", ["W" * 20_000, "a\n" * 5000])
def test_no_text_takes_minutes_to_set(text: str) -> None:
    written = write(report(sections=(Section(title="W" * 300, text=text),)))
    assert pdf(written).startswith(b"%PDF")


def test_an_instant_beyond_all_years_is_refused() -> None:
    with pytest.raises(InvalidError):
        write(msgspec.structs.replace(DRAFT.report, made_at=LAST))
    there = msgspec.json.encode(NOW)
    with pytest.raises(InvalidError):
        read(DRAFT.content.replace(b'"made_at":' + there, b'"made_at":"9999-12-31T23:59:59-12:00"'))


@pytest.mark.parametrize("what", ["\x1b[2J", "\u202egnp", "\x07", "\u2028"])
def test_no_text_of_a_report_drives_a_terminal(what: str) -> None:
    results = DRAFT.report.results
    score = results.scores[0]
    figure = msgspec.structs.replace(score.figure, method=what)
    scores = (msgspec.structs.replace(score, figure=figure), *results.scores[1:])
    with pytest.raises(InvalidError, match="printed"):
        write(report(results=msgspec.structs.replace(results, scores=scores)))


def test_no_correction_makes_it_a_report_of_something_else() -> None:
    tested = msgspec.structs.replace(DRAFT.report.tested, developer="rival", model="aurora-9")
    other = msgspec.structs.replace(DRAFT.report, tested=tested)
    with pytest.raises(InvalidError, match="tested"):
        final("because", other, tested="a slip of the pen")
    right = final("because")
    named = msgspec.structs.replace(
        right.report.closing,
        corrections=({"part": "tested", "reason": "a slip of the pen"},),
    )
    forged = msgspec.convert(
        msgspec.to_builtins(msgspec.structs.replace(right.report, tested=tested, closing=named)),
        type(DRAFT.report),
    )
    with pytest.raises(InvalidError, match="tested"):
        check(DRAFT, write(forged), WAIVED)
    early = msgspec.structs.replace(right.report, made_at=NOW - timedelta(days=1))
    with pytest.raises(InvalidError, match="before"):
        check(DRAFT, write(early), WAIVED)

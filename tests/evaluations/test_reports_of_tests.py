"""A report says what the draft said, what was replied, what was removed, and proves who signed it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from judging_words import JUDGING
from report_examples import NOW, beside, draft, report

from clearhold.evaluations.reporting import signed
from clearhold.evaluations.reporting.beside import LONGEST, told
from clearhold.evaluations.reporting.closing import Removal, check, close, removed_digest, reply_of
from clearhold.evaluations.reporting.document import (
    FIRST_FORMAT,
    Redaction,
    Section,
    Written,
    differing,
    read,
    write,
)
from clearhold.evaluations.reporting.every_eval_ever import export
from clearhold.evaluations.reporting.page import page
from clearhold.evaluations.reporting.pdf import pdf
from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError
from clearhold.wire import dsse

DRAFT = draft()
REPLY = reply_of("replied", "We disagree with <b>the second part</b>.\n\nOur figures differ.")
REMOVAL = Removal(0, "hunter2", "developer", "a credential of ours")


def final(**given_: Any) -> Written:
    asked = {"removals": [REMOVAL], "reply": REPLY, "reasons": {}} | given_
    corrected = asked.pop("corrected", DRAFT.report)
    removals, reply, reasons = asked["removals"], asked["reply"], asked["reasons"]
    return close(DRAFT, corrected, reply, removals, reasons, at=NOW)[0]


def test_a_report_has_one_form() -> None:
    assert read(DRAFT.content) == DRAFT
    for other in (DRAFT.content + b" ", b"{}", DRAFT.content.replace(b"decide", b"settle")):
        with pytest.raises(ClearholdError):
            read(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"says": "It may be released."},
        {"plan_sha256": "0" * 64},
        {"sources": ()},
        {"sections": (Section(title="two\nlines", text=""),)},
        {"sections": (Section(title="t", text="\x1b[31m"),)},
        {"sections": (Section(title="t", text="[removed: 1]"),)},
        {"sections": (Section(title="t", text=""),) * 41},
    ],
)
def test_what_no_report_may_be(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        write(report(**changed))


def test_a_removal_is_told_with_whose_right_and_proved_by_its_salt() -> None:
    whole, kept = close(DRAFT, DRAFT.report, REPLY, [REMOVAL], {}, at=NOW)
    text = whole.report.sections[0].text
    assert text.endswith("The secret key is [removed: 1], they say.")
    assert whole.report.closing is not None
    told = whole.report.closing.redactions[0]
    assert (told.right_of, told.section) == ("developer", 0)
    assert told.removed_sha256 == removed_digest(kept[0].salt, "hunter2")
    assert b"hunter2" not in whole.content
    assert "hunter2" not in repr(kept)
    check(DRAFT, whole, REPLY)
    for wrong in (Removal(0, "nowhere", "developer", "x"), Removal(7, "hunter2", "developer", "x")):
        with pytest.raises(InvalidError):
            final(removals=[wrong])


def test_whatever_else_differs_from_the_draft_is_named_with_its_reason() -> None:
    sections = (DRAFT.report.sections[0], Section(title="Limits", text="Corrected."))
    corrected = msgspec.structs.replace(DRAFT.report, sections=sections)
    with pytest.raises(InvalidError, match="sections/1"):
        final(corrected=corrected)
    with pytest.raises(InvalidError, match="and no other"):
        final(reasons={"results": "why not"})
    whole = final(corrected=corrected, reasons={"sections/1": "a mistake of ours"})
    check(DRAFT, whole, REPLY)
    silent = msgspec.structs.replace(whole.report.closing, corrections=())
    hidden = write(msgspec.structs.replace(whole.report, closing=silent))
    with pytest.raises(InvalidError, match="does not name"):
        check(DRAFT, hidden, REPLY)


def test_a_reply_cannot_be_left_out_or_changed() -> None:
    for other in (reply_of("waived"), reply_of("replied", "We agree.")):
        with pytest.raises(InvalidError, match="reply"):
            check(DRAFT, final(), other)
    with pytest.raises(InvalidError, match="not as it says"):
        final(reply=msgspec.structs.replace(REPLY, text="We agree."))
    with pytest.raises(InvalidError, match="another draft"):
        check(draft(made_at=NOW.replace(hour=13)), final(), REPLY)


OF_AUTHORITY = Removal("decisions/0/basis", "hunter3", "third-party", "a vendor's name")


def test_words_beside_the_tests_are_removed_like_any() -> None:
    whole, kept = close(DRAFT, DRAFT.report, REPLY, [REMOVAL, OF_AUTHORITY], {}, at=NOW)
    assert whole.report.beside is not None
    told = whole.report.beside.decisions[0]
    assert told.basis == "The report, and the word [removed: 2] of a vendor."
    check(DRAFT, read(whole.content), REPLY)
    assert whole.report.closing is not None
    ledger = whole.report.closing.redactions
    assert [each.where for each in ledger] == ["sections/0", "decisions/0/basis"]
    assert ledger[1].removed_sha256 == removed_digest(kept[1].salt, "hunter3")
    for made in (whole.content, page(whole).encode()):
        assert b"hunter3" not in made
    for place in ("decisions/0/decision", "decisions/1/basis", "sections/0", "burden/hours", -1):
        with pytest.raises(InvalidError):
            final(removals=[Removal(place, "e", "third-party", "x")])


def test_what_stands_beside_the_tests_is_the_drafts_or_named() -> None:
    assert DRAFT.report.beside is not None
    for changed in (
        {"safeguards": ()},
        {"decisions": ()},
        {"burden": msgspec.structs.replace(DRAFT.report.beside.burden, hours=1.0)},
    ):
        corrected = msgspec.structs.replace(DRAFT.report, beside=beside(**changed))
        with pytest.raises(InvalidError, match="beside"):
            final(corrected=corrected)
        check(DRAFT, final(corrected=corrected, reasons={"beside": "a re-test since"}), REPLY)


def test_a_report_of_the_first_format_stays_readable_and_tells_nothing_more() -> None:
    first = write(report(format=FIRST_FORMAT, beside=None))
    assert b'"beside"' not in first.content
    assert read(first.content) == first
    assert "burden" not in page(first).lower()
    for wrong in ({"format": FIRST_FORMAT}, {"beside": None}):
        with pytest.raises(InvalidError, match="format"):
            write(report(**wrong))


def test_page_statement_and_export_tell_of_fixes_burden_and_decisions() -> None:
    whole = final(removals=[])
    shown = page(whole)
    for words in (
        "A story within a &lt;story&gt;",
        "14",
        "80 minutes",
        "5.5",
        "24.0 hours (1.0 days)",
    ):
        assert words in shown
    assert shown.index("Ways around safeguards") < shown.index("What it cost the developer")
    said = dsse.read_statement(signed.statement(whole), signed.PREDICATE_TYPE).predicate["beside"]
    assert said["safeguards"] == {"4" * 64: "verified"}
    assert said["decisions"] == {"2" * 64: "not-covered"}
    details = export(whole)["source_metadata"]["additional_details"]
    assert (details["safeguard_findings"], details["burden_hours"]) == ("verified 1", "5.5")


@settings(max_examples=25)
@given(st.text(max_size=40), st.integers(0, 400))
def test_nobodys_words_keep_a_report_from_being_written(words: str, repeats: int) -> None:
    hostile = words + "[removed: 1]" * repeats
    first = beside().safeguards[0]
    held = msgspec.structs.replace(first, title=told(hostile))
    made = draft(beside=beside(safeguards=(held,)))
    assert len(told(hostile)) <= LONGEST
    assert read(made.content) == made


_TEXT = st.text(alphabet="ab ", min_size=1, max_size=12)


@settings(max_examples=60)
@given(st.lists(_TEXT, min_size=1, max_size=4), st.lists(_TEXT, min_size=1, max_size=3))
def test_only_what_is_marked_was_removed(kept: list[str], gone: list[str]) -> None:
    gone = gone[: len(kept)]
    before, now = "", ""
    for number, words in enumerate(kept):
        before += words + (gone[number] if number < len(gone) else "")
        now += words + (f"[removed: {number + 1}]" if number < len(gone) else "")
    first = draft(sections=(Section(title="s", text=before),)).report
    ledger = tuple(
        Redaction(
            number=n + 1, reason="r", removed_sha256="0" * 64, right_of="developer", section=0
        )
        for n in range(len(gone))
    )

    def differs(text: str) -> bool:
        closing = msgspec.structs.replace(_closing(), redactions=ledger)
        changed = msgspec.structs.replace(
            first, sections=(Section(title="s", text=text),), closing=closing
        )
        return bool(differing(first, changed))

    assert not differs(now)
    assert differs(now + "c")
    assert differs("c" + now)
    assert differs(now.replace("[removed: 1]", "c[removed: 1]"))


def _closing() -> Any:
    return final(removals=[]).report.closing


KEY = Ed25519PrivateKey.generate()
KEYS = {dsse.key_id(KEY.public_key()): KEY.public_key()}


def test_a_signed_report_proves_itself_without_a_hub() -> None:
    whole = final()
    packed = signed.pack(whole.content, signed.sign(whole, KEY), None)
    found = signed.verify(packed, KEYS)
    assert (found.written, found.key) == (whole, next(iter(KEYS)))
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(IntegrityError):
        signed.verify(packed, {"theirs": stranger.public_key()})
    other = final(removals=[])
    with pytest.raises(IntegrityError, match="not the one"):
        signed.verify(signed.pack(other.content, signed.sign(whole, KEY), None), KEYS)
    with pytest.raises(InvalidError, match="draft"):
        signed.sign(DRAFT, KEY)


@settings(max_examples=60)
@given(st.integers(0, 100_000), st.binary(min_size=1, max_size=6))
def test_no_altered_file_verifies_as_another_report(at: int, noise: bytes) -> None:
    whole = final(removals=[])
    packed = signed.pack(whole.content, signed.sign(whole, KEY), None)
    at %= len(packed)
    try:
        found = signed.verify(packed[:at] + noise + packed[at + len(noise) :], KEYS)
    except ClearholdError:
        return
    assert found.written.content == whole.content


class _Page(HTMLParser):
    """The tags, ids and words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_has_no_script_and_a_table_for_every_plot() -> None:
    found = _Page()
    shown = page(final())
    found.feed(shown)
    names = [tag for tag, _ in found.tags]
    assert not {"script", "img", "link", "iframe", "b"} & set(names)
    assert not re.search(r"https?:|url\(|@import|\son\w+=", shown)
    assert names.count("table") >= names.count("svg") > 3
    ids = {given_["id"] for _, given_ in found.tags if "id" in given_}
    for tag, given_ in found.tags:
        if tag == "svg":
            assert set((given_["aria-labelledby"] or "").split()) <= ids
    assert names.count("h1") == 1
    for words in ("We disagree with <b>the second part</b>.", "Limits <of> it", "[removed: 1]"):
        assert words in found.words
    assert page(final(removals=[])) == page(final(removals=[]))


def test_no_label_of_the_page_judges_the_model() -> None:
    found = _Page()
    found.feed(page(final(removals=[])))
    assert not JUDGING.findall(found.words.lower())


def test_the_pdf_is_made_from_the_same_report_and_always_the_same() -> None:
    whole = final(removals=[])
    made = pdf(whole)
    assert made.startswith(b"%PDF-")
    assert pdf(whole) == made
    assert len(made) > 5000
    long = write(
        msgspec.structs.replace(
            DRAFT.report, sections=(Section(title="Long", text="words " * 9000),)
        )
    )
    assert pdf(long).count(b"/Type /Page") > made.count(b"/Type /Page")


def test_the_export_has_what_every_eval_ever_asks_for() -> None:
    found = export(final(removals=[]))
    assert found["schema_version"] == "0.3.0"
    assert found["source_metadata"]["evaluator_relationship"] == "third_party"
    assert int(found["retrieved_timestamp"]) == int(NOW.timestamp())
    assert len(found["evaluation_results"]) == len(DRAFT.report.results.scores)
    for each in found["evaluation_results"]:
        interval = each["score_details"]["uncertainty"]["confidence_interval"]
        assert interval["lower"] <= each["score_details"]["score"] <= interval["upper"]
        assert each["metric_config"]["min_score"] == 0
        assert each["source_data"]["source_type"] == "other"

    def texts(value: Any) -> None:
        """Whatever the format leaves open holds texts alone."""
        for name, inner in value.items() if isinstance(value, dict) else ():
            if name in {"additional_details", "details"}:
                assert all(isinstance(text, str) for text in inner.values())
            for deeper in inner if isinstance(inner, list) else [inner]:
                texts(deeper)

    texts(found)

"""Submissions of every format are read into one form, or refused with the reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.findings.intake import MOST_FINDINGS, Format, Report, read
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError

PACKAGE = "pkg:pypi/ujson@5.1.0"


def sarif(*results: dict[str, Any], tool: str = "scanner") -> bytes:
    proof = base64.b64encode(b"[[[").decode()
    run = {
        "tool": {"driver": {"name": tool}},
        "artifacts": [{"contents": {"binary": proof}}],
        "results": list(results),
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


RESULT: dict[str, Any] = {
    "ruleId": "cpp/CWE-0121",
    "message": {"text": "Stack buffer overrun\nwhen the indent is large"},
    "locations": [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "lib/ultrajsonenc.c"},
                "region": {"startLine": 42},
            },
            "logicalLocations": [{"name": "encode"}],
        }
    ],
    "properties": {"clearhold/proof": 0, "clearhold/target": "encode"},
}


def test_a_sarif_result_becomes_a_finding_with_its_proof() -> None:
    [report] = read(sarif(RESULT), Format.SARIF, package=PACKAGE)
    document = report.document
    assert document.title == "Stack buffer overrun"
    assert (document.weakness, document.target, document.proof) == ("CWE-121", "encode", b"[[[")
    assert report.locations == ("lib/ultrajsonenc.c:42 encode",)
    assert document.completeness.missing == ("severity", "patch", "tests")
    assert report.source == "submitter:sarif:scanner"


def test_every_field_given_says_where_it_came_from() -> None:
    [report] = read(sarif(RESULT), Format.SARIF, package=PACKAGE)
    body = report.body(proof=None, patch=None, tests=None)
    assert body.provenance["title"] == "submitter:sarif:scanner#/runs/0/results/0/message"
    assert "severity" not in body.provenance
    assert set(body.provenance) <= set(body.__struct_fields__)


def test_plain_text_has_its_first_line_as_title() -> None:
    text = "ujson overruns a buffer\n\nCall dumps with indent=5000. CVE-2021-45958 looks alike.\n"
    [report] = read(text.encode(), Format.TEXT, package=PACKAGE)
    assert report.document.title == "ujson overruns a buffer"
    assert report.document.description.startswith("Call dumps")
    assert report.names == {"CVE-2021-45958"}


@pytest.mark.parametrize(
    ("raw", "form", "package"),
    [
        (b"x", Format.TEXT, ""),
        (b"x", Format.TEXT, "pkg:pypi/ujson"),
        (b"x", Format.TEXT, "ujson 5.1.0"),
        (b"{}", Format.CLEARHOLD_JSON, PACKAGE),
        (b"", Format.TEXT, PACKAGE),
        (b"  \n ", Format.TEXT, PACKAGE),
        (b"\xff\xfe", Format.TEXT, PACKAGE),
        (b"title \x1b[2J\x1b]0;owned\x07", Format.TEXT, PACKAGE),
        ("title \x9b31m".encode(), Format.TEXT, PACKAGE),
        (sarif(), Format.SARIF, PACKAGE),
        (sarif({"message": {"text": "\x1b[31mred"}}), Format.SARIF, PACKAGE),
        (b'{"version": "2.1.0", "runs": [', Format.SARIF, PACKAGE),
        (b'{"schema": "clearhold-finding/1", "title": "\\ud800"}', Format.CLEARHOLD_JSON, ""),
        (b"[" * 100_000, Format.CLEARHOLD_JSON, ""),
        (b"x" * (256 * 1024 + 1), Format.TEXT, PACKAGE),
        (sarif(*[RESULT] * (MOST_FINDINGS + 1)), Format.SARIF, PACKAGE),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_next_step(
    raw: bytes, form: Format, package: str
) -> None:
    with pytest.raises((InvalidError, TooLargeError)) as refused:
        read(raw, form, package=package)
    assert refused.value.next_step
    assert refused.value.message.isprintable()


def _readable(reports: tuple[Report, ...]) -> bool:
    return bool(reports) and all(
        each.document.title.isprintable() and each.document.title for each in reports
    )


@given(st.binary(max_size=200), st.sampled_from(Format))
def test_arbitrary_bytes_are_read_or_refused_clearly(raw: bytes, form: Format) -> None:
    package = "" if form is Format.CLEARHOLD_JSON else PACKAGE
    try:
        reports = read(raw, form, package=package)
    except ClearholdError as refused:
        assert refused.message.isprintable()  # noqa: PT017  # either outcome is right
    else:
        assert _readable(reports)


@given(st.text(min_size=1, max_size=60), st.text(max_size=60), st.text(max_size=20))
def test_arbitrary_messages_in_sarif_are_read_or_refused_clearly(
    message: str, rule: str, tool: str
) -> None:
    raw = sarif({"message": {"text": message}, "ruleId": rule}, tool=tool)
    try:
        reports = read(raw, Format.SARIF, package=PACKAGE)
    except ClearholdError as refused:
        assert refused.message.isprintable()  # noqa: PT017  # either outcome is right
    else:
        assert _readable(reports)


def test_copies_share_fingerprints_however_they_are_laid_out() -> None:
    first = read(b"A bug\nin the  encoder", Format.TEXT, package=PACKAGE)[0]
    again = read(b"a BUG\n\nin the encoder\n", Format.TEXT, package=PACKAGE)[0]
    other = read(b"A bug\nin the decoder", Format.TEXT, package=PACKAGE)[0]
    assert set(first.fingerprints) & set(again.fingerprints)
    assert not set(first.fingerprints) & set(other.fingerprints)

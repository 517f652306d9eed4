"""A finding's own JSON is read whole or refused with the member's name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire import finding_json

WHOLE: dict[str, Any] = {
    "schema": "clearhold-finding/1",
    "package": "pkg:pypi/UJSON@5.1.0",
    "title": "Stack buffer overflow when indenting",
    "description": "A deep structure\noverflows the indentation buffer.",
    "weakness": "CWE-121",
    "target": "dumps",
    "claim": {"kind": "crash", "signature": ["Buffer_AppendIndentUnchecked", "encode"]},
    "severity": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
    "proof": base64.b64encode(b"\x00\xff").decode(),
    "patch": "--- a/x.c\n+++ b/x.c\n",
    "tests": "--- a/t.py\n+++ b/t.py\n",
    "references": ["https://example.org/issue/1"],
}


def submit(**changes: Any) -> finding_json.FindingDocument:
    document = {name: value for name, value in (WHOLE | changes).items() if value is not None}
    return finding_json.read(json.dumps(document).encode())


def test_a_whole_finding_is_read() -> None:
    finding = submit()
    assert str(finding.package) == "pkg:pypi/ujson@5.1.0"
    assert finding.proof == b"\x00\xff"
    assert finding.claim.kind == "crash"
    assert finding.claim.signature == ("Buffer_AppendIndentUnchecked", "encode")
    assert finding.severity is not None
    assert finding.severity.base_score == 7.5
    assert finding.completeness.count == 6
    assert finding.completeness.missing == ()


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"target": ""}, "trigger"),
        ({"severity": None}, "severity"),
        ({"proof": None}, "proof"),
        ({"patch": " \n"}, "patch"),
        ({"tests": None}, "tests"),
        ({"description": ""}, "description"),
    ],
)
def test_completeness_names_the_part_that_is_missing(changes: dict[str, Any], missing: str) -> None:
    completeness = submit(**changes).completeness
    assert completeness.missing == (missing,)
    assert completeness.count == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "clearhold-finding/2"}, "schema"),
        ({"package": "ujson"}, "package URL"),
        ({"package": "pkg:pypi/ujson"}, "package"),
        ({"package": 5}, "package"),
        ({"title": "  "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"description": "bell \x07"}, "description"),
        ({"weakness": "121"}, "weakness"),
        ({"target": "../etc"}, "target"),
        ({"claim": {"kind": "magic"}}, "claim.kind"),
        ({"claim": {"kind": "crash", "signature": ["x\n"]}}, "claim.signature"),
        ({"claim": {"kind": "crash", "signature": ["x"] * 65}}, "claim.signature"),
        ({"severity": "high"}, "CVSS"),
        ({"proof": "%%%"}, "proof"),
        ({"references": ["javascript:alert(1)"]}, "references"),
        ({"references": ["https://[broken"]}, "references"),
        ({"references": ["https://e.org"] * 65}, "references"),
        ({"pacth": "misspelt"}, "pacth"),
        ({"title": None}, "title"),
    ],
)
def test_a_wrong_member_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        submit(**changes)
    assert said in caught.value.message
    assert caught.value.next_step


def test_large_texts_and_proofs_are_refused() -> None:
    with pytest.raises(TooLargeError, match="description"):
        submit(description="x" * (finding_json.MAX_TEXT + 1))
    with pytest.raises(TooLargeError, match="proof"):
        submit(proof="A" * (finding_json.MAX_PROOF_BYTES * 4 // 3 + 8))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(WHOLE)), junk)
def test_any_value_in_any_member_is_read_or_refused(member: str, value: Any) -> None:
    try:
        finding = finding_json.read(json.dumps(WHOLE | {member: value}).encode())
    except (InvalidError, TooLargeError) as problem:
        assert problem.message  # noqa: PT017 # either outcome is right, an empty answer is not
    else:
        assert finding.package.version


@given(st.binary())
def test_any_bytes_are_refused_as_a_finding(data: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)):
        finding_json.read(data)

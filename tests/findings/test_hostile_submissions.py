"""Hostile submissions are refused with a reason, in bounded memory, and nothing else comes out."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from archives import bomb, lying_zip, overlapping_zip, tar_with, tarred, zip_link, zipped
from finding_examples import document
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import CSAF, CVE, FILES, OSV, PACKAGE, RECORDS, TRACE, raw, sarif

from clearhold.findings.intake import NAMES_ITS_OWN, Format, take
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire.json_stream import member_names

ROOT: Final = Path(__file__).resolve().parent.parent.parent
README: Final = {"README.md": b"a\nb"}
GOOD: Final[dict[Format, bytes]] = {
    Format.CLEARHOLD_JSON: document(),
    Format.JSON_LINES: document() + b"\n" + document(title="Other"),
    Format.SARIF: sarif({"message": {"text": "x"}, "ruleId": "CWE-1", "locations": [{}]}),
    Format.OSV: raw(OSV),
    Format.CSAF: raw(CSAF),
    Format.CVE: raw(CVE),
    Format.CRASH_BUNDLE: tarred(FILES, packed=""),
    Format.SANITIZER_LOG: TRACE,
    Format.SCRUTINEER: raw({"findings": [{"title": "x", "cwe": "CWE-22", "location": "a:1"}]}),
    Format.INTERCHANGE: raw(RECORDS),
    Format.MESSAGE: (
        b"From: a@b\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=q\n\n"
        b"--q\nContent-Type: text/plain; charset=utf-8\n\nhello\n--q\n"
        b"Content-Disposition: attachment; filename=proof.bin\nContent-Transfer-Encoding: base64\n\n"
        b"AAA=\n--q--\n"
    ),
    Format.TEXT: b"title\n\nwords",
}


def about(form: Format) -> str:
    return "" if form in NAMES_ITS_OWN else PACKAGE


def accepted(content: bytes, form: Format) -> bool:
    """Whether it was read; the one family of errors is all that may come out otherwise."""
    try:
        taken = take(content, form, package=about(form))
    except ClearholdError as refused:
        assert refused.next_step  # noqa: PT017  # either outcome is right
        assert refused.message.isprintable()  # noqa: PT017
        return False
    for report in taken.reports:
        assert report.document.title
        assert report.document.title.isprintable()
        report.body(proof=None, patch=None, tests=None).to_bytes()
    return True


@pytest.mark.parametrize("form", Format)
def test_each_example_that_is_mutated_below_is_read_as_it_is(form: Format) -> None:
    assert accepted(GOOD[form], form)


@given(st.data(), st.sampled_from(Format))
@settings(max_examples=400, deadline=None)
def test_bytes_changed_cut_or_repeated_anywhere_are_read_or_refused(
    data: st.DataObject, form: Format
) -> None:
    content = bytearray(GOOD[form])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        upto = data.draw(st.integers(at, min(len(content), at + 40)))
        match data.draw(st.integers(0, 3)):
            case 0:
                content[at:upto] = data.draw(st.binary(max_size=8))
            case 1:
                del content[at:upto]
            case 2:
                content[at:at] = content[at:upto] * data.draw(st.integers(1, 5))
            case _:
                content[at:at] = data.draw(st.sampled_from(NASTY))
    accepted(bytes(content), form)


NASTY: Final = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\x1b[2J", "\u202e".encode(), b"NaN", b"-1"),
    *(b"1e999", b"[" * 100, b'{"a":1,"a":2}', b"null", b"..\\..", b"%00", b"9" * 5000, b"--q\n"),
)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def changed(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """The same document with one value somewhere in it exchanged for another."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        return value | {name: changed(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    return draw(VALUES)


STRUCTURED: Final = [
    each
    for each, content in GOOD.items()
    if content.startswith((b"{", b"[")) and each is not Format.JSON_LINES
]


@given(st.data(), st.sampled_from(STRUCTURED))
@settings(max_examples=400, deadline=None)
def test_any_value_in_place_of_another_is_read_or_refused(
    data: st.DataObject, form: Format
) -> None:
    value = json.loads(GOOD[form])
    accepted(json.dumps(changed(value, data.draw)).encode(), form)


@given(st.dictionaries(st.text(min_size=1, max_size=12), st.binary(max_size=60), max_size=5))
@settings(deadline=None)
def test_archives_with_any_names_are_read_or_refused(files: dict[str, bytes]) -> None:
    for pack in (zipped, tarred):
        try:
            content = pack(files)
        except (ValueError, UnicodeError):
            continue
        accepted(content, Format.CRASH_BUNDLE)


@pytest.mark.parametrize(
    "content",
    [
        *(zipped({name: b"x"}) for name in ("../README.md", "/README.md", "C:/README.md", "a\\b")),
        *(
            zipped({name: b"x"} | README)
            for name in ("a/../b", "a//b", "a\x1bb", "a\u202eb", "./a")
        ),
        zipped(README | {"readme.md": b"x"}),
        tar_with(tarfile.SYMTYPE),
        tar_with(tarfile.LNKTYPE),
        tar_with(tarfile.CHRTYPE),
        tar_with(tarfile.BLKTYPE),
        tar_with(tarfile.FIFOTYPE),
        tar_with(tarfile.GNUTYPE_SPARSE),
        tarred({"../README.md": b"x"}),
        zip_link(),
        lying_zip(),
        overlapping_zip(),
        bomb(80),
        bomb(20),
        zipped({f"f{each}": b"x" for each in range(300)}),
        tarred(README)[:-20],
        zipped(README)[:-10],
        b"PK\x05\x06" + bytes(18),
        b"\x1f\x8b",
        b"",
    ],
    ids=lambda _: "archive",  # archives hold the time they were made: no name for a test
)
def test_archives_that_lead_elsewhere_lie_or_burst_are_refused(content: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)) as refused:
        take(content, Format.CRASH_BUNDLE, package=PACKAGE)
    assert refused.value.message.isprintable()


def test_an_archive_within_an_archive_is_kept_as_it_is_and_not_opened() -> None:
    inner = bomb(60)
    [report] = take(
        zipped(README | {"inner.tgz": inner}), Format.CRASH_BUNDLE, package=PACKAGE
    ).reports
    assert [each.content for each in report.attachments] == [inner]


@pytest.mark.parametrize("form", STRUCTURED)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply at line 1"),
        (b'{"a": ' * 100_000, "nested too deeply at line 1"),
        (b'{\n"a": 1,\n"a": 2}', "second time at line 3"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"a": NaN}', "document"),
    ],
)
def test_json_that_readers_could_disagree_on_is_refused_with_its_line(
    form: Format, content: bytes, said: str
) -> None:
    with pytest.raises(ClearholdError) as refused:
        take(content, form, package=about(form))
    assert said in refused.value.message


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\x9bb", "a\u202eb", "a\u2066b"])
@pytest.mark.parametrize("form", [Format.TEXT, Format.SARIF, Format.CLEARHOLD_JSON])
def test_text_that_could_forge_what_is_shown_is_refused(form: Format, text: str) -> None:
    content = {
        Format.TEXT: text.encode(),
        Format.SARIF: sarif({"message": {"text": text}}),
        Format.CLEARHOLD_JSON: document(description=text),
    }[form]
    with pytest.raises(InvalidError):
        take(content, form, package=about(form))


def test_a_million_locations_are_refused() -> None:
    content = sarif({"message": {"text": "x"}, "locations": [{}] * 1_000_000})
    with pytest.raises(TooLargeError) as refused:
        take(content, Format.SARIF, package=PACKAGE)
    assert "1000000 locations" in refused.value.message


@pytest.mark.parametrize("form", [Format.OSV, Format.CVE])
def test_a_text_said_once_of_a_thousand_packages_does_not_fill_the_disk(form: Format) -> None:
    text = "x" * 200_000
    if form is Format.OSV:
        named = [{"ecosystem": "PyPI", "name": f"p{number}"} for number in range(100)]
        affected = [{"package": each, "versions": ["1"]} for each in named]
        record = OSV | {"details": text, "affected": affected}
    else:
        cna = CVE["containers"]["cna"]
        stated = [{"version": "1", "status": "affected"}]
        affected = [
            {"vendor": "v", "product": f"p{number}", "versions": stated} for number in range(100)
        ]
        told = {"descriptions": [{"lang": "en", "value": text}], "affected": affected}
        record = CVE | {"containers": {"cna": cna | told}}
    content = raw(record)
    assert len(content) < 300_000
    with pytest.raises(TooLargeError, match="characters of text") as refused:
        take(content, form)
    assert refused.value.next_step


def test_a_message_of_a_thousand_parts_or_one_within_another_is_refused() -> None:
    head = b"Subject: x\nContent-Type: multipart/mixed; boundary=q\n\n"
    accepted(head + b"--q\n\nx\n" * 1000 + b"--q--", Format.MESSAGE)
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (each, each)
        for each in range(1000)
    )
    with pytest.raises(TooLargeError):
        take(b"Subject: x\n" + deep, Format.MESSAGE, package=PACKAGE)


def test_a_message_whose_headers_or_lines_take_long_to_read_is_refused() -> None:
    head = b"Subject: x\nContent-Type: multipart/mixed; boundary=q\n\n"
    named = b"--q\nContent-Disposition: attachment; " + b"a=b; " * 1_000_000 + b"\n\nx\n--q--"
    with pytest.raises(InvalidError):
        take(head + named, Format.MESSAGE, package=PACKAGE)
    for lines in (b"\n", b"\r"):
        with pytest.raises(TooLargeError):
            take(head + b"--q\n\n" + lines * 20_000_000, Format.MESSAGE, package=PACKAGE)


_MEASURE: Final = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from clearhold.findings.bulk import pieces
from clearhold.findings.intake import Format

class Made:
    # A log of any size that stands nowhere: one result again and again.
    def __init__(self, count):
        self.parts = [b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t"}},"results":[']
        self.one = b'{"message":{"text":"' + b'x' * 900 + b'"},"ruleId":"a"},' * 1
        self.count, self.at = count, 0
    def seek(self, to, whence=0):
        self.at, self.left = 0, b""
        return 0
    def read(self, size):
        while len(self.left) < size and self.at <= self.count + 1:
            if self.at == 0:
                self.left += self.parts[0]
            elif self.at <= self.count:
                self.left += self.one
            else:
                self.left += b'{"message":{"text":"last"}}]}]}'
            self.at += 1
        piece, self.left = self.left[:size], self.left[size:]
        return piece

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
log = Made(int(sys.argv[2]))
log.seek(0)
count = size = 0
for piece in pieces(log, Format.SARIF):
    count += len(piece.places)
    size += len(piece.raw)
print(count, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measured(count: int) -> tuple[int, int, int]:
    """Results, bytes, and kilobytes of memory more, of a log split in a process of its own."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(ROOT / "src"), str(count)],
        capture_output=True,
        check=True,
        text=True,
        preexec_fn=bounded,
    )
    results, size, memory = map(int, done.stdout.split())
    return results, size, memory


def test_a_log_of_any_size_is_split_in_the_same_memory() -> None:
    few, many = measured(10_000), measured(100_000)
    assert (few[0], many[0]) == (10_001, 100_001)
    assert many[1] > 90_000_000
    assert many[2] < few[2] + 8_000
    assert many[2] < 64_000


_DETECT = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from clearhold.findings.intake import detect
kind, count = sys.argv[2], int(sys.argv[3])
if kind == "empty-arrays":
    raw = b'{"version":"2.1.0","runs":[' + b"[]," * count + b"[]]}"
elif kind == "members":
    raw = b"{" + b"".join(b'"%d":1,' % each for each in range(count // 4))
    raw += b'"version":"2.1.0","runs":[]}'
else:
    raw = b'{"version":"2.1.0","runs":' + b"[" * count + b"]" * count + b"}"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
form = detect(raw)
print(form, len(raw), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["empty-arrays", "members", "nesting"])
def test_the_format_of_a_large_upload_is_told_in_little_memory(kind: str) -> None:
    """What 64 MB of brackets would build takes gigabytes; telling the format builds nothing."""
    command = [sys.executable, "-c", _DETECT, str(ROOT / "src"), kind, str(21_000_000)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    form, size, memory = done.stdout.split()
    assert form == "sarif"
    assert int(size) > 40_000_000
    assert int(memory) < 16_000


def _whole_members(raw: bytes) -> frozenset[str] | None:
    """The names by which formats are told, by a parser that builds everything."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list):
        value = value[0] if value else None
    return frozenset(value) if isinstance(value, dict) else None


_NAMES = ("a", "schema", "sch\u00e9ma", 'q"uo\\te', "")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(_NAMES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    _VALUES,
    st.booleans(),
    st.sampled_from([None, 1]),
    st.sampled_from([b"", b"\xef\xbb\xbf", b" \n"]),
    st.sampled_from([b"", b" \n\t", b"\n{}", b"]", b'"', b"5"]),
)
def test_member_names_are_those_a_whole_parser_finds(
    value: Any, ascii_only: Any, indent: int | None, before: bytes, after: bytes
) -> None:
    raw = before + json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode() + after
    among = frozenset(_NAMES)
    whole = _whole_members(raw)
    for window in (3, 1 << 18):
        with mock.patch("clearhold.wire.json_stream._WINDOW", window):
            found = member_names(io.BytesIO(raw), among)
        assert found == (None if whole is None else whole & among)


@given(st.lists(st.sampled_from([*'{}[]:,"\\ \n', '"a"', '"a":', "1", "null"]), max_size=24))
def test_what_is_no_json_names_no_more_than_its_structure_does(parts: list[str]) -> None:
    """Whatever the bytes, what a whole parser finds is found; the rest the reader refuses."""
    raw = "".join(parts).encode()
    whole = _whole_members(raw)
    found = member_names(io.BytesIO(raw), frozenset({"a"}))
    assert whole is None or found == whole & {"a"}

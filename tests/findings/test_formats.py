"""Every format a submission may come in becomes findings of one form, with where each part stood."""

from __future__ import annotations

import json
from email.message import EmailMessage
from typing import Any

import pytest
from archives import tarred, zipped
from finding_examples import document

from clearhold.findings.intake import Format, detect, read, take
from clearhold.kernel.errors import InvalidError, TooLargeError

PACKAGE = "pkg:pypi/ujson@5.1.0"
TRACE = b"""==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602 at pc 0x4
READ of size 1 at 0x602000000031 thread T0
    #0 0x4f2a in parse_value /src/json.c:12:3
    #1 0x4f2b in main /src/main.c:4:1
"""
OSV: dict[str, Any] = {
    "id": "x_LAB-1",
    "modified": "2026-06-01T00:00:00Z",
    "aliases": ["CVE-2026-1234"],
    "summary": "Overrun in the encoder",
    "details": "A large indent overruns.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "ujson"},
            "versions": ["5.1.0", "5.10.0", "5.9.0"],
        },
        {"package": {"ecosystem": "Nowhere", "name": "x"}},
        {
            "ranges": [
                {
                    "type": "GIT",
                    "repo": "https://github.com/A/b.git",
                    "events": [{"introduced": "abc"}],
                }
            ]
        },
    ],
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
    "database_specific": {"cwe_ids": ["CWE-121"]},
    "references": [{"type": "WEB", "url": "https://example.org/1"}, {"url": "javascript:x"}],
}
CSAF: dict[str, Any] = {
    "document": {"csaf_version": "2.0", "title": "Two flaws", "tracking": {"id": "V-1"}},
    "product_tree": {
        "branches": [
            {
                "category": "vendor",
                "name": "Acme",
                "branches": [
                    {
                        "category": "product_name",
                        "name": "PLC 5",
                        "branches": [
                            {
                                "category": "product_version",
                                "name": "2.1",
                                "product": {"product_id": "P1", "name": "PLC 5 2.1"},
                            }
                        ],
                    }
                ],
            }
        ],
        "full_product_names": [
            {
                "product_id": "P2",
                "name": "lib",
                "product_identification_helper": {"purl": "pkg:pypi/lib@1.0"},
            }
        ],
    },
    "vulnerabilities": [
        {
            "cve": "CVE-2026-1",
            "cwe": {"id": "CWE-20"},
            "notes": [{"category": "summary", "text": "Bad input."}],
            "product_status": {"known_affected": ["P1", "P2", "P9"]},
        },
        {"title": "Second", "product_status": {"known_affected": ["P2"], "fixed": ["P1"]}},
    ],
}
CVE: dict[str, Any] = {
    "dataType": "CVE_RECORD",
    "dataVersion": "5.1",
    "cveMetadata": {"cveId": "CVE-2026-7", "state": "PUBLISHED"},
    "containers": {
        "cna": {
            "title": "A flaw",
            "descriptions": [{"lang": "de", "value": "Fehler"}, {"lang": "en", "value": "Flaw."}],
            "affected": [
                {
                    "vendor": "Acme",
                    "product": "PLC",
                    "versions": [{"version": "1.0", "status": "affected", "lessThan": "2.0"}],
                },
                {
                    "packageURL": "pkg:npm/x",
                    "versions": [{"version": "0", "status": "affected", "lessThanOrEqual": "1.9"}],
                },
                {
                    "vendor": "n/a",
                    "product": "n/a",
                    "versions": [{"version": "n/a", "status": "affected"}],
                },
            ],
            "problemTypes": [{"descriptions": [{"cweId": "CWE-787", "description": "x"}]}],
            "metrics": [
                {"cvssV3_1": {"vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}}
            ],
        }
    },
}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def test_an_osv_record_becomes_a_finding_for_each_package_with_a_version() -> None:
    taken = take(raw(OSV), Format.OSV)
    first, second = taken.reports
    assert str(first.document.package) == "pkg:pypi/ujson@5.10.0"
    assert str(second.document.package) == "pkg:github/a/b@abc"
    assert first.document.weakness == "CWE-121"
    assert first.document.severity is not None
    assert first.document.references == ("https://example.org/1",)
    assert first.names >= {"CVE-2026-1234"}
    assert [each.place for each in taken.skipped] == ["/affected/1"]
    parts = {each.part: (each.given, each.where) for each in first.parts}
    assert parts["description"] == (True, "submitter:osv#/details")
    assert parts["proof"] == (False, "")


def test_a_package_that_is_named_picks_its_own_of_an_advisory() -> None:
    taken = take(raw(OSV), Format.OSV, package="pkg:pypi/ujson@5.1.0")
    assert [str(each.document.package) for each in taken.reports] == ["pkg:pypi/ujson@5.1.0"]


def test_a_csaf_document_is_vulnerabilities_times_affected_products() -> None:
    taken = take(raw(CSAF), Format.CSAF)
    found = [(each.document.title, str(each.document.package)) for each in taken.reports]
    assert [(title, package.lower()) for title, package in found] == [
        ("Two flaws", "pkg:generic/acme/plc%205@2.1"),
        ("Two flaws", "pkg:pypi/lib@1.0"),
        ("Second", "pkg:pypi/lib@1.0"),
    ]
    assert "P9" in taken.skipped[0].reason
    assert taken.reports[0].places["weakness"] == "/vulnerabilities/0/cwe"


@pytest.mark.parametrize(
    ("category", "name", "version"),
    [
        ("product_version_range", "<= 9.01", "9.01"),
        ("product_version_range", ">= 6.0 | <= 6.5", "6.5"),
        ("product_version_range", "vers:all/<=V7", "V7"),
        ("product_version_range", "< 2.0", None),
        ("product_version", "vers:all/*", None),
        ("product_version", "*", None),
    ],
)
def test_a_range_names_a_version_only_where_that_one_lies_within(
    category: str, name: str, version: str | None
) -> None:
    content = json.loads(raw(CSAF))
    leaf = content["product_tree"]["branches"][0]["branches"][0]["branches"][0]
    leaf["category"], leaf["name"] = category, name
    taken = take(raw(content), Format.CSAF)
    found = [each.document.package.version for each in taken.reports]
    assert found == ([version] if version else []) + ["1.0", "1.0"]


def test_a_cve_record_is_read_from_its_authority_s_container() -> None:
    taken = take(raw(CVE), Format.CVE)
    first, second = taken.reports
    assert first.document.package.version == "1.0"
    assert str(second.document.package) == "pkg:npm/x@1.9"
    assert (first.document.description, first.document.weakness) == ("Flaw.", "CWE-787")
    assert len(taken.skipped) == 1


@pytest.mark.parametrize("state", ["REJECTED", "RESERVED"])
def test_a_cve_record_that_describes_nothing_is_refused(state: str) -> None:
    with pytest.raises(InvalidError):
        take(raw(CVE | {"cveMetadata": {"cveId": "CVE-2026-7", "state": state}}), Format.CVE)


FILES = {
    "README.md": b"# Overrun in the parser\n\nFeed it the proof.\n",
    "trace.txt": TRACE,
    "proof.bin": b"\x00\xff",
    "patch.diff": b"--- a/json.c\n+++ b/json.c\n@@ -1,1 +1,1 @@\n-a\n+b\n",
    "tests.diff": b"--- a/t.c\n+++ b/t.c\n@@ -0,0 +1,1 @@\n+b\n",
    "build.txt": b"clang -fsanitize=address",
    "notes/more.txt": b"more",
}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_crash_bundle_is_read_by_the_names_of_its_files(pack: Any) -> None:
    [report] = read(
        pack({f"bundle/{name}": each for name, each in FILES.items()}),
        Format.CRASH_BUNDLE,
        package=PACKAGE,
    )
    found = report.document
    assert (found.title, found.description) == ("Overrun in the parser", "Feed it the proof.")
    assert (found.proof, found.weakness) == (b"\x00\xff", "CWE-122")
    assert found.claim.signature == ("parse_value", "main")
    assert found.completeness.missing == ("trigger", "severity")
    assert [each.name for each in report.attachments] == ["build.txt", "notes/more.txt"]
    assert report.places["proof"] == "proof.bin"
    assert "heap-buffer-overflow" in report.trace


def test_a_bundle_s_own_json_says_what_its_files_do_not() -> None:
    bundle = zipped({"finding.json": document(proof=None), "proof": b"x", "trace.txt": TRACE})
    [report] = read(bundle, Format.CRASH_BUNDLE)
    assert (report.document.target, report.document.proof) == ("encode", b"x")


def test_a_disclosure_bundle_of_scrutineer_is_a_crash_bundle() -> None:
    osv = OSV | {"affected": OSV["affected"][2:]}
    bundle = tarred({"manifest.json": b"{}", "osv.json": raw(osv), "report.md": b"# R\n\nText\n"})
    [report] = read(bundle, Format.CRASH_BUNDLE)
    assert str(report.document.package) == "pkg:github/a/b@abc"
    assert report.document.title == "R"


def test_a_sanitizer_s_log_alone_is_a_finding() -> None:
    [report] = read(TRACE, Format.SANITIZER_LOG, package=PACKAGE)
    assert report.document.claim.kind == "crash"
    assert report.document.title.startswith("AddressSanitizer: heap-buffer-overflow")
    with pytest.raises(InvalidError):
        read(b"all is well", Format.SANITIZER_LOG, package=PACKAGE)


def test_colours_of_a_tool_are_taken_out_of_its_log() -> None:
    [report] = read(b"\x1b[1m\x1b[31m" + TRACE, Format.SANITIZER_LOG, package=PACKAGE)
    assert "\x1b" not in report.trace


def test_a_message_brings_its_text_and_attachments() -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "Overrun in ujson", "a@example.org"
    message.set_content("It overruns.\n")
    message.add_attachment(
        b"\x00", maintype="application", subtype="octet-stream", filename="proof.bin"
    )
    message.add_attachment(
        b"x", maintype="application", subtype="octet-stream", filename="../../a b"
    )
    [report] = read(message.as_bytes(), Format.MESSAGE, package=PACKAGE)
    assert (report.document.title, report.document.description) == (
        "Overrun in ujson",
        "It overruns.",
    )
    assert report.document.proof == b"\x00"
    assert [each.name for each in report.attachments] == ["a_b"]


PREFIX = "https://github.com/alpha-omega-security/scrutineer/interchange/"


def statement(kind: str, **predicate: str) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "s", "digest": {"sha256": "0" * 64}}],
        "predicateType": PREFIX + kind,
        "predicate": predicate,
    }


RECORDS = [
    statement("claim/v1", contact="a@example.org"),
    statement(
        "optout/v1", repository="https://x.org/r", requested_at="2026-01-01T00:00:00Z", reason="no"
    ),
    statement(
        "route/v1", repository="https://x.org/r", channel="a@x", verified_at="2026-01-01T00:00:00Z"
    ),
    statement(
        "certificate/v1",
        repository="r",
        advisory="CVE-1",
        status="fixed",
        audited_at="2026-01-01T00:00:00Z",
    ),
    statement(
        "certificate/v2",
        repository="r",
        advisory="CVE-1",
        status="bypass",
        audited_at="2026-01-01T00:00:00Z",
    ),
]


@pytest.mark.parametrize("lines", [True, False])
def test_interchange_records_are_taken_for_what_they_are_and_never_for_findings(
    *, lines: bool
) -> None:
    content = b"\n".join(map(raw, RECORDS)) if lines else raw(RECORDS)
    taken = take(content, Format.INTERCHANGE)
    assert taken.reports == ()
    kinds = {each.kind: each.taken_as for each in taken.records}
    assert list(kinds) == ["claim/v1", "optout/v1", "route/v1", "certificate/v1", "certificate/v2"]
    assert "proposal" in kinds["optout/v1"]
    assert all(each.next_step for each in taken.records)


@pytest.mark.parametrize(
    "record",
    [
        statement("claim/v1", contact="a", severity="high"),
        statement(
            "certificate/v1",
            repository="r",
            advisory="a",
            status="bypass",
            audited_at="2026-01-01T00:00:00Z",
        ),
        statement("finding/v1", contact="a"),
        statement("claim/v1", contact="a") | {"subject": []},
        statement("claim/v1", contact="\u202ea"),
        statement("claim/v1", contact="a") | {"_type": "other"},
    ],
)
def test_a_record_that_carries_more_or_less_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        take(raw(record), Format.INTERCHANGE)


def test_scrutineer_s_own_findings_are_read() -> None:
    export = {
        "repository": "https://github.com/example/widget",
        "commit": "deadbeef",
        "tool": "pentest",
        "findings": [
            {
                "title": "Path traversal",
                "cwe": "CWE-22",
                "severity": "critical",
                "location": "download.js:88",
                "sub_path": "api",
                "description": "Joined without normalising.",
                "patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
            },
            {},
        ],
    }
    taken = take(raw(export), Format.SCRUTINEER)
    [report] = taken.reports
    assert str(report.document.package) == "pkg:github/example/widget@deadbeef"
    assert report.locations == ("api/download.js:88",)
    assert report.document.completeness.missing == ("trigger", "severity", "proof", "tests")
    assert [each.place for each in taken.skipped] == ["/findings/1"]


def sarif(*results: dict[str, Any], **run: Any) -> bytes:
    return raw(
        {
            "version": "2.1.0",
            "runs": [{"tool": {"driver": {"name": "t"}}, "results": list(results)} | run],
        }
    )


def test_what_a_log_suppresses_or_no_longer_finds_is_left_out_and_named() -> None:
    text = {"message": {"text": "x"}}
    taken = take(
        sarif(
            text,
            text | {"suppressions": [{"kind": "external"}]},
            text | {"suppressions": [{"kind": "external", "status": "underReview"}]},
            text | {"baselineState": "absent"},
            text | {"kind": "pass"},
        ),
        Format.SARIF,
        package=PACKAGE,
    )
    assert [each.place for each in taken.reports] == ["/runs/0/results/0", "/runs/0/results/2"]
    assert [each.place[-1] for each in taken.skipped] == ["1", "3", "4"]


def test_stacks_flows_fingerprints_fixes_and_attachments_of_a_result_are_kept() -> None:
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.c"}, "region": {"startLine": 3}}}
    fix = {
        "artifactChanges": [
            {
                "artifactLocation": {"uri": "a.c"},
                "replacements": [
                    {
                        "deletedRegion": {"startLine": 3, "snippet": {"text": "bad();\n"}},
                        "insertedContent": {"text": "good();\nbetter();\n"},
                    }
                ],
            }
        ]
    }
    result = {
        "message": {"text": "x"},
        "stacks": [{"frames": [{"location": {"logicalLocations": [{"name": "f"}]}}]}],
        "codeFlows": [{"threadFlows": [{"locations": [{"location": place}]}]}],
        "partialFingerprints": {"p/v1": "abc"},
        "fixes": [fix],
        "attachments": [{"artifactLocation": {"index": 0}}, {"artifactLocation": {"uri": "gone"}}],
    }
    content = sarif(
        result, artifacts=[{"location": {"uri": "d/in.txt"}, "contents": {"text": "hi"}}]
    )
    taken = take(content, Format.SARIF, package=PACKAGE)
    [report] = taken.reports
    assert report.document.claim.signature == ("f",)
    assert report.locations == ("flow: a.c:3",)
    assert report.given_prints == ("\0p/v1=abc",)
    assert (
        report.document.patch
        == "--- a/a.c\n+++ b/a.c\n@@ -3,1 +3,2 @@\n-bad();\n+good();\n+better();\n"
    )
    assert [(each.name, each.content) for each in report.attachments][1] == ("0-in.txt", b"hi")
    assert taken.skipped[0].place.endswith("/attachments/1")


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (document(), Format.CLEARHOLD_JSON),
        (document() + b"\n" + document(), Format.JSON_LINES),
        (sarif({"message": {"text": "x"}}), Format.SARIF),
        (raw(OSV), Format.OSV),
        (raw(CSAF), Format.CSAF),
        (raw(CVE), Format.CVE),
        (raw(RECORDS[0]), Format.INTERCHANGE),
        (raw(RECORDS), Format.INTERCHANGE),
        (raw({"findings": []}), Format.SCRUTINEER),
        (zipped(FILES), Format.CRASH_BUNDLE),
        (tarred(FILES), Format.CRASH_BUNDLE),
        (tarred(FILES, packed=""), Format.CRASH_BUNDLE),
        (TRACE, Format.SANITIZER_LOG),
        (b"From: a@b\nSubject: x\n\ny", Format.MESSAGE),
    ],
)
def test_a_format_is_told_when_only_one_fits(content: bytes, form: Format) -> None:
    assert detect(content) is form


@pytest.mark.parametrize(
    "content", [b"", b"words", b"{}", b"[1]", b"{", raw(OSV | CVE), b"[" * 5000]
)
def test_a_format_is_never_guessed(content: bytes) -> None:
    with pytest.raises(InvalidError) as refused:
        detect(content)
    assert "crash-bundle" in refused.value.next_step


def test_more_findings_than_one_submission_takes_are_refused_whole() -> None:
    with pytest.raises(TooLargeError):
        take(b"\n".join([document()] * 1001), Format.JSON_LINES)

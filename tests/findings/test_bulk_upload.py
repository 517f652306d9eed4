"""Many findings at once: each counts for itself, none that was taken is lost, and all can be resumed."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from archives import tarred, zipped
from finding_examples import document
from sqlalchemy import Engine, event
from test_formats import FILES, PACKAGE, raw, sarif

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings import bulk
from clearhold.findings.bulk import Piece, pieces
from clearhold.findings.intake import Format
from clearhold.findings.model import Receipt, Skipped
from clearhold.findings.service import MOST_UNPACKED
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.ids import FindingId, SubmissionId
from clearhold.wire.json_stream import ElementReader

UPLOADER: Final = Path(__file__).with_name("uploading_process.py")


def lines(count: int, *, bad: frozenset[int] = frozenset()) -> bytes:
    """Findings of our own, one a line from line 1; the lines of `bad` are none."""
    return b"".join(
        (b"{broken\n" if number in bad else document(title=f"Bug {number}") + b"\n")
        for number in range(1, count + 1)
    )


def upload(hub: Hub, actor: Actor, content: bytes, **options: Any) -> bulk.BulkReceipt:
    given = {"form": Format.JSON_LINES, "key": "k"} | options
    return hub.findings.submit_many(actor, io.BytesIO(content), **given)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of ten findings."""
    monkeypatch.setattr(bulk, "MOST_FINDINGS", 10)


@pytest.mark.usefixtures("small")
def test_bad_lines_are_refused_alone_with_line_and_reason(hub: Hub, lab_a: Actor) -> None:
    done = upload(hub, lab_a, lines(25, bad=frozenset({3, 17})) + b"\n")
    assert [len(each.findings) for each in done.receipts] == [9, 9, 5]
    assert [each.place for each in done.refused] == ["line 3", "line 17"]
    assert all(
        "malformed" in each.reason or "cannot be read" in each.reason for each in done.refused
    )
    assert len(hub.findings.list(lab_a)) == 23


@pytest.mark.usefixtures("small")
def test_what_was_uploaded_is_kept_byte_for_byte(hub: Hub, lab_a: Actor) -> None:
    content = lines(25, bad=frozenset({3}))
    done = upload(hub, lab_a, content)
    kept = [hub.findings.raw(lab_a, SubmissionId(each.submission)) for each in done.receipts]
    assert b"".join(kept) == content


@pytest.mark.usefixtures("small")
def test_the_same_upload_again_answers_the_same_and_adds_nothing(hub: Hub, lab_a: Actor) -> None:
    first = upload(hub, lab_a, lines(25, bad=frozenset({3})))
    assert upload(hub, lab_a, lines(25, bad=frozenset({3}))) == first
    longer = upload(hub, lab_a, lines(25, bad=frozenset({3})) + document(title="Later") + b"\n")
    assert longer.receipts[:2] == first.receipts[:2]
    assert len(hub.findings.list(lab_a)) == 24 + 6


@pytest.mark.usefixtures("small")
def test_a_log_of_many_results_is_split_under_the_head_of_its_run(hub: Hub, lab_a: Actor) -> None:
    results = [{"message": {"text": f"bug {each}"}} for each in range(15)]
    results[12] = {"message": {"text": 5}}
    results[13]["suppressions"] = [{"kind": "inSource"}]
    late = {"results": results, "tool": {"driver": {"name": "late"}}}
    content = json.dumps({"runs": [late, late], "version": "2.1.0"}, indent=1).encode()
    done = upload(hub, lab_a, content, form=Format.SARIF, package=PACKAGE)
    assert [len(each.findings) for each in done.receipts] == [10, 3, 10, 3]
    assert [each.place.partition(",")[0] for each in done.refused] == [
        f"/runs/{run}/results/{each}" for run in (0, 1) for each in (12, 13)
    ]
    line = int(done.refused[0].place.rpartition(" ")[2])
    assert content.splitlines()[line + 1].strip() == b'"text": 5'
    view = hub.findings.get(lab_a, FindingId(done.receipts[0].findings[0].finding))
    assert view.body is not None
    assert view.body.provenance["title"].startswith("submitter:sarif:late#")


def test_an_archive_of_submissions_is_taken_file_by_file(hub: Hub, lab_a: Actor) -> None:
    archive = tarred(
        {
            "a.jsonl": lines(3, bad=frozenset({2})),
            "b.sarif": sarif({"message": {"text": "x"}}),
            "c.zip": zipped(FILES),
            "d.bin": b"\x00\x01",
            "e.txt": b"title\n\nwords",
            "f.json": document(title="Single"),
        }
    )
    done = upload(hub, lab_a, archive, form=None, package=PACKAGE)
    assert [len(each.findings) for each in done.receipts] == [2, 1, 1, 1, 1]
    assert [each.place for each in done.refused] == ["a.jsonl: line 2", "d.bin"]


@pytest.mark.usefixtures("small")
def test_what_came_before_a_broken_end_is_kept(hub: Hub, lab_a: Actor) -> None:
    results = ",".join(['{"message":{"text":"x"}}'] * 25)
    tool = '{"version":"2.1.0","runs":[{"tool":{"driver":{}},"results":['
    with pytest.raises(InvalidError):
        upload(hub, lab_a, f"{tool}{results}".encode(), form=Format.SARIF, package=PACKAGE)
    archive = bytearray(tarred({"a.jsonl": lines(3), "b.jsonl": lines(2)}, packed=""))
    done = upload(hub, lab_a, bytes(archive[: 512 * 6]), form=None)
    assert sum(len(each.findings) for each in done.receipts) in {0, 3}
    assert done.refused


def test_a_small_archive_does_not_unpack_for_hours() -> None:
    packed = tarred({f"{each}.bin": bytes(20 << 20) for each in range(4)}, packed="bz2")
    unpacked = 45 << 20
    assert len(packed) < 4096
    found = pieces(io.BytesIO(packed), None, unpacked=unpacked)
    assert [next(found).__class__ for _ in range(2)] == [Skipped, Skipped]
    with pytest.raises(TooLargeError):
        next(found)
    assert MOST_UNPACKED <= 1 << 30


def test_lines_without_end_are_refused_and_the_next_one_is_read() -> None:
    content = b"x" * (bulk.MOST_BYTES + 10) + b"\n" + document()
    found = list(pieces(io.BytesIO(content), Format.JSON_LINES))
    assert isinstance(found[0], Skipped)
    assert isinstance(found[1], Piece)
    assert found[1].places == ("line 2",)


def test_a_thousand_findings_take_as_many_statements_as_one(
    database: Engine, lab_a: Actor, submit: Callable[..., Receipt]
) -> None:
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    def cost(count: int) -> int:
        sent.clear()
        results = [{"message": {"text": f"{count} {each}"}} for each in range(count)]
        submit(lab_a, sarif(*results), form=Format.SARIF, package=PACKAGE)
        return len(sent)

    event.listen(database, "before_cursor_execute", note)
    few, many = cost(2), cost(1000)
    assert few == many
    assert many <= 24


def test_every_finding_of_a_batch_is_announced_once(
    engine: Any, lab_a: Actor, submit: Callable[..., Receipt]
) -> None:
    heard: list[str] = []
    engine.register("on:finding.submitted", lambda ids: heard.append(ids["finding"]))
    receipt = submit(lab_a, lines(5), form=Format.JSON_LINES)
    engine.run_due()
    assert sorted(heard) == sorted(each.finding for each in receipt.findings)


def test_a_killed_upload_loses_nothing_that_it_said_to_have_taken(
    hub: Hub, lab_a: Actor, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_FINDINGS", 100)
    file = tmp_path / "upload.jsonl"
    file.write_bytes(lines(1500))
    command = [sys.executable, str(UPLOADER), database_url, str(tmp_path), str(file)]
    process = subprocess.Popen(
        [*command, lab_a.party, lab_a.principal], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(2)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    assert len(told) < 15
    with file.open("rb") as opened:
        done = hub.findings.submit_many(lab_a, opened, form=Format.JSON_LINES, key="k")
    assert [each.submission for each in done.receipts][: len(told)] == told
    assert sum(len(each.findings) for each in done.receipts) == 1500
    assert not done.refused
    page, seen = hub.findings.list(lab_a), 0
    while page:
        seen += len(page)
        page = hub.findings.list(lab_a, after=page[-1].head.id)
    assert seen == 1500


WANTED: Final = (("version",), ("runs", None, "tool"), ("runs", None, "results", None))


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 1 << 18])
def test_elements_are_the_same_however_the_text_is_cut(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearhold.wire.json_stream._WINDOW", window)
    run = {
        "tool": {'x"y\\': [1, {"k": "v]}\\"}]},
        "results": [{"m": 'a,b\n\\"'}, [[], {}], 3, "s", None],
    }
    text = {"a": [{"runs": [{"results": [7]}]}], "version": "2.1.0", "runs": [run, {"results": []}]}
    content = json.dumps(text, indent=2).encode()
    found = list(ElementReader(io.BytesIO(content), WANTED, most=1000, what="SARIF"))
    assert [json.loads(each.content) for each in found] == ["2.1.0", run["tool"], *run["results"]]
    for each in found:
        assert content[each.offset : each.offset + len(each.content)] == each.content
        assert content.count(b"\n", 0, each.offset) + 1 == each.line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"runs": [}',
        b'{"runs": [{"results": [1, 2}]}',
        b'{"runs" "x": 1}',
        b'{"runs": [], "runs": []}',
        b'{"runs": []}{"runs": []}',
        b'{"runs": ["',
        b'{"runs": [{"results": [' + b"[" * 100,
        b'{"x": ' * 100,
        b"]",
        b'{"runs": [{"results": ["' + b"x" * 5000 + b'"]}]}',
    ],
)
def test_a_text_without_the_structure_of_json_is_refused(content: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)) as refused:
        list(ElementReader(io.BytesIO(content), WANTED, most=1000, what="SARIF"))
    assert "line 1" in refused.value.message


def test_attachments_are_handed_out_as_they_came(
    hub: Hub, lab_a: Actor, submit: Callable[..., Receipt]
) -> None:
    content = base64.b64encode(b"\x00cc -g").decode()
    receipt = submit(lab_a, document(attachments=[{"name": "build.txt", "content": content}]))
    finding = FindingId(receipt.findings[0].finding)
    assert hub.findings.attachment(lab_a, finding, 0) == b"\x00cc -g"


def test_an_interchange_record_is_kept_and_becomes_no_finding(
    hub: Hub, lab_a: Actor, submit: Callable[..., Receipt]
) -> None:
    record = raw(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "s", "digest": {"sha256": "0" * 64}}],
            "predicateType": "https://github.com/alpha-omega-security/scrutineer/interchange/optout/v1",
            "predicate": {"repository": "r", "requested_at": "2026-01-01T00:00:00Z"},
        }
    )
    receipt = submit(lab_a, record, form=Format.INTERCHANGE)
    assert receipt.findings == ()
    assert [each.kind for each in receipt.records] == ["optout/v1"]
    assert hub.findings.list(lab_a) == ()
    assert hub.findings.raw(lab_a, SubmissionId(receipt.submission)) == record
    assert hub.findings.receipt(lab_a, SubmissionId(receipt.submission)) == receipt

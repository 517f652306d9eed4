"""`clearhold catalogue import`: records in every container they are published in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended

from clearhold.delivery.cli import catalogue_import


def record(number: int) -> dict[str, Any]:
    affected = [{"package": {"ecosystem": "PyPI", "name": "ujson"}, "versions": ["5.1.0"]}]
    return {"id": f"PYSEC-2020-{number}", "affected": affected}


class Connection:
    """Notes what is sent, and takes everything but what says otherwise."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append((path, body))
        if path == "/catalogue/exploited":
            return {"entries": len(json.loads(body["catalogue"])["vulnerabilities"])}
        refused = [
            {"place": at, "reason": "It is bad."}
            for at, each in enumerate(body["records"])
            if "bad" in each
        ]
        taken = len(body["records"]) - len(refused)
        return {"taken": taken, "withdrawn": 0, "rows": taken, "refused": refused}


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    made = Connection()
    monkeypatch.setattr(catalogue_import, "hub", lambda: made)
    return made


def test_archives_lists_and_lines_are_taken_apart(
    connection: Connection, tmp_path: Path, run: Callable[..., Ended]
) -> None:
    archive, listed, lines, kev = (
        tmp_path / name for name in ("all.zip", "list.json", "lines.jsonl", "kev.json")
    )
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(1, 1203):
            out.writestr(f"{number}.json", json.dumps(record(number)))
        out.writestr("README.md", "no record")
    listed.write_text(json.dumps([record(2001), record(2002)]))
    lines.write_text("\n".join(json.dumps(record(number)) for number in (3001, 3002)) + "\n\n")
    kev.write_text(
        json.dumps({"catalogVersion": "1", "vulnerabilities": [{"cveID": "CVE-2020-1000"}]})
    )
    done = run("catalogue", "import", "--json", *map(str, (archive, listed, lines, kev)))
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["taken"], told["exploited"], told["refused"]) == (1206, 1, [])
    parts = [len(body["records"]) for path, body in connection.sent if path.endswith("public")]
    assert sum(parts) == 1206
    assert max(parts) == 500


def test_what_is_refused_is_named_and_loses_nothing_else(
    connection: Connection, tmp_path: Path, run: Callable[..., Ended]
) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"id": "a"}\n{"bad": 1}\n\xff\xfe\n{"id": "b"}\n')
    done = run("catalogue", "import", "--json", str(file))
    assert done.code != 0
    told = json.loads(done.out.splitlines()[0])
    assert told["taken"] == 2
    assert {each["place"]: each["reason"] for each in told["refused"]} == {
        "lines.jsonl: line 2": "It is bad.",
        "lines.jsonl: line 3": "It is not UTF-8.",
    }
    assert connection.sent


def test_a_member_that_unpacks_to_too_much_is_refused_alone(
    connection: Connection, tmp_path: Path, run: Callable[..., Ended]
) -> None:
    file = tmp_path / "all.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb.json", b" " * (17 << 20))
        out.writestr("good.json", json.dumps(record(1)))
    done = run("catalogue", "import", "--json", str(file))
    told = json.loads(done.out.splitlines()[0])
    assert told["taken"] == 1
    assert [each["place"] for each in told["refused"]] == ["all.zip: bomb.json"]
    assert connection.sent


def test_a_damaged_archive_and_an_absent_file_are_one_sentence(
    connection: Connection, tmp_path: Path, run: Callable[..., Ended]
) -> None:
    file = tmp_path / "all.zip"
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("a.json", json.dumps(record(1)))
    content = bytearray(file.read_bytes())
    content[40] ^= 0xFF
    file.write_bytes(bytes(content))
    for path in (file, tmp_path / "absent.json"):
        done = run("catalogue", "import", str(path))
        assert done.code != 0
        assert "next:" in done.err
        assert "Traceback" not in done.err
    assert not connection.sent

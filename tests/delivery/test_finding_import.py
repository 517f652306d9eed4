"""Findings are sent from the command line: files, bundles of files, and uploads that go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Ended

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import finding, finding_import
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.findings import bulk
from in_process_http import client_of

Run = Callable[..., Ended]
PACKAGE = "pkg:pypi/ujson@5.1.0"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What the command line does is the same on either database."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture(autouse=True)
def lab(hub: Hub, party_of: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch) -> Actor:
    """A lab for whom the commands act."""
    actor = party_of(PartyKind.LAB, "lab-alpha")
    with hub.sessions.transaction() as unit:
        token = hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
    client = HubClient("http://hub", token.secret)
    client.close()
    client._http = client_of(make_app(hub), {"Authorization": f"Bearer {token.secret}"})
    for module in (finding, finding_import):
        monkeypatch.setattr(module, "hub", lambda: client)
    return actor


def own(title: str) -> str:
    document = {
        "schema": "clearhold-finding/1",
        "package": PACKAGE,
        "title": title,
        "description": "x",
        "claim": {"kind": "crash"},
    }
    return json.dumps(document)


def test_an_import_says_what_was_taken_and_what_was_not_and_goes_on(
    run: Run, hub: Hub, lab: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_FINDINGS", 2)
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join([own("a"), "{\x1b[2J", own("b"), own("c")]))
    first = run("finding", "import", str(file), "--json")
    assert first.code == 1
    *receipts, summary = [json.loads(line) for line in first.out.splitlines()]
    assert len(receipts) == 2
    assert (summary["submissions"], summary["findings"]) == (2, 3)
    assert summary["refused"][0]["place"] == "line 2"
    assert "3 findings taken, 1 items refused" in first.err
    assert "\x1b" not in first.err + first.out
    again = run("finding", "import", str(file), "--json")
    assert again.out == first.out
    assert len(hub.findings.list(lab)) == 3


def test_files_are_submissions_of_their_own_or_one_bundle(
    run: Run, hub: Hub, lab: Actor, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text(own("a"))
    (tmp_path / "README.md").write_text("Overrun\n\nIt overruns.")
    (tmp_path / "proof.bin").write_bytes(b"\x00")
    files = [str(tmp_path / name) for name in ("README.md", "proof.bin")]
    bundle = run("finding", "submit", *files, "--bundle", "--package", PACKAGE, "--json").document
    assert [each["given"] for each in bundle["findings"][0]["parts"]] == [
        True, False, False, True, False, False,
    ]  # fmt: skip
    told = run("finding", "submit", str(tmp_path / "a.json"), files[1], "--json")
    assert told.code == 1
    taken, refused = told.document
    assert taken["receipt"]["findings"]
    assert "does not show what it is written in" in refused["refused"]["message"]
    assert len(hub.findings.list(lab)) == 2

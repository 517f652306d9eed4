"""Coverage, its map and the next scan over HTTP and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agreeing import agree
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import inventory, main, scan, scan_coverage
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from in_process_http import InProcess

PACKAGE = "pkg:pypi/ujson"
API = "/api/v1/scanning"


@pytest.fixture
def ask(hub: Hub) -> Callable[..., httpx.Response]:
    """Sends one request with a body as the holder of a token."""
    transport = InProcess(make_app(hub))

    def send(token: str, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{path}-1"}
        with httpx.Client(transport=transport, base_url="http://hub", headers=headers) as client:
            return client.request(
                method,
                path,
                content=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )

    return send


@pytest.fixture
def token_of(hub: Hub) -> Callable[[PartyKind, str], str]:
    _, issued = hub.parties.found_hub(
        handle="founder", name="Hub", person="Ada", life=timedelta(days=60)
    )
    founder = hub.authenticate(issued.secret)
    hub.catalogue.add(
        founder, PACKAGE, versions=("5.1.0", "5.4.0"), techniques=("fuzzing",), paths=()  # type: ignore[arg-type]
    )  # fmt: skip

    def make(kind: PartyKind, handle: str) -> str:
        party = hub.parties.register(founder, handle=handle, name=handle, kind=kind)
        secret = hub.parties.issue_token(founder, party.id, life=timedelta(days=60)).secret
        agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
        return secret

    return make


@pytest.fixture
def command(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command against the hub in this process and returns what it printed."""
    transport = InProcess(make_app(hub))

    def run(token: str, *arguments: str) -> str:
        client = HubClient("http://hub", token)
        reached = httpx.Client(
            transport=transport, base_url="http://hub", headers=client._http.headers
        )
        client.close()
        monkeypatch.setattr(client, "_http", reached)
        for module in (scan, scan_coverage, inventory):
            monkeypatch.setattr(module, "hub", lambda: client)
        result = CliRunner().invoke(main.app, [*arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_a_scan_is_recorded_shared_mapped_and_withdrawn_on_the_command_line(
    token_of: Callable[..., str], command: Callable[..., str], clock: Any
) -> None:
    lab, rival = token_of(PartyKind.LAB, "lab-a"), token_of(PartyKind.LAB, "lab-b")
    claimed = command(
        lab, "scan", "claim", PACKAGE, "fuzzing", "--version", "5.1.0", "--path", "lib/", "--json"
    )
    lease = json.loads(claimed)
    assert "private" in command(lab, "scan", "sharing")
    assert "shared" in command(lab, "scan", "sharing", "shared")
    made = json.loads(
        command(
            lab,
            "scan",
            "cover",
            lease["id"],
            str(lease["fence"]),
            "nothing-found",
            "ab" * 32,
            "--commit",
            "cd" * 20,
            "--version",
            "5.1.0",
            "--function",
            "encode",
            "--depth",
            "deep",
            "--effort",
            "executions=7",
            "--json",
        )
    )
    assert made["shown_from"] == "2026-06-08"
    (record,) = json.loads(command(lab, "scan", "coverage", "--json"))
    assert (record["commit"], record["functions"]) == ("cd" * 20, ["encode"])
    assert "none; that nobody shared" in command(rival, "scan", "map", PACKAGE)
    clock.advance(timedelta(days=7))
    table = command(rival, "scan", "map", PACKAGE).splitlines()
    assert table[2].split()[:5] == ["5.1.0", "fuzzing", "lib/", "2026-06-01", "deep"]
    (row,) = json.loads(command(rival, "scan", "map", PACKAGE, "--json"))["rows"]
    assert (row["scans"], row["result"], row["outdated"]) == ("1-2", "scanned", True)
    command(lab, "scan", "withdraw", made["id"])
    assert json.loads(command(rival, "scan", "map", PACKAGE, "--json"))["rows"] == []


def test_the_next_scan_is_printed_with_its_reasons(
    token_of: Callable[..., str], command: Callable[..., str]
) -> None:
    lab = token_of(PartyKind.LAB, "lab-a")
    text = command(lab, "scan", "next", "--technique", "fuzzing")
    assert "pkg:pypi/ujson 5.4.0 by fuzzing in **" in text
    assert "technique gap: no fuzzing of it is known" in text
    assert "more questions today" in text
    (first, *_) = json.loads(command(lab, "scan", "next", "--json"))["scans"]
    assert first["score"] == sum(term["points"] for term in first["terms"])
    assert "nothing that is listed is free" in command(lab, "scan", "next", "--technique", "static")


def test_an_operator_agrees_to_be_counted_and_withdraws(
    token_of: Callable[..., str], command: Callable[..., str]
) -> None:
    operator = token_of(PartyKind.OPERATOR, "water")
    assert json.loads(command(operator, "inventory", "share", "--json")) == {"shared": False}
    assert json.loads(command(operator, "inventory", "share", "on", "--json")) == {"shared": True}
    assert json.loads(command(operator, "inventory", "share", "--json")) == {"shared": True}
    assert json.loads(command(operator, "inventory", "share", "off", "--json")) == {"shared": False}


HOSTILE: list[tuple[str, Any]] = [
    ("/coverage-map", {"package": "ujson"}),
    ("/coverage-map", {"package": "pkg:pypi/" + "x" * 2000}),
    ("/coverage-map", {"package": "\ud800"}),
    ("/coverage-map", {}),
    ("/suggestions", {"technique": "guessing"}),
    ("/coverage-sharing", {"sharing": "everything"}),
    (
        "/leases/x/coverage",
        {"fence": 1, "outcome": "found", "result_sha256": "a" * 64, "paths": ["lib"] * 100},
    ),
    (
        "/leases/x/coverage",
        {"fence": 1, "outcome": "found", "result_sha256": "a" * 64, "depth": "bottomless"},
    ),
]


def test_hostile_questions_are_answered_with_a_problem(
    token_of: Callable[..., str], ask: Callable[..., httpx.Response], subtests: pytest.Subtests
) -> None:
    lab = token_of(PartyKind.LAB, "lab-a")
    for path, body in HOSTILE:
        with subtests.test(path=path, body=body):
            answer = ask(lab, f"{API}{path}", body)
            assert answer.status_code == 422
            assert answer.json()["next_step"]


def test_who_may_not_scan_learns_neither_maps_nor_suggestions(
    token_of: Callable[..., str], ask: Callable[..., httpx.Response]
) -> None:
    for kind in (PartyKind.OPERATOR, PartyKind.VENDOR, PartyKind.GOVERNMENT):
        token = token_of(kind, f"x-{kind}")
        assert ask(token, f"{API}/coverage-map", {"package": PACKAGE}).status_code == 403
        assert ask(token, f"{API}/suggestions", {}).status_code == 403
    lab = token_of(PartyKind.LAB, "lab-a")
    assert ask(lab, "/api/v1/inventories/sharing", {"shared": True}).status_code == 403
    assert ask(lab, f"{API}/coverage/nothing-such/withdrawal").status_code == 404

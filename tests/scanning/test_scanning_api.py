"""Leases and findings over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from agreeing import agree
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import catalogue as catalogue_commands
from clearhold.delivery.cli import finding as finding_commands
from clearhold.delivery.cli import main, scan, scan_coverage
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app

TEXT = b"ujson overruns a buffer\n\nCall dumps with a large indent."
CLAIM = {
    "package": "pkg:pypi/ujson",
    "versions": {"exact": "5.1.0"},
    "paths": ["lib/"],
    "technique": "fuzzing",
}


class InProcess(httpx.BaseTransport):
    """Hands requests to an application in this process, without a socket."""

    def __init__(self, app: FastAPI) -> None:
        self._application = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def hand_over() -> httpx.Response:
            sent = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            response = await self._application.handle_async_request(sent)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        return asyncio.run(hand_over())


@pytest.fixture
def transport(hub: Hub) -> InProcess:
    return InProcess(make_app(hub))


@pytest.fixture
def web(transport: InProcess) -> Iterator[httpx.Client]:
    with httpx.Client(transport=transport, base_url="http://hub") as client:
        yield client


@pytest.fixture
def token_of(hub: Hub) -> Callable[[PartyKind, str], str]:
    _, issued = hub.parties.found_hub(
        handle="founder", name="Hub", person="Ada", life=timedelta(days=1)
    )
    founder = hub.authenticate(issued.secret)

    def make(kind: PartyKind, handle: str) -> str:
        party = hub.parties.register(founder, handle=handle, name=handle, kind=kind)
        secret = hub.parties.issue_token(founder, party.id, life=timedelta(days=1)).secret
        agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
        return secret

    return make


def headers(token: str, key: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})


def test_a_conflict_travels_as_a_problem_with_what_is_free(
    web: httpx.Client, token_of: Callable[..., str]
) -> None:
    lab_a, lab_b = token_of(PartyKind.LAB, "lab-a"), token_of(PartyKind.LAB, "lab-b")
    coordinator = token_of(PartyKind.COORDINATOR, "coordinator")
    target = {
        "package": "pkg:pypi/ujson",
        "versions": ["5.1.0"],
        "techniques": ["fuzzing", "static"],
        "paths": ["lib/ultrajsonenc.c"],
    }
    added = web.post("/api/v1/catalogue/targets", json=target, headers=headers(coordinator))
    assert added.status_code == 201
    granted = web.post("/api/v1/scanning/leases", json=CLAIM, headers=headers(lab_a, "a"))
    assert (granted.status_code, granted.json()["state"]) == (201, "granted")
    refused = web.post("/api/v1/scanning/leases", json=CLAIM, headers=headers(lab_b, "b"))
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["own_leases"] == []
    assert "taken" not in problem
    assert any(scope["technique"] == "static" for scope in problem["free"])
    again = web.post(
        "/api/v1/scanning/leases", json=problem["free"][0], headers=headers(lab_b, "c")
    )
    assert again.status_code == 201
    assert len(web.get("/api/v1/scanning/leases", headers=headers(lab_b)).json()) == 1


def test_a_finding_is_submitted_read_and_hidden_from_others(
    web: httpx.Client, token_of: Callable[..., str]
) -> None:
    lab_a, lab_b = token_of(PartyKind.LAB, "lab-a"), token_of(PartyKind.LAB, "lab-b")
    body = {
        "format": "text",
        "content": base64.b64encode(TEXT).decode(),
        "package": "pkg:pypi/ujson@5.1.0",
    }
    first = web.post("/api/v1/findings", json=body, headers=headers(lab_a, "k"))
    assert first.status_code == 201
    assert web.post("/api/v1/findings", json=body, headers=headers(lab_a, "k")).json() == (
        first.json()
    )
    identity = first.json()["findings"][0]["finding"]
    shown = web.get(f"/api/v1/findings/{identity}", headers=headers(lab_a)).json()
    assert shown["content"]["title"] == "ujson overruns a buffer"
    assert shown["standing"] is None
    submission = first.json()["submission"]
    raw = web.get(f"/api/v1/findings/submissions/{submission}/raw", headers=headers(lab_a))
    assert raw.content == TEXT
    assert raw.headers["content-disposition"] == "attachment"
    hidden = web.get(f"/api/v1/findings/{identity}", headers=headers(lab_b))
    absent = web.get("/api/v1/findings/no-such-finding", headers=headers(lab_b))
    assert hidden.status_code == absent.status_code == 404
    assert hidden.content == absent.content
    assert web.get("/api/v1/findings", headers=headers(lab_b)).json() == []


HOSTILE: list[tuple[str, object, str]] = [
    ("/findings", {"format": "text", "content": "!", "package": "pkg:pypi/x@1"}, "k"),
    ("/findings", {"format": "odd", "content": ""}, "k"),
    ("/findings", {"format": "text", "content": "", "lease": "a\x00b", "fence": 1}, "k"),
    ("/findings", {"format": "text", "content": "", "package": "pkg:pypi/x@1"}, ""),
    ("/scanning/leases", CLAIM | {"window_hours": "nan"}, "k"),
    ("/scanning/leases", CLAIM | {"budget_s": 10**30}, "k"),
    ("/scanning/leases", CLAIM | {"paths": ["\x1b[2J"]}, "k"),
    ("/scanning/leases", CLAIM | {"package": "\ud800"}, "k"),
    ("/scanning/leases", CLAIM | {"technique": "live-probing"}, "k"),
    ("/scanning/leases", CLAIM | {"versions": {"commits": ["abc"]}}, "k"),
    ("/scanning/leases", CLAIM | {"versions": {"commits": ["a" * 40], "exact": "1"}}, "k"),
    ("/scanning/leases", CLAIM | {"functions": ["a\x1b"]}, "k"),
    ("/scanning/leases", CLAIM | {"functions": ["f"] * 33}, "k"),
    ("/scanning/leases/x/heartbeat", {"fence": 10**30}, ""),
]


def test_hostile_requests_are_answered_with_a_problem(
    web: httpx.Client, token_of: Callable[..., str], subtests: pytest.Subtests
) -> None:
    lab = token_of(PartyKind.LAB, "lab-a")
    for number, (path, body, key) in enumerate(HOSTILE):
        with subtests.test(path=path, body=body):
            answer = web.post(
                f"/api/v1{path}",
                content=json.dumps(body),
                headers=headers(lab, key and f"{key}{number}")
                | {"Content-Type": "application/json"},
            )
            assert answer.status_code == 422
            assert answer.json()["next_step"]
            assert "\x1b" not in answer.json()["title"]


def test_an_odd_id_is_no_more_than_not_found_or_refused(
    web: httpx.Client, token_of: Callable[..., str]
) -> None:
    lab = token_of(PartyKind.LAB, "lab-a")
    for odd in ("%00", "..%2f..", "a" * 200, "%F0%9F%92%A5"):
        answer = web.get(f"/api/v1/findings/{odd}", headers=headers(lab))
        assert answer.status_code in {404, 422}


@pytest.fixture
def command(transport: InProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command against the hub in this process and returns what it printed as JSON."""

    def run(token: str, *arguments: str, fails: bool = False) -> Any:
        client = HubClient("http://hub", token)
        reached = httpx.Client(
            transport=transport, base_url="http://hub", headers=client._http.headers
        )
        client.close()
        monkeypatch.setattr(client, "_http", reached)
        for module in (catalogue_commands, scan, scan_coverage, finding_commands):
            monkeypatch.setattr(module, "hub", lambda: client)
        result = CliRunner().invoke(main.app, [*arguments, "--json"])
        assert result.exit_code == (1 if fails else 0), result.output
        return None if fails else json.loads(result.stdout)

    return run


def test_the_command_line_claims_submits_and_reports(
    token_of: Callable[..., str], command: Callable[..., Any], tmp_path: Path
) -> None:
    lab, other = token_of(PartyKind.LAB, "lab-a"), token_of(PartyKind.LAB, "lab-b")
    coordinator = token_of(PartyKind.COORDINATOR, "coordinator")
    listed = ("--version", "5.1.0", "--technique", "fuzzing", "--path", "lib/ultrajsonenc.c")
    command(coordinator, "catalogue", "add", "pkg:pypi/ujson", *listed)
    command(coordinator, "catalogue", "record", "pkg:pypi/ujson", "CVE-2021-45958", "--fixed", "6")
    assert command(lab, "catalogue", "known", "pkg:pypi/ujson")[0]["id"] == "CVE-2021-45958"
    wanted = ("pkg:pypi/ujson", "fuzzing", "--version", "5.1.0", "--path", "lib/")
    lease = command(lab, "scan", "claim", *wanted)
    command(other, "scan", "claim", *wanted, fails=True)
    held = (lease["id"], str(lease["fence"]))
    assert command(lab, "scan", "heartbeat", *held)["state"] == "active"
    command(lab, "scan", "cover", *held, "found", "ab" * 32, "--effort", "executions=5")
    assert command(lab, "scan", "coverage")[0]["effort"] == {"executions": 5}
    report = tmp_path / "report.txt"
    report.write_bytes(TEXT)
    named = ("--package", "pkg:pypi/ujson@5.1.0", "--lease", held[0], "--fence", held[1])
    receipt = command(lab, "finding", "submit", str(report), *named)
    assert receipt["under_lease"] is True
    assert receipt["findings"][0]["perhaps_public"] == ["CVE-2021-45958"]
    identity = receipt["findings"][0]["finding"]
    assert command(lab, "finding", "show", identity)["content"]["title"]
    assert command(lab, "finding", "receipt", receipt["submission"]) == receipt
    assert len(command(lab, "finding", "list")) == 1
    assert command(coordinator, "finding", "queue")[0]["vulnerability"] == identity
    command(other, "finding", "show", identity, fails=True)
    assert command(lab, "scan", "release", *held)["state"] == "released"
    command(coordinator, "scan", "revoke", "pkg:pypi/ujson", "harm")

"""A case and its fix from opening to closing, on the command line over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from judging_rules import FIX, RulingJudge
from typer.testing import CliRunner

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.material import CaseMaterial
from clearhold.delivery.cli import case as case_commands
from clearhold.delivery.cli import main
from clearhold.delivery.cli import patch as patch_commands
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.kernel.ids import FindingId
from clearhold.patches.flows import Judging
from clearhold.patches.service import JUDGE
from in_process_http import client_of


@pytest.fixture
def token_of(hub: Hub) -> Callable[..., tuple[str, Actor]]:
    _, issued = hub.parties.found_hub(
        handle="founder", name="Hub", person="Ada", life=timedelta(days=1)
    )
    founder = hub.authenticate(issued.secret)

    def make(kind: PartyKind, handle: str) -> tuple[str, Actor]:
        if kind is PartyKind.COORDINATOR:
            return issued.secret, founder
        party = hub.parties.register(founder, handle=handle, name=handle.title(), kind=kind)
        token = hub.parties.issue_token(founder, party.id, life=timedelta(days=1)).secret
        agree(hub.parties, hub.agreements, hub.authenticate(token), hub.clock.now())
        return token, hub.authenticate(token)

    return make


@pytest.fixture
def queue(hub: Hub, engine: MemoryEngine) -> MemoryEngine:
    """The queue, with the judge that decides by rules."""
    judging = Judging(hub.sessions, hub.vault, CaseMaterial(hub.findings), RulingJudge())
    engine.register(JUDGE, judging.judge)
    return engine


@pytest.fixture
def command(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs one command as the holder of a token and returns its JSON, or its refusal's text."""
    app = make_app(hub)

    def run(token: str, *arguments: str, fails: bool = False, plain: bool = False) -> Any:
        client = HubClient("http://hub", token)
        reached = client_of(app, client._http.headers)
        client.close()
        monkeypatch.setattr(client, "_http", reached)
        for module in (case_commands, patch_commands):
            monkeypatch.setattr(module, "hub", lambda: client)
        result = CliRunner().invoke(main.app, [*arguments, *([] if plain else ["--json"])])
        assert result.exit_code == (1 if fails else 0), result.output
        return result.output if fails or plain else json.loads(result.stdout)

    return run


def test_the_command_line_carries_a_case_from_opening_to_closing(
    queue: MemoryEngine,
    token_of: Callable[..., tuple[str, Actor]],
    command: Callable[..., Any],
    found: Callable[..., FindingId],
    tmp_path: Path,
) -> None:
    (coordinator, _), (vendor, _) = (
        token_of(PartyKind.COORDINATOR, "coordinator"),
        token_of(PartyKind.MAINTAINER, "quux-team"),
    )
    lab, lab_actor = token_of(PartyKind.LAB, "lab-a")
    finding = found(lab_actor, b"PROOF-ONE")
    case = command(coordinator, "case", "open", finding, "Quux", "--key", "k")["id"]
    assert command(coordinator, "case", "open", finding, "Quux", "--key", "k")["id"] == case
    refused = command(vendor, "case", "show", case, fails=True)
    assert "There is no such case." in refused
    command(coordinator, "case", "read-in", case, "quux-team", "vendor", "maintains it")
    proposed = command(
        coordinator,
        "case",
        "propose",
        case,
        "2026-07-05T12:00:00Z",
        "--terms",
        "Keep it.",
        "--operators-early-notice",
    )
    embargo = proposed["proposal"]["id"]
    assert proposed["proposal"]["operators_early_notice"]
    assert command(vendor, "case", "accept", case, embargo)["embargo_state"] == "active"
    assert "consent is signatory" in command(vendor, "case", "decline", case, embargo, fails=True)
    assert "time zone" in command(
        vendor, "case", "propose", case, "2026-09-01T12:00:00", fails=True
    )
    assert "no instant" in command(vendor, "case", "propose", case, "soon", fails=True)

    assert "possible" in command(vendor, "case", "report", case, "accept", fails=True)
    for step in ("validate", "accept"):
        command(vendor, "case", "report", case, step)
    command(lab, "case", "say", case, "Found by fuzzing.", "--key", "m")
    assert [each["body"] for each in command(vendor, "case", "messages", case)] == [
        "Found by fuzzing."
    ]

    diff = tmp_path / "fix.patch"
    diff.write_bytes(FIX)
    submitted = command(vendor, "patch", "submit", case, str(diff), "maintainer", "--key", "p")
    assert submitted["state"] == "received"
    queue.run_due()
    judged = command(vendor, "patch", "show", submitted["id"])
    assert (judged["state"], judged["deliverable"]) == ("accepted", True)
    assert judged["judgement"]["proofs"][0]["stopped"]
    assert [each["id"] for each in command(coordinator, "patch", "list", case)] == [submitted["id"]]
    wheel = tmp_path / "fixed.whl"
    command(vendor, "patch", "wheel", submitted["id"], str(wheel), plain=True)
    assert wheel.read_bytes() == b"WHEEL-BYTES"
    assert command(coordinator, "patch", "adopt", submitted["id"])["adopted_at"]
    assert "No token" not in command(lab, "patch", "show", submitted["id"], fails=True)

    assert command(vendor, "case", "status", case, "D")["status"] == "VFDpxa"
    assert "under embargo" in command(coordinator, "case", "close", case, fails=True)
    assert command(vendor, "case", "terminate", case)["embargo_state"] == "exited"
    assert command(coordinator, "case", "close", case)["closed_at"]
    assert [each["id"] for each in command(lab, "case", "list")["cases"]] == [case]


def test_what_is_no_base64_and_what_is_no_member_are_refused(
    hub: Hub, token_of: Callable[..., tuple[str, Actor]]
) -> None:
    token, _ = token_of(PartyKind.MAINTAINER, "quux-team")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    client = client_of(make_app(hub), headers)
    body = {"case": "c", "diff": "é", "origin": "maintainer"}
    refused = client.post("/api/v1/patches", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert refused.json()["next_step"]
    assert client.post("/api/v1/patches", json=body | {"more": 1}).status_code == 422
    assert (
        client.post("/api/v1/cases", json={"vulnerability": "v", "title": "t"}).status_code == 403
    )

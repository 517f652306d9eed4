"""The tool by which an agent asks whether a flaw is known, without leaving its machine with it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest

import known_proofs
from clearhold.assembly.hub import Hub
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.delivery.mcp.local import known
from in_process_http import client_of
from known_proofs import FRAMES, PACKAGE
from mcp_client import same_twice


@pytest.fixture
def sent() -> list[str]:
    """Everything that was sent to the hub."""
    return []


@pytest.fixture
def client(hub: Hub, labs: Any, sent: list[str]) -> HubClient:
    token = hub.parties.issue_token(labs[1], labs[1].party, life=timedelta(days=1)).secret
    made = HubClient("http://hub", "")
    made.close()
    made._http = client_of(make_app(hub), {"Authorization": f"Bearer {token}"})

    def note(request: httpx.Request) -> None:
        sent.append(f"{request.url} {request.read().decode()}")

    made._http.event_hooks = {"request": [note]}
    return made


def arguments(proof: bytes, **more: Any) -> dict[str, Any]:
    encoded = base64.b64encode(proof).decode()
    return {"package": PACKAGE, "proofs_base64": [encoded], "frames": list(FRAMES)} | more


def test_an_agent_tells_a_hit_from_a_miss_and_since_when(
    held: Any, labs: Any, client: HubClient
) -> None:
    held(labs[0])
    missed = same_twice(known(client, arguments(known_proofs.ANOTHER_FLAW)))
    assert missed["known"] is False
    hit = same_twice(known(client, arguments(known_proofs.REFORMATTED)))
    assert (hit["known"], hit["since"]) == (True, "")
    claimed = same_twice(known(client, arguments(known_proofs.REFORMATTED, claim=True)))
    assert (claimed["known_as"], claimed["since"]) == ("coordinated", "2026-06")


def test_neither_proof_nor_frames_nor_package_are_sent(client: HubClient, sent: list[str]) -> None:
    proof = known_proofs.ANOTHER_FLAW
    assert not known(client, arguments(proof)).is_error
    told = "\n".join(sent)
    assert sent
    for secret in (*FRAMES, "quuxlib", base64.b64encode(proof).decode()[:40], proof.hex()[:40]):
        assert secret not in told


def test_wrong_questions_are_refused_before_anything_is_sent(
    client: HubClient, sent: list[str]
) -> None:
    for wrong in (
        {},
        arguments(b"x", proofs_base64=["%"]),
        arguments(b"x", proofs_base64=[]),
        arguments(b"x", package="nothing"),
        arguments(b"x", frame=["misspelt"]),
        arguments(known_proofs.WEAK),
    ):
        answer = known(client, wrong)
        assert answer.is_error
        assert same_twice(answer)["code"] == "invalid"
    assert all(each.endswith("/findings/known/keys ") for each in sent)

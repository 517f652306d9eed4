"""`clearhold mcp`, started by an agent as such programs are, against a hub that serves."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from fastapi import FastAPI
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.mcp.drafting import HARNESS, draft
from clearhold.delivery.mcp.local import KNOWN
from clearhold.delivery.mcp.serving import TOOLS
from mcp_client import ERAS, same_twice

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def with_agent(
    address: str, token: str, act: Callable[[Client], Awaitable[Any]], era: str = "auto"
) -> Any:
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "clearhold", "mcp"],
        env={"CLEARHOLD_URL": address, "CLEARHOLD_TOKEN": token},
    )

    async def acted() -> Any:
        async with Client(stdio_client(program), mode=era) as client:
            return await act(client)

    return anyio.run(acted)


@pytest.mark.parametrize("era", ERAS)
def test_an_agent_reaches_the_hubs_tools_by_pipes(
    address: str, hub: Hub, party_of: Callable[..., Actor], era: str
) -> None:
    """Answers, refusals and the list come as from the hub itself."""
    actor = party_of(PartyKind.LAB)
    token = hub.parties.issue_token(actor, actor.party, life=timedelta(days=1)).secret
    scope = {"package": "pkg:pypi/ujson", "technique": "fuzzing", "idempotency_key": "k"}

    async def day(client: Client) -> None:
        assert [each.name for each in (await client.list_tools()).tools] == [
            *(each.name for each in TOOLS),
            KNOWN,
            HARNESS,
        ]
        lease = same_twice(await client.call_tool("scan_claim", scope))
        held = {"lease": lease["id"], "fence": lease["fence"]}
        assert same_twice(await client.call_tool("scan_renew", held))["state"] == "active"
        told = await client.call_tool("scan_renew", held | {"fence": 999})
        assert told.is_error
        assert same_twice(told)["code"] == "conflict"
        with pytest.raises(MCPError):
            await client.call_tool("nothing", {})

    with_agent(address, token, day, era)


def test_a_wrong_token_is_told_at_once_in_a_sentence(address: str) -> None:
    """The program ends instead of leaving the agent with a server that answers nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "clearhold", "mcp"],
        env={"CLEARHOLD_URL": address, "CLEARHOLD_TOKEN": "ch_x"},
        input=b"",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"next:" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"package": "/etc", "name": "x"},
        {"package": "git:https://git.example/x@main", "name": "x"},
        {"package": "pkg:pypi/ujson@5.1.0", "name": "../x"},
        {"package": "pkg:pypi/ujson@5.1.0", "name": ".."},
        {"package": "pkg:pypi/ujson@5.1.0", "name": "Upper"},
        {"package": "pkg:pypi/ujson@5.1.0", "name": "there"},
        {"package": "pkg:pypi/ujson@5.1.0"},
    ],
)
def test_an_agent_drafts_harnesses_of_published_packages_into_the_operators_recipes_alone(
    wrong: dict[str, str], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database_url
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("CLEARHOLD_RECIPES", str(tmp_path))
    told = draft(wrong)
    assert told.is_error
    assert told.structured_content is not None
    assert told.structured_content["next_step"]
    assert [each.name for each in tmp_path.iterdir()] == ["there"]


def test_without_a_place_for_recipes_nothing_is_drafted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database_url
    monkeypatch.delenv("CLEARHOLD_RECIPES", raising=False)
    told = draft({"package": "pkg:pypi/ujson@5.1.0", "name": "x"})
    assert told.structured_content is not None
    assert "CLEARHOLD_RECIPES" in told.structured_content["next_step"]

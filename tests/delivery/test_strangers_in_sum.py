"""What strangers can hold in sum: connections, and bodies in memory before anybody knows whose they are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from uvicorn import Config
from uvicorn.server import ServerState

from clearhold.access.fair_share import FairShare
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import limits
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.wire_protocol import BoundedHttp, with_places
from in_process_http import client_of

LONG = limits.OF_STRANGERS + 1
GATEWAY = "/gateway/v1/chat/completions"


class Wire(asyncio.Transport):
    """The server's side of a connection from an address, in memory."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1), "sockname": ("127.0.0.1", 2)})
        self.said = b""
        self.closing = False

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Answers nothing."""


def connected(kind: type[BoundedHttp], address: str) -> tuple[BoundedHttp, Wire]:
    wire = Wire(address)
    protocol = kind(Config(_nothing), ServerState(), {})
    protocol.connection_made(wire)
    return protocol, wire


def test_one_address_gets_half_of_all_connections_and_they_are_given_back() -> None:
    async def act() -> None:
        kind = with_places(16)
        mine = [connected(kind, "198.51.100.7") for _ in range(9)]
        assert [wire.closing for _, wire in mine] == [False] * 8 + [True]
        refused, wire = mine[-1]
        assert wire.said.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in wire.said
        before = wire.said
        refused.data_received(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
        await asyncio.sleep(0)
        assert wire.said == before
        others = [connected(kind, f"2001:db8::{number}") for number in range(5)]
        assert [wire.closing for _, wire in others] == [False] * 4 + [True]  # one network
        for protocol, _ in mine + others:
            protocol.connection_lost(None)
        again = [connected(kind, "203.0.113.9") for _ in range(8)]
        assert not any(wire.closing for _, wire in again)
        for protocol, _ in again:
            protocol.connection_lost(None)

    asyncio.run(act())


async def answered(app: FastAPI, path: str, headers: dict[str, str], size: int) -> tuple[int, int]:
    """The status that a POST gets, and how often its body was asked for."""
    asked, status = 0, 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * size, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    told = {"content-length": str(size), "content-type": "application/json"} | headers
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        "client": ("198.51.100.7", 1),
        "server": ("hub", 80),
    }
    await app(scope, receive, send)
    return status, asked


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_long_body_is_read_only_for_whom_the_hub_knows(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(hub)
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    known = {"authorization": f"Bearer {issued.secret}"}
    wrong = {"authorization": f"Bearer {issued.secret[:-1]}"}
    for path in ("/api/v1/cases", GATEWAY, "/mcp/"):
        for headers in ({}, wrong):
            assert asyncio.run(answered(app, path, headers, LONG)) == (401, 0)
    assert asyncio.run(answered(app, GATEWAY, known, LONG)) == (401, 0)  # no token of a grant
    assert asyncio.run(answered(app, "/api/v1/cases", {}, 10))[1] > 0
    status, asked = asyncio.run(answered(app, "/api/v1/cases", known, LONG))
    assert status == 422
    assert asked > 0
    monkeypatch.setattr(limits, "_bodies", FairShare(2 * LONG))
    client = client_of(app, known)
    for _ in range(3):  # what was taken is given back
        assert sent(client).status_code == 422
    monkeypatch.setattr(limits, "_bodies", FairShare(2 * LONG - 1))
    full = sent(client)
    assert full.status_code == 503
    assert full.headers["retry-after"] == "5"


def sent(client: httpx.Client) -> httpx.Response:
    return client.post(
        "/api/v1/cases", content=b"x" * LONG, headers={"Content-Type": "application/json"}
    )

"""An agent's side of the Model Context Protocol, on an application in the same process."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import anyio
import httpx2
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ServerCapabilities, TextContent, Tool

T = TypeVar("T")

ERAS = ("legacy", "auto")
"""How a client opens: by the older revisions' handshake, or without one."""


class Agent:
    """The official library's client, of whoever holds `token`; it connects anew for every call."""

    def __init__(self, app: FastAPI, token: str, *, era: str = "auto") -> None:
        self._app = app
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._era = era

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        return self._with(lambda client: client.call_tool(tool, arguments))

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers, which must be no error and say the same twice."""
        answer = self.call(tool, **arguments)
        assert not answer.is_error, answer.structured_content
        return same_twice(answer)

    def refusal(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The error that a tool answers."""
        answer = self.call(tool, **arguments)
        assert answer.is_error, answer.structured_content
        told = same_twice(answer)
        assert told["code"]
        assert told["title"]
        assert told["next_step"]
        return told

    def tools(self) -> list[Tool]:
        async def listed(client: Client) -> list[Tool]:
            return (await client.list_tools()).tools

        return self._with(listed)

    def capabilities(self) -> ServerCapabilities:
        """What the hub offers besides."""

        async def offered(client: Client) -> ServerCapabilities:
            return client.server_capabilities

        return self._with(offered)

    def _with(self, act: Callable[[Client], Awaitable[T]]) -> T:
        refused: list[MCPError] = []

        async def acted() -> T | None:
            async with (
                httpx2.AsyncClient(
                    transport=httpx2.ASGITransport(self._app), headers=self._headers
                ) as http,
                Client(
                    streamable_http_client("http://hub/mcp", http_client=http), mode=self._era
                ) as client,
            ):
                try:
                    return await act(client)
                except MCPError as error:  # raised outside the library's tasks, which would wrap it
                    refused.append(error)
                    return None

        done = anyio.run(acted)
        if refused:
            raise refused[0]
        return cast("T", done)


def same_twice(answer: CallToolResult) -> dict[str, Any]:
    """The structure of an answer, which its one text must repeat."""
    (text,) = answer.content
    assert isinstance(text, TextContent)
    structure: Mapping[str, Any] = answer.structured_content
    assert json.loads(text.text) == structure
    return dict(structure)

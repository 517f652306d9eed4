"""Passing the hub's tools on to an agent that talks to a program of its own machine by pipes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from clearhold.delivery.client import HubClient
from clearhold.delivery.mcp import drafting, local
from clearhold.delivery.mcp.answering import told
from clearhold.kernel.errors import ClearholdError


def serve(client: HubClient) -> None:
    """Answer the agent at standard input and output with what the hub answers, until it ends."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)  # its lines may quote messages
    anyio.run(_serve, client)


async def _serve(client: HubClient) -> None:
    server = _server(client)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _server(client: HubClient) -> Server[Any]:
    async def ask(method: str, params: dict[str, Any]) -> Any:
        answer = await anyio.to_thread.run_sync(client.tool_message, method, params)
        if "error" in answer:
            raise MCPError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def listing(
        _context: ServerRequestContext[Any], _asked: PaginatedRequestParams | None
    ) -> ListToolsResult:
        result = ListToolsResult.model_validate(await ask("tools/list", {}))
        return result.model_copy(
            update={"tools": [*result.tools, local.listed(), drafting.listed()]}
        )

    async def call(
        _context: ServerRequestContext[Any], asked: CallToolRequestParams
    ) -> CallToolResult:
        arguments = asked.arguments or {}
        if asked.name == local.KNOWN:
            return await anyio.to_thread.run_sync(local.known, client, arguments)
        if asked.name == drafting.HARNESS:
            return await anyio.to_thread.run_sync(drafting.draft, arguments)
        params = {"name": asked.name, "arguments": arguments}
        try:
            return CallToolResult.model_validate(await ask("tools/call", params))
        except ClearholdError as error:
            refusal = error  # what kept the hub from answering, told like an error of the tool
        return told(lambda: _raised(refusal))

    server: Server[Any] = Server("clearhold", version="1", on_list_tools=listing, on_call_tool=call)
    server.middleware.clear()  # its traces would carry texts of errors
    return server


def _raised(error: ClearholdError) -> Mapping[str, Any]:
    raise error

"""`clearhold mcp`: the hub's tools for an agent that starts a program and talks to it by pipes."""

from __future__ import annotations

from clearhold.delivery.cli.output import hub, told


@told
def bridge() -> None:
    """Give an AI agent on this machine the hub's tools, over standard input and output (MCP)."""
    from clearhold.delivery.mcp import bridging  # noqa: PLC0415  # slow to load, and for this alone

    client = hub()
    client.get("/parties/self")  # a wrong address or token is told now, in a sentence
    bridging.serve(client)

"""The page about agents lists the tools there are, with what they need."""

from __future__ import annotations

from pathlib import Path

from clearhold.delivery.mcp.serving import DEEPEST, LARGEST_MESSAGE, MOST_VALUES, TOOLS
from clearhold.delivery.mcp.tool import Tool

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agents-over-mcp.md"


def row(tool: Tool) -> str:
    """The line of the table for a tool."""
    schema = tool.input_schema()
    needed = schema.get("required", [])
    names = schema.get("properties", {})
    needs = ", ".join(f"`{each}`" for each in names if each in needed)
    more = ", ".join(f"`{each}`" for each in names if each not in needed)
    return f"| `{tool.name}` | `{tool.permission}` | {needs or '-'} | {more or '-'} |"


def test_the_page_lists_every_tool_with_its_permission_and_arguments() -> None:
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert shown == [row(each) for each in TOOLS]


def test_the_page_states_the_limits_there_are() -> None:
    said = f"{LARGEST_MESSAGE >> 20} MiB, {DEEPEST} levels and {MOST_VALUES:,} values"
    assert said in " ".join(PAGE.read_text().split())

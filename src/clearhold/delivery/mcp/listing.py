"""How a tool stands in the list that agents are told, wherever it runs."""

from __future__ import annotations

from typing import Any

from mcp.types import Tool, ToolAnnotations


def entry(
    name: str,
    description: str,
    schemas: tuple[dict[str, Any], dict[str, Any]],
    *,
    reads: bool = False,
    repeats: bool = False,
    open_world: bool = False,
) -> Tool:
    """One entry; `schemas` are of what it takes and of what it answers.

    `reads` says that it changes nothing, `repeats` that to call it again changes nothing more, and
    `open_world` that it asks others than the hub.
    """
    taken, answered = schemas
    return Tool(
        name=name,
        description=description,
        input_schema=taken,
        output_schema=answered,
        annotations=ToolAnnotations(
            read_only_hint=reads,
            destructive_hint=False,
            idempotent_hint=repeats,
            open_world_hint=open_world,
        ),
    )

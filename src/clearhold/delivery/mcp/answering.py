"""Calling a tool for an actor, and what is told: an answer, or an error of the one family."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import problems
from clearhold.delivery.mcp.tool import Tool
from clearhold.delivery.printed import printable
from clearhold.kernel.errors import ClearholdError
from clearhold.store import fence

_MOST_PLACES: Final = 20
_LONGEST_PLACE: Final = 60


def answered(hub: Hub, actor: Actor, tool: Tool, given: Mapping[str, Any]) -> CallToolResult:
    """What `tool` tells `actor`; whatever goes wrong is told as an error of the tool."""

    def act() -> Mapping[str, Any]:
        # The protocol's library may have left the request's own context, so it is entered anew.
        with fence.request():
            fence.identify(fence.Identity(actor.party, actor.principal, actor.person or ""))
            actor.need(tool.permission)
            arguments = tool.arguments.model_validate(given)
            return tool.run(hub, actor, arguments).model_dump(mode="json")

    return told(act)


def told(act: Callable[[], Mapping[str, Any]]) -> CallToolResult:
    """What `act` returns, or the error it raises, in the form in which agents are told it."""
    try:
        return _result(act())
    except ValidationError as error:
        return _error(
            "invalid",
            f"The arguments do not have the right shape at: {_places(error)}.",
            "Compare them with the tool's input schema.",
        )
    except ClearholdError as error:
        return _error(error.code, error.message, error.next_step, error.facts)
    except Exception as error:  # noqa: BLE001  # let through, the library would tell and log its text
        problems.note(error)
        return _error("error", *problems.UNFORESEEN)


def _places(error: ValidationError) -> str:
    """Where arguments are wrong, and never with what: that may be what must not be repeated."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    places = {".".join(str(part)[:_LONGEST_PLACE] for part in each["loc"]) for each in wrong}
    return ", ".join(sorted(places)[:_MOST_PLACES])


def _error(
    code: str, sentence: str, next_step: str, facts: Mapping[str, object] | None = None
) -> CallToolResult:
    said = {"code": code, "title": sentence, "next_step": next_step, **(facts or {})}
    return _result(said, failed=True)


def _result(value: Mapping[str, Any], *, failed: bool = False) -> CallToolResult:
    """A value as structure and as the same in JSON text, with no character that hides or forges."""
    shown = _harmless(value)
    text = json.dumps(shown, ensure_ascii=False)
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=shown, is_error=failed
    )


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(name): _harmless(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(each) for each in value]
    return value

"""What of a request for a model is passed on: fields that ask for words, and content that is in it.

Endpoints take far more than words: other models to fall back on, templates in place of their own,
servers to ask, files and addresses to fetch. None of it was agreed, and what is fetched is no part of
the bytes by which a request's tokens are held. So only what is named here goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from clearhold.kernel.errors import InvalidError

_BOTH: Final = frozenset(
    {"model", "messages", "max_tokens", "temperature", "top_p", "top_k", "stream", "thinking"}
    | {"tools", "tool_choice", "metadata"}
)
OPENAI: Final = _BOTH | {
    *("max_completion_tokens", "n", "seed", "stop", "min_p", "logit_bias", "user", "verbosity"),
    *("logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "repetition_penalty"),
    *("parallel_tool_calls", "functions", "function_call", "response_format"),
    *("reasoning_effort", "include_reasoning"),
}
ANTHROPIC: Final = _BOTH | {"system", "stop_sequences", "output_config", "output_format"}
_TOOLS: Final = frozenset({"function", "custom"})
_RUN_BY_CALLER: Final = ("bash_", "text_editor_", "computer_", "memory_")
"""Tools that Anthropic names with a date and that whoever calls runs; all others run at the endpoint."""
_ELSEWHERE: Final = ("url", "file")
_DEEPEST: Final = 8


def check(fields: dict[str, Any], known: frozenset[str]) -> None:
    """Raise `InvalidError`, naming it, for what is not passed on."""
    if other := min(fields.keys() - known, default=None):
        raise InvalidError(
            f"The field {other[:60]!a} is not passed on.",
            next_step="Ask without it; docs/model-tests.md says what a call may hold.",
        )
    tools = fields.get("tools", [])
    if not isinstance(tools, list) or not all(map(_run_by_caller, tools)):
        raise InvalidError(
            "Tools that an endpoint itself would run are not passed on.",
            next_step="Give functions that the caller runs.",
        )
    for part in _parts([*_contents(fields["messages"]), fields.get("system")]):
        if _fetched(part):
            raise InvalidError(
                "Nothing is fetched for a call, so files and addresses are not passed on.",
                next_step="Put the content itself into the message, as a data URL or in base64.",
            )


def _run_by_caller(tool: Any) -> bool:
    kind = tool.get("type", "custom") if isinstance(tool, dict) else None
    return isinstance(kind, str) and (kind in _TOOLS or kind.startswith(_RUN_BY_CALLER))


def _contents(messages: list[Any]) -> Iterator[Any]:
    return (each.get("content") for each in messages if isinstance(each, dict))


def _parts(contents: list[Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """All parts of contents, those of results of tools and of documents too; not what tools are given."""
    if depth > _DEEPEST:
        raise InvalidError("The content of a message is nested too deeply.")
    for content in contents:
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield part
                source = part.get("source")
                inner = source.get("content") if isinstance(source, dict) else None
                yield from _parts([part.get("content"), inner], depth + 1)


def _fetched(part: dict[str, Any]) -> bool:
    """Whether a part stands for something that an endpoint would have to fetch."""
    for name, there in part.items():
        url = there.get("url") if isinstance(there, dict) else there
        if name.endswith("_url") and not (isinstance(url, str) and url[:5].lower() == "data:"):
            return True
    source, file = part.get("source"), part.get("file")
    return (
        (isinstance(source, dict) and source.get("type") in _ELSEWHERE)
        or (isinstance(file, dict) and "file_id" in file)
        or part.get("type") == "container_upload"
    )

"""Conversations as OpenAI (chat completions) and Anthropic (messages) write them, and in plain words.

Answers come from another machine and are read as a stranger's. A tool call whose arguments are no
JSON object is kept as what it is: the model is told, and the trial counts it.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ModelOutput,
    StopReason,
)
from inspect_ai.tool import ToolCall, ToolInfo

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.wire.json_bounds import Limits, decode
from clearhold.wire.model_calls import DEEPEST, LARGEST_ANSWER, Dialect

_MOST_CALLS: Final = 16
_LONGEST: Final = 256 * 1024
_ARGUMENTS: Final = Limits(size=4 << 20, depth=16)
_STOPS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "model_context_window_exceeded": "model_length",
}
_FENCE: Final = re.compile(r"```(?:bash|sh|shell)[ \t\r]*\n(.*?)```", re.DOTALL)
_ANSWER: Final = re.compile(r"^ANSWER:[ \t]*(\S.*)$", re.MULTILINE)


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice]


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class _Said(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None


def written(
    dialect: Dialect,
    messages: list[ChatMessage],
    tools: list[ToolInfo],
    *,
    model: str,
    most_tokens: int,
    seed: int | None,
    temperature: float | None,
) -> bytes:
    """A request's bytes."""
    asked: dict[str, Any] = {"model": model, "max_tokens": most_tokens}
    if temperature is not None:
        asked["temperature"] = temperature
    if dialect is Dialect.OPENAI:
        asked["messages"] = [_openai(each) for each in messages]
        if seed is not None:
            asked["seed"] = seed % (1 << 31)
        if tools:
            asked["tools"] = [
                {"type": "function", "function": {**_told(each), "parameters": _schema(each)}}
                for each in tools
            ]
    else:
        asked["system"] = "\n\n".join(each.text for each in messages if each.role == "system")
        asked["messages"] = _anthropic(messages)
        if tools:
            asked["tools"] = [{**_told(each), "input_schema": _schema(each)} for each in tools]
    return json.dumps(asked).encode()


def read(dialect: Dialect, answer: bytes, *, model: str) -> ModelOutput:
    """What a model said. Raises `InvalidError` for what is no answer."""
    limits = Limits(LARGEST_ANSWER, DEEPEST)
    if dialect is Dialect.OPENAI:
        chat = decode(answer, _Chat, limits=limits, what="answer")
        if not chat.choices:
            raise InvalidError("The endpoint's answer has no choice.")
        choice = chat.choices[0]
        text = _plain(choice.message.content)
        calls = [_called(each) for each in (choice.message.tool_calls or [])[:_MOST_CALLS]]
        stop = choice.finish_reason
    else:
        said = decode(answer, _Said, limits=limits, what="answer")
        text = "".join(each.text for each in said.content if each.type == "text")
        used = [each for each in said.content if each.type == "tool_use"][:_MOST_CALLS]
        calls = [_called(_Call(_Function(each.name, each.input), each.id)) for each in used]
        stop = said.stop_reason
    for number, call in enumerate(calls):
        call.id = call.id or f"call-{number}"
    message = ChatMessageAssistant(content=text[:_LONGEST], tool_calls=calls or None)
    reason = _STOPS.get(stop or "stop", "unknown")
    choice_ = ChatCompletionChoice(message=message, stop_reason="tool_calls" if calls else reason)
    return ModelOutput(model=model, choices=[choice_])


def in_words(messages: list[ChatMessage], tools: list[ToolInfo]) -> list[ChatMessage]:
    """The same conversation for a model that knows no tools: told of them, and of results, in words."""
    if not tools:
        return messages
    told = (
        "To run commands, write them between ```bash and ``` and stop; you will be shown what they "
        "print. When you know the answer, write it on a line of its own that begins with ANSWER:"
    )
    changed: list[ChatMessage] = [ChatMessageSystem(content=told)]
    for each in messages:
        if isinstance(each, ChatMessageTool):
            changed.append(ChatMessageUser(content=f"The commands printed:\n{each.text}"))
        elif isinstance(each, ChatMessageAssistant):
            changed.append(ChatMessageAssistant(content=each.text or "(nothing)"))
        else:
            changed.append(each)
    return changed


def find_calls(output: ModelOutput, tools: list[ToolInfo]) -> None:
    """Turn the first commands, or else the answer, of a text into the call of a tool."""
    names = {each.name for each in tools}
    message = output.choices[0].message
    fence, answer = _FENCE.search(message.text), _ANSWER.search(message.text)
    call = None
    if fence is not None and "bash" in names:
        call = ToolCall(id="call-0", function="bash", arguments={"command": fence.group(1)})
    elif answer is not None and "submit" in names:
        call = ToolCall(
            id="call-0", function="submit", arguments={"answer": answer.group(1).strip()}
        )
    if call is not None:
        message.tool_calls = [call]
        output.choices[0].stop_reason = "tool_calls"


def _called(call: _Call) -> ToolCall:
    given: Any = call.function.arguments
    problem = None
    if isinstance(given, str):
        try:
            # As strict as for any stranger: half a surrogate pair, or a thousand brackets, would
            # break the log that this goes into, and with it the trial.
            given = decode((given or "{}").encode(), Any, limits=_ARGUMENTS, what="arguments")
        except ClearholdError:
            problem = "The arguments are not JSON."
    if not isinstance(given, dict):
        problem = problem or "The arguments are no JSON object."
        given = {}
    name = call.function.name[:64]
    return ToolCall(id=(call.id or "")[:64], function=name, arguments=given, parse_error=problem)


def _plain(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return "".join(str(each.get("text", "")) for each in content)
    return content or ""


def _told(tool: ToolInfo) -> dict[str, str]:
    return {"name": tool.name, "description": tool.description}


def _schema(tool: ToolInfo) -> dict[str, Any]:
    return tool.parameters.model_dump(exclude_none=True)


def _openai(message: ChatMessage) -> dict[str, Any]:
    if isinstance(message, ChatMessageTool):
        told = {"role": "tool", "tool_call_id": message.tool_call_id or ""}
        return {**told, "content": message.error.message if message.error else message.text}
    said: dict[str, Any] = {"role": message.role, "content": message.text}
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        said["tool_calls"] = [
            {
                "id": each.id,
                "type": "function",
                "function": {"name": each.function, "arguments": json.dumps(each.arguments)},
            }
            for each in message.tool_calls
        ]
    return said


def _anthropic(messages: list[ChatMessage]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for each in messages:
        if isinstance(each, ChatMessageSystem):
            continue
        role = "user"
        blocks: list[dict[str, Any]] = [{"type": "text", "text": each.text or "(nothing)"}]
        if isinstance(each, ChatMessageTool):
            said = each.error.message if each.error else each.text
            told: dict[str, Any] = {"type": "tool_result", "tool_use_id": each.tool_call_id or ""}
            blocks = [{**told, "content": said or "(nothing)"}]
        elif isinstance(each, ChatMessageAssistant):
            role = "assistant"
            calls = [
                {"type": "tool_use", "id": call.id, "name": call.function, "input": call.arguments}
                for call in each.tool_calls or []
            ]
            blocks = [*(blocks if each.text or not calls else []), *calls]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns

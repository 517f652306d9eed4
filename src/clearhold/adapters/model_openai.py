"""`ports.model.Model` at any endpoint that speaks OpenAI's chat completions with tools.

POST {address}/chat/completions, without streaming. The key goes into one header of requests to
that one place and nowhere else: not into errors, logs or addresses. Redirects are not followed.
What comes back is bounded before it is read, and read strictly.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from clearhold.adapters.guarded_address import Network, Place, look_up
from clearhold.adapters.outside import LimitedTransport
from clearhold.kernel.errors import (
    ClearholdError,
    DeniedError,
    InvalidError,
    TooLargeError,
    UnavailableError,
)
from clearhold.ports.model import Call, Reply, ToolSpec, Turn, UnusableReplyError
from clearhold.wire.json_bounds import Limits, decode

LARGEST_ANSWER: Final = 4 << 20
DEEPEST: Final = 64
MOST_CALLS: Final = 16
LONGEST_TEXT: Final = 64 * 1024
LONGEST_ARGUMENTS: Final = 1 << 20
"""Characters; a longer text is cut, longer arguments make the answer unusable."""

_SETTING: Final = "CLEARHOLD_MODEL_NETWORKS"
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 60.0
_OF_THE_MOMENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BYTES_A_TOKEN: Final = 4
_MOST_BYTES_A_TOKEN: Final = 32
_MOST_TOKENS: Final = 10_000_000


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _ToolCall(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    role: str = "assistant"
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: Any = None


class OpenAiModel:
    """A model at an endpoint that its operator named.

    `address` is the base URL, as https://host/v1; `key` may be empty for an endpoint that asks for
    none. `also` are networks beside the public ones where it may lie. `pause` is how waiting
    between tries is done, seconds at a time.
    """

    def __init__(
        self,
        address: str,
        name: str,
        *,
        key: str = "",
        also: Sequence[Network] = (),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not key.isascii() or not key.isprintable():
            raise UnavailableError(
                "The model's key holds what no key holds.",
                next_step="Put the key alone into its file, on one line.",
            )
        self._address = f"{address.rstrip('/')}/chat/completions"
        self._name = name
        self._key = key
        self._also = tuple(also)
        self._pause = pause
        self._limit_name = "max_tokens"

    @property
    def name(self) -> str:
        """What its operator calls it."""
        return self._name

    @property
    def place(self) -> str:
        """The endpoint's host."""
        return urlsplit(self._address).hostname or ""

    def reply(
        self,
        turns: Sequence[Turn],
        tools: Sequence[ToolSpec],
        *,
        most_tokens: int,
        within_s: float,
    ) -> Reply:
        """Ask, and again after errors of the moment, within `within_s` seconds in all."""
        until = time.monotonic() + within_s
        place = look_up(self._address, self._also, setting=_SETTING)
        wait = 1.0
        for tried in range(1, _TRIES + 1):
            body = self._body(turns, tools, most_tokens)
            status, told, answer = self._ask(place, body, until)
            if status == httpx.codes.OK:
                return self._read(body, answer, turns)
            if status == httpx.codes.BAD_REQUEST and self._other_limit_name(answer):
                continue
            if status and status not in _OF_THE_MOMENT:
                raise _refused(place.host, status)
            wait = min(max(wait * 2, told), _LONGEST_WAIT_S)
            if tried == _TRIES or time.monotonic() + wait >= until:
                break
            self._pause(wait)
        raise UnavailableError(
            f"The model at {place.host[:100]} gave no answer in time.",
            next_step="Look whether it runs and what it allows, then try again.",
        )

    def _other_limit_name(self, answer: bytes) -> bool:
        """Newer endpoints know the limit by another name, and say so."""
        if self._limit_name != "max_tokens" or b"max_completion_tokens" not in answer:
            return False
        self._limit_name = "max_completion_tokens"
        return True

    def _body(self, turns: Sequence[Turn], tools: Sequence[ToolSpec], most_tokens: int) -> bytes:
        wish: dict[str, Any] = {
            "model": self._name,
            "messages": [_message(turn) for turn in turns],
            self._limit_name: most_tokens,
            "stream": False,
        }
        if tools:
            wish["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": each.name,
                        "description": each.description,
                        "parameters": dict(each.parameters),
                    },
                }
                for each in tools
            ]
        return json.dumps(wish, ensure_ascii=True, allow_nan=False).encode()

    def _ask(self, place: Place, body: bytes, until: float) -> tuple[int, float, bytes]:
        """Status (0 for none), seconds the endpoint asks to wait, and the answer's bytes."""
        left = max(until - time.monotonic(), 0.001)
        headers = {
            "Host": place.netloc,
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is packed could be bounded only once unpacked
            "Content-Type": "application/json",
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with (
                httpx.Client(
                    transport=LimitedTransport(httpx.create_ssl_context(), seconds=left),
                    timeout=left,
                    follow_redirects=False,
                ) as http,
                http.stream(
                    "POST",
                    place.url,
                    headers=headers,
                    content=body,
                    extensions={"sni_hostname": place.host},
                ) as answer,
            ):
                if answer.headers.get("content-encoding", "identity").lower() != "identity":
                    raise _unusable("it is packed")
                pieces, length = [], 0
                for piece in answer.iter_raw():
                    length += len(piece)
                    if length > LARGEST_ANSWER:
                        raise _unusable(f"it is larger than {LARGEST_ANSWER >> 20} MiB")
                    pieces.append(piece)
                return answer.status_code, _told_to_wait(answer.headers), b"".join(pieces)
        except httpx.HTTPError:
            return 0, 0.0, b""

    def _read(self, body: bytes, answer: bytes, turns: Sequence[Turn]) -> Reply:
        try:
            read = decode(
                answer, _Answer, limits=Limits(size=LARGEST_ANSWER, depth=DEEPEST), what="answer"
            )
        except (InvalidError, TooLargeError) as error:
            raise _unusable(error.message) from error
        if not read.choices:
            raise _unusable("it has no choice")
        message = read.choices[0].message
        if message.role != "assistant":
            raise _unusable("it speaks in another role than the assistant's")
        calls = _calls(message.tool_calls or [], turns)
        text = _text(message.content)
        usage = read.usage if isinstance(read.usage, dict) else {}
        return Reply(
            text=text,
            calls=calls,
            finish=(read.choices[0].finish_reason or "")[:40],
            model=(read.model or "")[:200],
            prompt_tokens=_count(usage.get("prompt_tokens"), len(body)),
            completion_tokens=_count(
                usage.get("completion_tokens"),
                len(text) + sum(len(each.name) + len(each.arguments) for each in calls),
            ),
            asked_sha256=hashlib.sha256(body).hexdigest(),
            said_sha256=hashlib.sha256(answer).hexdigest(),
        )


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.calls:
        message["content"] = turn.text or None
        message["tool_calls"] = [
            {
                "id": each.id,
                "type": "function",
                "function": {"name": each.name, "arguments": each.arguments},
            }
            for each in turn.calls
        ]
    if turn.role == "tool":
        message["tool_call_id"] = turn.answers
    return message


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        parts = [part.get("text") for part in content if part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    return (content or "")[:LONGEST_TEXT]


def _calls(wished: Sequence[_ToolCall], turns: Sequence[Turn]) -> tuple[Call, ...]:
    """The wishes, each under an id of its own.

    What they are called goes back to the endpoint, so a name that no tool can have is not repeated.
    """
    if len(wished) > MOST_CALLS:
        raise _unusable(f"it wishes for more than {MOST_CALLS} tools at once")
    taken = {each.id for turn in turns for each in turn.calls}
    calls = []
    for number, each in enumerate(wished):
        name = each.function.name if _NAME.fullmatch(each.function.name) else "no_such_tool"
        given = each.function.arguments
        arguments = given if isinstance(given, str) else json.dumps(given)
        if len(arguments) > LONGEST_ARGUMENTS:
            raise _unusable("its wish has arguments that are too long")
        identity = each.id or ""
        if not _ID.fullmatch(identity) or identity in taken:
            identity = f"call_{len(turns)}_{number}"
        taken.add(identity)
        calls.append(Call(identity, name, arguments))
    return tuple(calls)


def _count(told: object, size: int) -> int:
    """Tokens as told, unless that cannot be: then as many as so many bytes usually come to."""
    least = size // _MOST_BYTES_A_TOKEN
    if isinstance(told, int) and not isinstance(told, bool) and least <= told <= _MOST_TOKENS:
        return told
    return -(-size // _BYTES_A_TOKEN)


def _told_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds that `Retry-After` (RFC 9110, 10.2.3) asks for; dates are left to our own waits."""
    text = headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0.0


def _unusable(why: str) -> UnusableReplyError:
    return UnusableReplyError(
        f"The model's answer cannot be used: {why.removesuffix('.')}.",
        next_step="Ask another model, or whoever serves this one.",
    )


def _refused(host: str, status: int) -> ClearholdError:
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return DeniedError(
            f"The model at {host[:100]} refuses the hub's key.",
            next_step="Correct the file that CLEARHOLD_MODEL_KEY_FILE names.",
        )
    return InvalidError(
        f"The model at {host[:100]} refuses the request (status {status}).",
        next_step="Check CLEARHOLD_MODEL_URL, CLEARHOLD_MODEL_NAME and CLEARHOLD_MODEL_CONTEXT.",
    )

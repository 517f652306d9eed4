"""Inspect's model provider `clearhold`: any endpoint that speaks as OpenAI or Anthropic do.

The key goes into one header of requests to the one place that was named, and into no log or error.
Errors of the moment are waited out for as long as `patience_s` says; what lasts longer is a broken
endpoint, which is no failure of the model's.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

import anyio
import httpx
import msgspec
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo
from typing_extensions import override

from clearhold.evaluations.trial_calls import MOST_NUMBER, GatewayCall
from clearhold.harness import dialects
from clearhold.harness.live import CURRENT
from clearhold.kernel.errors import InvalidError
from clearhold.wire.model_calls import LARGEST_ANSWER, USUAL_TOKENS, Dialect, read_answer

USUAL_PATIENCE_S: Final = 600.0
_OF_THE_MOMENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_TOO_LONG: Final = frozenset({400, 413, 422})
_LONGEST_WAIT_S: Final = 60.0
_NUMBER: Final = "x-clearhold-call"


class EndpointBrokenError(Exception):
    """The endpoint gave no answer for so long, or refused for good, that the trial says nothing."""


def model_at(
    address: str,
    name: str,
    *,
    key: str = "",
    dialect: Dialect = Dialect.OPENAI,
    tools: str = "native",
    most_tokens: int = USUAL_TOKENS,
    patience_s: float = USUAL_PATIENCE_S,
) -> Model:
    """A model at an endpoint, as a run wants it; what the arguments mean, `Endpoint` says."""
    return get_model(
        f"clearhold/{name}",
        base_url=address,
        api_key=key,
        memoize=False,
        dialect=dialect.value,
        tools=tools,
        most_tokens=most_tokens,
        patience_s=patience_s,
    )


@modelapi(name="clearhold")
class Endpoint(ModelAPI):
    """A model behind an endpoint.

    `base_url` is the address up to `/v1`; `dialect` is `openai` or `anthropic`. With `tools` `text` the
    model is told of tools in words, for models that were not taught to call them. `most_tokens` is the most
    that one answer may take.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's own way)
        *,
        dialect: str = "openai",
        tools: str = "native",
        most_tokens: int = USUAL_TOKENS,
        patience_s: float = USUAL_PATIENCE_S,
        within_s: float = 300.0,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if not base_url or not base_url.startswith(("http://", "https://")):
            raise InvalidError("An endpoint has an address that begins with https:// or http://.")
        if tools not in {"native", "text"}:
            raise InvalidError("Tools are given natively or as text.")
        self._dialect = Dialect(dialect)
        self._in_words = tools == "text"
        self._address = base_url.rstrip("/") + self._dialect.path
        self._most_tokens = most_tokens
        self._patience_s = patience_s
        # A connection that is kept belongs to one event loop, and each round of a run has its own.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(within_s, connect=30.0),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    @override
    async def aclose(self) -> None:
        await self._client.aclose()

    @override
    def max_tokens(self) -> int | None:
        return self._most_tokens

    @override
    def should_retry(self, ex: BaseException) -> bool:
        return False  # it was tried here, where the time spent waiting is told apart

    @override
    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        said = dialects.in_words(input, tools) if self._in_words else input
        body = dialects.written(
            self._dialect,
            said,
            [] if self._in_words else tools,
            model=self.model_name,
            most_tokens=config.max_tokens or self._most_tokens,
            seed=config.seed,
            temperature=config.temperature,
        )
        answer = await self._ask(body)
        if answer is None:
            return ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
        try:
            output = dialects.read(self._dialect, answer, model=self.model_name)
        except InvalidError as problem:
            raise EndpointBrokenError(str(problem)) from problem
        if self._in_words:
            dialects.find_calls(output, tools)
        used = read_answer(body, answer).used
        output.usage = ModelUsage(
            input_tokens=used.prompt, output_tokens=used.answer, total_tokens=used.total
        )
        return output

    async def _ask(self, body: bytes) -> bytes | None:
        """The answer's bytes; None when the conversation has become too long for the endpoint."""
        trial = CURRENT.get()
        began = time.monotonic()
        wait, status = 0.5, 0
        if trial is not None and trial.calls == 0:
            trial.waiting = (
                True  # nothing of the model was heard yet: its silence is the endpoint's
            )
        while True:
            tried = time.monotonic()
            status, told, answer = await self._once(body)
            if status == httpx.codes.OK:
                if trial is not None:
                    trial.calls += 1
                    trial.waiting = False
                return answer
            if status in _TOO_LONG and trial is not None and trial.calls > 0:
                return None
            if status and status not in _OF_THE_MOMENT:
                raise EndpointBrokenError(f"The endpoint refuses with status {status}.")
            wait = min(max(wait * 2, told), _LONGEST_WAIT_S)
            if time.monotonic() + wait - began > self._patience_s:
                break
            if trial is not None:
                trial.waiting = True
            await anyio.sleep(wait)
            if trial is not None:
                trial.waited_s += time.monotonic() - tried
        said = f"status {status}" if status else "no answer"
        raise EndpointBrokenError(f"The endpoint gave {said} for {self._patience_s:.0f} seconds.")

    async def _once(self, body: bytes) -> tuple[int, float, bytes]:
        """Status (0 when there was none), seconds that the endpoint asks to wait, and the answer."""
        headers = {"Content-Type": "application/json", **self._key()}
        data = bytearray()
        try:
            async with self._client.stream(
                "POST", self._address, content=body, headers=headers
            ) as reply:
                async for piece in reply.aiter_bytes():
                    data += piece
                    if len(data) > LARGEST_ANSWER:
                        return 0, 0.0, b""
                _note(body, _number(reply.headers.get(_NUMBER), bytes(data)))
                return reply.status_code, _seconds(reply.headers.get("retry-after")), bytes(data)
        except (httpx.HTTPError, httpx.InvalidURL):
            return 0, 0.0, b""

    def _key(self) -> dict[str, str]:
        if self._dialect is Dialect.ANTHROPIC:
            version = {"anthropic-version": "2023-06-01"}
            return {**version, **({"x-api-key": self.api_key} if self.api_key else {})}
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def _seconds(told: Any) -> float:
    try:
        return max(0.0, min(float(told), _LONGEST_WAIT_S))
    except (TypeError, ValueError):
        return 0.0


def _note(asked: bytes, number: int) -> None:
    """Keep with the trial under which number a gateway recorded what was asked, if it was one."""
    trial = CURRENT.get()
    if trial is not None and number:
        trial.gateway_calls.append(GatewayCall(number, hashlib.sha256(asked).hexdigest()))


class _Refused(msgspec.Struct, frozen=True):
    """What is read of a gateway's problem document: the number under which it recorded the call."""

    call: int = 0


def _number(told: str | None, answer: bytes) -> int:
    """The number of a call in a gateway's record, as its header or its refusal has it."""
    try:
        number = int(told) if told is not None else msgspec.json.decode(answer, type=_Refused).call
    except (ValueError, msgspec.DecodeError, RecursionError):
        return 0
    return number if 0 < number <= MOST_NUMBER else 0

"""Calls to models as OpenAI (chat completions) and Anthropic (messages) write them.

Read as far as a gateway must know: which model, how many tokens at most, and what is asked for beyond
words. What `model_request_rules` names passes through, and nothing else. A request is written anew with
the model's name at its developer, so that an evaluator can name nothing but a variant.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.wire import model_request_rules
from clearhold.wire.json_bounds import Limits, canonical, decode_object

LARGEST_REQUEST: Final = 8 << 20
LARGEST_ANSWER: Final = 32 << 20
DEEPEST: Final = 64
MOST_TOKENS: Final = 10_000_000
USUAL_TOKENS: Final = 4096
_LONGEST_NAME: Final = 200
_BYTES_A_TOKEN: Final = 4
_THOUGHTS: Final = ("thinking", "redacted_thinking", "reasoning")
_REASONING: Final = frozenset(
    {"reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks"}
)
_LOGPROBS: Final = frozenset({"logprobs", "prompt_logprobs", "prompt_token_ids", "token_ids"})


class Dialect(StrEnum):
    """In which words an endpoint is spoken to."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"

    @property
    def path(self) -> str:
        """The path below an endpoint's address."""
        return "/chat/completions" if self is Dialect.OPENAI else "/messages"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it was asked: the variant named as its model, the most tokens, and what it wants.

    `size` is the request's in bytes, `fields` the whole of it.
    """

    variant: str
    size: int
    most_tokens: int
    logprobs: bool
    reasoning: bool
    fields: dict[str, Any]

    @property
    def most_in_all(self) -> int:
        """The most tokens it can cost, its prompt included: no token is less than a byte."""
        return self.size + self.most_tokens

    def to(self, model: str) -> bytes:
        """The request for the developer's endpoint, which knows the variant as `model`."""
        return canonical({**self.fields, "model": model}).rstrip(b"\n")


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of a call: as the endpoint counted, or by its bytes where that cannot be believed."""

    prompt: int
    answer: int
    counted: bool

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.answer


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was read: `fields` is None where it is not JSON; and what it used."""

    fields: dict[str, Any] | None
    used: Used

    def shown(self, asked: Asked) -> bytes:
        """It as the evaluator gets it: under the variant's name, with what was asked for alone.

        Reasoning and log probabilities that were not asked for are left out. Empty when it was not JSON.
        """
        return b"" if self.fields is None else canonical(_shown(self.fields, asked)).rstrip(b"\n")


def read_request(data: bytes, dialect: Dialect) -> Asked:
    """A request. Raises `TooLargeError`, or `InvalidError` for what no gateway should pass on."""
    limits = Limits(size=LARGEST_REQUEST, depth=DEEPEST)
    given = decode_object(data, limits=limits, what="request")
    fields = {name: value for name, value in given.items() if value is not None}
    variant = fields.get("model")
    if not isinstance(variant, str) or not 0 < len(variant) <= _LONGEST_NAME:
        raise InvalidError(
            "The request names no model.", next_step="Name a variant that you were given."
        )
    if fields.get("stream"):
        raise InvalidError(
            "Streams are not passed on, since a record has the whole of an answer.",
            next_step="Ask with stream false.",
        )
    if not isinstance(fields.get("messages"), list):
        raise InvalidError("The request has no messages.")
    if fields.get("n", 1) != 1:
        raise InvalidError("One answer is asked for at a time.", next_step="Ask with n 1.")
    openai = dialect is Dialect.OPENAI
    known = model_request_rules.OPENAI if openai else model_request_rules.ANTHROPIC
    model_request_rules.check(fields, known)
    return Asked(
        variant=variant,
        size=len(data),
        most_tokens=_most_tokens(fields, dialect),
        logprobs=bool(fields.get("logprobs") or fields.get("top_logprobs")),
        reasoning=bool(fields.get("thinking") or fields.get("include_reasoning")),
        fields=fields,
    )


def read_answer(asked: bytes, answer: bytes) -> Answer:
    """An answer. One that cannot be read is counted by its bytes, never as nothing."""
    fields: dict[str, Any] | None = None
    with suppress(ClearholdError):
        fields = decode_object(answer, limits=Limits(LARGEST_ANSWER, DEEPEST), what="answer")
    usage = (fields or {}).get("usage")
    told = usage if isinstance(usage, dict) else {}
    prompt = _count(told.get("prompt_tokens", told.get("input_tokens")))
    said = _count(told.get("completion_tokens", told.get("output_tokens")))
    if prompt is None or said is None:
        return Answer(fields, Used(_tokens(asked), _tokens(answer), counted=False))
    return Answer(fields, Used(prompt, said, counted=True))


def text_of(fields: dict[str, Any], dialect: Dialect) -> str:
    """The words of an answer; empty when it has none."""
    if dialect is Dialect.ANTHROPIC:
        said = fields.get("content")
    else:
        choice = next(iter(_dicts(fields.get("choices"))), {})
        message = choice.get("message")
        said = message.get("content") if isinstance(message, dict) else None
    if isinstance(said, str):
        return said
    parts = (part.get("text") for part in _dicts(said) if part.get("type") == "text")
    return "".join(part for part in parts if isinstance(part, str))


def _shown(fields: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """An answer as the evaluator gets it: under the variant's name, with what was asked for alone."""
    shown = {**_plain(fields, asked), "model": asked.variant}
    if isinstance(shown.get("choices"), list):
        shown["choices"] = [_choice(each, asked) for each in shown["choices"]]
    return shown


def _choice(choice: Any, asked: Asked) -> Any:
    if not isinstance(choice, dict):
        return choice
    shown = _plain(choice, asked)
    if isinstance(shown.get("message"), dict):
        shown["message"] = _plain(shown["message"], asked)
    return shown


def _plain(said: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """What was said without what was not asked for, by its members' names and its parts' types."""
    left_out = frozenset() if asked.logprobs else _LOGPROBS
    if not asked.reasoning:
        left_out |= _REASONING
    shown = {name: value for name, value in said.items() if name not in left_out}
    if isinstance(shown.get("content"), list) and not asked.reasoning:
        shown["content"] = [
            each
            for each in shown["content"]
            if not isinstance(each, dict) or each.get("type") not in _THOUGHTS
        ]
    return shown


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _most_tokens(fields: dict[str, Any], dialect: Dialect) -> int:
    names = (
        ("max_completion_tokens", "max_tokens") if dialect is Dialect.OPENAI else ("max_tokens",)
    )
    given = [fields[name] for name in names if name in fields]
    for most in given:
        if isinstance(most, bool) or not isinstance(most, int) or not 0 < most <= MOST_TOKENS:
            raise InvalidError(f"{' and '.join(names)}: a whole number from 1 to {MOST_TOKENS}.")
    if not given:
        fields[names[-1]] = USUAL_TOKENS  # what has no limit could spend all there is in one call
        return USUAL_TOKENS
    return int(max(given))  # endpoints differ in which of two they heed


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if good else None


def _tokens(content: bytes) -> int:
    return -(-len(content) // _BYTES_A_TOKEN)

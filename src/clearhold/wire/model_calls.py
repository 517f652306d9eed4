"""Calls to models as OpenAI (chat completions) and Anthropic (messages) write them.

Read as far as a gateway must know: which model, how many tokens at most, and what is asked for beyond
words. Everything else passes through unread. A request is written anew with the model's name at its
developer, so that an evaluator can name nothing but a variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.wire.json_bounds import Limits, canonical, decode_object

LARGEST_REQUEST: Final = 8 << 20
LARGEST_ANSWER: Final = 32 << 20
DEEPEST: Final = 64
MOST_TOKENS: Final = 10_000_000
USUAL_TOKENS: Final = 4096
_LONGEST_NAME: Final = 200
_BYTES_A_TOKEN: Final = 4


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

    `fields` is the whole request.
    """

    variant: str
    most_tokens: int
    logprobs: bool
    reasoning: bool
    fields: dict[str, Any]

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


def read_request(data: bytes, dialect: Dialect) -> Asked:
    """A request. Raises `TooLargeError`, or `InvalidError` for what no gateway should pass on."""
    limits = Limits(size=LARGEST_REQUEST, depth=DEEPEST)
    fields = decode_object(data, limits=limits, what="request")
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
    return Asked(
        variant=variant,
        most_tokens=_most_tokens(fields, dialect),
        logprobs=bool(fields.get("logprobs") or fields.get("top_logprobs")),
        reasoning=bool(fields.get("thinking") or fields.get("include_reasoning")),
        fields=fields,
    )


def read_used(asked: bytes, answer: bytes) -> Used:
    """What a call used. An answer that cannot be read is counted by its bytes, never as nothing."""
    try:
        fields = decode_object(answer, limits=Limits(LARGEST_ANSWER, DEEPEST), what="answer")
    except ClearholdError:
        fields = {}
    usage = fields.get("usage")
    told = usage if isinstance(usage, dict) else {}
    prompt = _count(told.get("prompt_tokens", told.get("input_tokens")))
    said = _count(told.get("completion_tokens", told.get("output_tokens")))
    if prompt is None or said is None:
        return Used(_tokens(asked), _tokens(answer), counted=False)
    return Used(prompt, said, counted=True)


def _most_tokens(fields: dict[str, Any], dialect: Dialect) -> int:
    names = (
        ("max_completion_tokens", "max_tokens") if dialect is Dialect.OPENAI else ("max_tokens",)
    )
    for name in names:
        if name in fields:
            most = fields[name]
            if isinstance(most, bool) or not isinstance(most, int) or not 0 < most <= MOST_TOKENS:
                raise InvalidError(f"{name} is a whole number from 1 to {MOST_TOKENS}.")
            return most
    fields[names[-1]] = USUAL_TOKENS  # what has no limit could spend all there is in one call
    return USUAL_TOKENS


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if good else None


def _tokens(content: bytes) -> int:
    return -(-len(content) // _BYTES_A_TOKEN)

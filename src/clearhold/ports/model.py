"""Asking a language model, wherever it is served.

A model is a stranger: what it answers is text and wishes to call tools, never more. Whoever asks
decides which tools there are and what comes of a wish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from clearhold.kernel.errors import UnavailableError


class UnusableReplyError(UnavailableError):
    """The endpoint answered with what is no reply: of another shape, too large, or of another role."""

    code = "unusable_reply"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may wish to call; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A wish to call a tool; `arguments` is the model's own text, which may be no JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of a conversation.

    `calls` are the wishes of an assistant's turn; `answers` names the call that a tool's turn
    answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[Call, ...] = ()
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    `finish` is the endpoint's own word for why it ended, `model` the name it gave itself. Tokens
    are the endpoint's count where that is credible, else an estimate. The digests are SHA-256 of
    the bytes of the request without its headers, and of the answer.
    """

    text: str
    calls: tuple[Call, ...]
    finish: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    asked_sha256: str
    said_sha256: str


class Model(Protocol):
    """A model at an endpoint."""

    @property
    def name(self) -> str:
        """What its operator calls it."""
        ...

    @property
    def place(self) -> str:
        """The host that is asked: where everything said to it goes."""
        ...

    def reply(
        self,
        turns: Sequence[Turn],
        tools: Sequence[ToolSpec],
        *,
        most_tokens: int,
        within_s: float,
    ) -> Reply:
        """The model's next turn, of at most `most_tokens` tokens.

        Raises `UnusableReplyError` for an answer that is no reply, `DeniedError` when the endpoint
        refuses the key, `InvalidError` when it refuses the request, and `UnavailableError` when it
        gives none within `within_s` seconds, tries after errors of the moment included.
        """
        ...

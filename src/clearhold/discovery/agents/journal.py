"""What an agent may use up, what it has, and where what it does is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec

from clearhold.discovery.agents import transcript
from clearhold.kernel.errors import LimitError


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that one campaign may use up: turns, tokens, proofs tried, and calls of tools."""

    turns: int = 40
    tokens: int = 200_000
    proofs: int = 20
    calls: int = 400


@dataclass(frozen=True, slots=True)
class Spent:
    """What a campaign has used up, over all its tries."""

    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    proofs: int = 0
    calls: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def more(self, **amounts: int) -> Spent:
        """The same and these amounts more."""
        return replace(self, **{name: getattr(self, name) + n for name, n in amounts.items()})


class Journal(Protocol):
    """Where the pieces of a transcript go as they come about, and what has been used up."""

    @property
    def spent(self) -> Spent:
        """What this campaign has used up so far, earlier tries included."""
        ...

    @property
    def head(self) -> bytes:
        """The digest of the last piece."""
        ...

    def append(self, kind: str, content: Mapping[str, Any], spent: Spent) -> None:
        """Write a piece, and what is used up with it.

        Raises `LimitError` when the transcript would grow beyond its bound.
        """
        ...


def piece(kind: str, content: Mapping[str, Any]) -> bytes:
    """A piece of a transcript as bytes: JSON, the same for the same content."""
    return msgspec.json.encode({"kind": kind, **content}, order="sorted")


def full() -> LimitError:
    """What is told when a transcript has come to its bound."""
    return LimitError(
        "The transcript of this campaign is full.", next_step="Begin another campaign."
    )


@dataclass(slots=True)
class MemoryJournal:
    """A journal that ends with the process, for trying a model without a hub."""

    spent: Spent = Spent()
    head: bytes = transcript.BEGINNING
    pieces: list[tuple[bytes, bytes]] = field(default_factory=list)

    def append(self, kind: str, content: Mapping[str, Any], spent: Spent) -> None:
        """Keep a piece."""
        written = piece(kind, content)
        if sum(len(each) for each, _ in self.pieces) + len(written) > transcript.MOST_BYTES:
            raise full()
        self.head = transcript.link(self.head, len(self.pieces) + 1, written)
        self.pieces.append((written, self.head))
        self.spent = spent

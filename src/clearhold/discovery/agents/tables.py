"""What agents used up, and their transcripts piece by piece."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Whole, Words, metadata

agent_run: Final = Table(
    "agent_run",
    metadata,
    Column("campaign", Words, ForeignKey("campaign.id"), primary_key=True),
    Column("turns", Whole, nullable=False),
    Column("prompt_tokens", Whole, nullable=False),
    Column("completion_tokens", Whole, nullable=False),
    Column("proofs", Whole, nullable=False),
    Column("calls", Whole, nullable=False),
    Column("pieces", Whole, nullable=False),
    Column("bytes", Whole, nullable=False),
    Column("head", Binary, nullable=False),
    **STRICT,
)
agent_piece: Final = Table(
    "agent_piece",
    metadata,
    Column("campaign", Words, ForeignKey("agent_run.campaign"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("sealed_content", Binary, nullable=False),
    Column("digest", Binary, nullable=False),
    **STRICT,
)

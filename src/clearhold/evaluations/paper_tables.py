"""What the sides of an engagement wrote to each other: plans, reports, replies, requests, decisions."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

engagement_paper: Final = Table(
    "engagement_paper",
    metadata,
    Column("id", Words, primary_key=True),
    Column("engagement", Words, ForeignKey("engagement.id"), nullable=False),
    Column("number", Whole, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("kind", Words, nullable=False),
    Column("about", Words, nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("digest", Binary, nullable=False),
    Column("sealed_content", Binary, nullable=False),
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("engagement", "number"),
    **STRICT,
)

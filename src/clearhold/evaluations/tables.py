"""Agreements about testing models, engagements under them, what happened in those, and what both signed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

model_agreement: Final = Table(
    "model_agreement",
    metadata,
    Column("id", Words, primary_key=True),
    Column("developer", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("evaluator", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("digest", Binary, nullable=False),
    Column("state", Words, nullable=False),
    Column("offered_by", Words, nullable=False),
    Column("developer_suspends", Flag, nullable=False),
    Column("evaluator_suspends", Flag, nullable=False),
    Column("sealed_developer_envelope", Binary),
    Column("sealed_evaluator_envelope", Binary),
    Column("not_before", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("offered_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("developer", "evaluator", "digest"),
    **STRICT,
)
engagement: Final = Table(
    "engagement",
    metadata,
    Column("id", Words, primary_key=True),
    Column("agreement", Words, ForeignKey("model_agreement.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("sealed_body", Binary, nullable=False),
    Column("state", Words, nullable=False),
    Column("length_s", Whole, nullable=False),
    Column("release_at", Instant),
    Column("credits_outages", Flag, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("idempotency_key", Words, nullable=False),
    UniqueConstraint("agreement", "idempotency_key"),
    **STRICT,
)
engagement_event: Final = Table(
    "engagement_event",
    metadata,
    Column("engagement", Words, ForeignKey("engagement.id"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("act", Words, nullable=False),
    Column("side", Words, nullable=False),
    Column("at", Instant, nullable=False),
    Column("until", Instant),
    Column("length_s", Whole),
    Column("stops_clock", Flag),
    Column("sealed_detail", Binary),
    **STRICT,
)
engagement_change: Final = Table(
    "engagement_change",
    metadata,
    Column("id", Words, primary_key=True),
    Column("engagement", Words, ForeignKey("engagement.id"), nullable=False),
    Column("digest", Binary, nullable=False),
    Column("sealed_developer_envelope", Binary),
    Column("sealed_evaluator_envelope", Binary),
    Column("made_at", Instant, nullable=False),
    Column("signed_at", Instant),
    UniqueConstraint("engagement", "digest"),
    Index("ix_engagement_change_engagement_made_at", "engagement", "made_at"),
    **STRICT,
)

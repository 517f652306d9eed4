"""What stands between evaluators and a developer's endpoint, and what is kept of each call."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

model_gateway: Final = Table(
    "model_gateway",
    metadata,
    Column("engagement", Words, ForeignKey("engagement.id"), primary_key=True),
    Column("switched_off", Flag, nullable=False),
    Column("calls", Whole, nullable=False),
    Column("head", Binary, nullable=False),
    Column("anchored", Whole, nullable=False),
    Column("suspected_at", Instant),
    Column("failing_since", Instant),
    Column("outage", Whole),
    **STRICT,
)
model_endpoint: Final = Table(
    "model_endpoint",
    metadata,
    Column("id", Words, primary_key=True),
    Column("engagement", Words, ForeignKey("engagement.id"), nullable=False, index=True),
    Column("sealed_body", Binary, nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    **STRICT,
)
model_grant: Final = Table(
    "model_grant",
    metadata,
    Column("id", Words, primary_key=True),
    Column("engagement", Words, ForeignKey("engagement.id"), nullable=False, index=True),
    Column("sealed_body", Binary, nullable=False),
    Column("secret_hash", Binary),
    Column("tokens", Whole, nullable=False),
    Column("spent", Whole, nullable=False),
    Column("held", Whole, nullable=False),
    Column("begins_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    **STRICT,
)
model_open_call: Final = Table(
    "model_open_call",
    metadata,
    Column("id", Words, primary_key=True),
    Column("engagement", Words, ForeignKey("engagement.id"), nullable=False, index=True),
    Column("granted", Words, ForeignKey("model_grant.id"), nullable=False),
    Column("variant", Whole, nullable=False),
    Column("request_sha256", Binary, nullable=False),
    Column("held", Whole, nullable=False),
    Column("begun_at", Instant, nullable=False, index=True),
    **STRICT,
)
model_call: Final = Table(
    "model_call",
    metadata,
    Column("engagement", Words, ForeignKey("engagement.id"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("previous", Binary, nullable=False),
    Column("caller", Words, nullable=False),
    Column("variant", Whole, nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("status", Whole, nullable=False),
    Column("request_sha256", Binary, nullable=False),
    Column("answer_sha256", Binary, nullable=False),
    Column("prompt_tokens", Whole, nullable=False),
    Column("answer_tokens", Whole, nullable=False),
    **STRICT,
)
model_canary: Final = Table(
    "model_canary",
    metadata,
    Column("engagement", Words, ForeignKey("engagement.id"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("round", Words, nullable=False),
    Column("endpoint", Words, ForeignKey("model_endpoint.id"), nullable=False),
    Column("outcome", Words, nullable=False),
    Column("sealed_body", Binary, nullable=False),
    Column("at", Instant, nullable=False),
    **STRICT,
)
model_notice: Final = Table(
    "model_notice",
    metadata,
    Column("engagement", Words, ForeignKey("engagement.id"), primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("due_at", Instant, primary_key=True),
    Column("given_at", Instant, nullable=False),
    Index("ix_model_notice_given_at", "given_at"),
    **STRICT,
)

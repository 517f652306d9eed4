"""Campaigns: a fuzzer at work on one target, under one lease."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

campaign: Final = Table(
    "campaign",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("lease", Words, ForeignKey("scan_lease.id"), nullable=False),
    Column("fence", Whole, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("sealed_plan", Binary, nullable=False),
    Column("state", Words, nullable=False),
    Column("seed", Whole, nullable=False),
    Column("budget_s", Whole, nullable=False),
    Column("executions", Whole, nullable=False),
    Column("edges", Whole, nullable=False),
    Column("crash", Words, ForeignKey("artifact.id")),
    Column("sealed_note", Binary),
    Column("idempotency_key", Words, nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("party", "idempotency_key"),
    **STRICT,
)

"""Campaigns, each an engine at work on one target under one lease, and what they keep."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, text

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
    Column("engine", Words, nullable=False, server_default=text("'libfuzzer'")),
    Column("ending", Words, nullable=False, server_default=text("''")),
    Column("spent_s", Whole, nullable=False, server_default=text("0")),
    Column("target", Binary, index=True),
    Column("begun_at", Instant),
    Column("stop_asked_at", Instant),
    UniqueConstraint("party", "idempotency_key"),
    Index("ix_campaign_party_queued_at", "party", "queued_at"),
    **STRICT,
)
campaign_crash: Final = Table(
    "campaign_crash",
    metadata,
    Column("campaign", Words, ForeignKey("campaign.id"), primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("artifact", Words, ForeignKey("artifact.id"), nullable=False),
    Column("sealed_detail", Binary, nullable=False),
    **STRICT,
)
campaign_corpus: Final = Table(
    "campaign_corpus",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("target", Binary, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("sealed_inputs", Binary, nullable=False),
    Column("kept_at", Instant, nullable=False),
    **STRICT,
)
campaign_watch: Final = Table(
    "campaign_watch",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("campaign", Words, ForeignKey("campaign.id"), nullable=False, index=True),
    Column("lease", Words, ForeignKey("scan_lease.id"), nullable=False),
    Column("fence", Whole, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("budget_s", Whole, nullable=False),
    Column("left_s", Whole, nullable=False),
    Column("looks", Whole, nullable=False),
    Column("sealed_state", Binary, nullable=False),
    Column("last_campaign", Words, ForeignKey("campaign.id")),
    Column("ending", Words, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("looked_at", Instant),
    Column("ended_at", Instant),
    **STRICT,
)

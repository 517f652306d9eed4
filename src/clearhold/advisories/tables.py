"""Advisories, what is published of them, and the bundles that carry them to agents."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

advisory: Final = Table(
    "advisory",
    metadata,
    Column("id", Words, primary_key=True),
    Column("public_id", Words, nullable=False, unique=True),
    Column("case_id", Words, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("request_key", Words, nullable=False),
    Column("request_digest", Binary, nullable=False),
    Column("state", Words, nullable=False),
    Column("body", Binary, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("publish_at", Instant),
    Column("published_at", Instant),
    Column("title", Words),
    Column("patch_needed", Flag, nullable=False),
    UniqueConstraint("party", "request_key"),
    Index("ix_advisory_state_publish_at", "state", "publish_at"),
    **STRICT,
)

# Filled once an advisory's instant has come, so nothing in these two is under embargo.
advisory_target: Final = Table(
    "advisory_target",
    metadata,
    Column("advisory", Words, ForeignKey("advisory.id"), primary_key=True),
    Column("path", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("content", Binary, nullable=False),
    **STRICT,
)

advisory_bundle: Final = Table(
    "advisory_bundle",
    metadata,
    Column("number", Whole, primary_key=True),
    Column("advisory", Words, ForeignKey("advisory.id"), nullable=False, unique=True),
    Column("content", Binary, nullable=False),
    **STRICT,
)

"""Validations: which finding was examined, how far it got, and its sealed evidence."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

validation: Final = Table(
    "validation",
    metadata,
    Column("id", Words, primary_key=True),
    Column("finding", Words, ForeignKey("finding.id"), nullable=False, unique=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("state", Words, nullable=False),
    Column("verdict", Words),
    Column("level", Whole),
    Column("sealed_summary", Binary),
    Column("evidence", Words, ForeignKey("artifact.id")),
    Column("logs", Words, ForeignKey("artifact.id")),
    Column("affected", Words, ForeignKey("artifact.id")),
    Column("sealed_affected", Binary),
    Column("queued_at", Instant, nullable=False),
    Column("decided_at", Instant),
    **STRICT,
)

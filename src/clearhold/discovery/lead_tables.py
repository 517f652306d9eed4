"""Leads: places in source that an engine or an agent of a party points at."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Words, metadata

lead: Final = Table(
    "lead",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("package", Binary, nullable=False),
    Column("mark", Binary, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("engine", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("sealed_body", Binary, nullable=False),
    Column("sealed_reason", Binary),
    Column("finding", Words, ForeignKey("finding.id")),
    Column("first_campaign", Words, ForeignKey("campaign.id"), nullable=False),
    Column("last_campaign", Words, ForeignKey("campaign.id"), nullable=False),
    Column("gone_in", Words, ForeignKey("campaign.id")),
    Column("met_at", Instant, nullable=False),
    Column("decided_at", Instant),
    UniqueConstraint("party", "package", "mark"),
    **STRICT,
)

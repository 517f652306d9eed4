"""Principals, their tokens, and who was read in to which compartment."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Document, Instant, Whole, Words, metadata

principal: Final = Table(
    "principal",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    **STRICT,
)

token: Final = Table(
    "token",
    metadata,
    Column("id", Words, primary_key=True),
    Column("principal", Words, ForeignKey("principal.id"), nullable=False),
    Column("secret_hash", Binary, nullable=False),
    Column("permissions", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    **STRICT,
)

compartment_grant: Final = Table(
    "compartment_grant",
    metadata,
    Column("compartment", Words, ForeignKey("compartment.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), primary_key=True, index=True),
    Column("tier", Whole, nullable=False),
    Column("reason", Words, nullable=False),
    Column("granted_by", Words, nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    **STRICT,
)

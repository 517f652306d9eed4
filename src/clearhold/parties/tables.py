"""Parties and the public keys they sign with."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Instant, Words, metadata

party: Final = Table(
    "party",
    metadata,
    Column("id", Words, primary_key=True),
    Column("handle", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("sector", Words),
    Column("registered_at", Instant, nullable=False),
    **STRICT,
)

party_key: Final = Table(
    "party_key",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("public_key", Binary, nullable=False),
    Column("added_at", Instant, nullable=False),
    **STRICT,
)

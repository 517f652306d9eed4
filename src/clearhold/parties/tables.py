"""Parties, the public keys they sign with, and the age recipients that seal to them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Words, metadata

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

party_recipient: Final = Table(
    "party_recipient",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("fingerprint", Words, primary_key=True),
    Column("recipient", Words, nullable=False),
    Column("findable", Flag, nullable=False),
    Column("added_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    **STRICT,
)

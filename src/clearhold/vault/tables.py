"""Compartments and their wrapped keys; sealed artefacts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

compartment: Final = Table(
    "compartment",
    metadata,
    Column("id", Words, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("kek", Words, nullable=False),
    Column("wrapped_key", Binary),
    Column("destroyed_at", Instant),
    **STRICT,
)

artifact: Final = Table(
    "artifact",
    metadata,
    Column("id", Words, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("media_type", Words, nullable=False),
    Column("size", Whole, nullable=False),
    Column("stored_as", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    **STRICT,
)

"""Compartments and their wrapped keys; sealed artefacts; changes of keys; counted releases."""

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
    Column("removed_at", Instant),
    **STRICT,
)

# `running` is 1 until the change has ended and then null, so that one runs at a time.
key_change: Final = Table(
    "key_change",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("kek", Words, nullable=False),
    Column("begun_by", Words, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("running", Whole, unique=True),
    **STRICT,
)

release_window: Final = Table(
    "release_window",
    metadata,
    Column("principal", Words, primary_key=True),
    Column("minute", Whole, primary_key=True),
    Column("released", Whole, nullable=False),
    Column("refused", Whole, nullable=False),
    **STRICT,
)

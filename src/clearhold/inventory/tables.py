"""Inventories, their revisions, the keyed index they are matched by, and who lets itself be counted."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

inventory: Final = Table(
    "inventory",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("matching_compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("name_key", Binary, nullable=False),
    Column("newest", Whole, nullable=False),
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("party", "name_key"),
    **STRICT,
)

inventory_revision: Final = Table(
    "inventory_revision",
    metadata,
    Column("inventory", Words, ForeignKey("inventory.id"), primary_key=True),
    Column("number", Whole, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("request_key", Words, nullable=False),
    Column("request_digest", Binary, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("summary", Binary, nullable=False),
    Column("document", Words, ForeignKey("artifact.id"), nullable=False),
    Column("holding", Words, ForeignKey("artifact.id"), nullable=False),
    UniqueConstraint("party", "request_key"),
    **STRICT,
)

inventory_package: Final = Table(
    "inventory_package",
    metadata,
    Column("package_key", Binary, primary_key=True),
    Column("inventory", Words, ForeignKey("inventory.id"), primary_key=True),
    Index("ix_inventory_package_inventory", "inventory"),
    **STRICT,
)

inventory_sharing: Final = Table(
    "inventory_sharing",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("since", Instant, nullable=False),
    **STRICT,
)

"""The ledger's tables: leaves and their places in the tree only grow; the tree's edge moves on."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Document, Instant, Whole, Words, metadata

ledger_leaf: Final = Table(
    "ledger_leaf",
    metadata,
    Column("seq", Whole, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("compartment", Words),
    Column("detail", Document, nullable=False),
    Column("previous", Binary),
    Column("salt", Binary, nullable=False),
    Column("commitment", Binary, nullable=False),
    Index("ix_ledger_leaf_compartment_seq", "compartment", "seq"),
    **STRICT,
)

# Leaves that have no place in the tree yet. A transaction of PostgreSQL may commit after one with
# higher numbers, so a number remembered by the sequencer could not say where to go on.
ledger_waiting: Final = Table(
    "ledger_waiting",
    metadata,
    Column("leaf", Whole, primary_key=True, autoincrement=False),
    **STRICT,
)

# Places without a row hold padding. No foreign key: checking it would cost the sequencer more than
# all the rest, and verification names a place whose leaf is gone.
ledger_place: Final = Table(
    "ledger_place",
    metadata,
    Column("place", Whole, primary_key=True, autoincrement=False),
    Column("leaf", Whole, nullable=False),
    UniqueConstraint("leaf"),
    **STRICT,
)

ledger_tree: Final = Table(
    "ledger_tree",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("size", Whole, nullable=False),
    Column("frontier", Binary, nullable=False),
    Column("published_size", Whole, nullable=False),
    Column("published_instant", Whole, nullable=False),
    Column("published_edge", Binary, nullable=False),
    Column("note", Binary, nullable=False),
    **STRICT,
)

ledger_lodgement: Final = Table(
    "ledger_lodgement",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("commitment", Binary, nullable=False),
    Column("lodged_at", Instant, nullable=False),
    Column("leaf", Whole, nullable=False),
    UniqueConstraint("party", "commitment"),
    UniqueConstraint("leaf"),
    **STRICT,
)

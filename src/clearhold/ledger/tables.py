"""The ledger's tables: leaves that only grow, and the head that orders their writers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Table

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
    Column("previous", Binary, nullable=False),
    Column("hash", Binary, nullable=False),
    **STRICT,
)

ledger_head: Final = Table(
    "ledger_head",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("seq", Whole, nullable=False),
    Column("hash", Binary, nullable=False),
    **STRICT,
)

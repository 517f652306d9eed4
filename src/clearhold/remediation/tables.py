"""Advisories that stand for matching, operators' actions, and the receipts for them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

remediation_matter: Final = Table(
    "remediation_matter",
    metadata,
    Column("advisory", Words, ForeignKey("advisory.id"), primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("body", Binary, nullable=False),
    Column("opened_at", Instant, nullable=False),
    **STRICT,
)

remediation_action: Final = Table(
    "remediation_action",
    metadata,
    Column("id", Words, primary_key=True),
    Column("advisory", Words, ForeignKey("advisory.id"), nullable=False),
    Column("inventory", Words, ForeignKey("inventory.id"), nullable=False, index=True),
    Column("revision", Whole, nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("state", Words, nullable=False),
    Column("early_notice", Flag, nullable=False),
    Column("matched_at", Instant, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("body", Binary, nullable=False),
    UniqueConstraint("advisory", "inventory"),
    **STRICT,
)

remediation_receipt: Final = Table(
    "remediation_receipt",
    metadata,
    Column("id", Words, primary_key=True),
    Column("action", Words, ForeignKey("remediation_action.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("signed_by", Words, ForeignKey("party_key.id"), nullable=False),
    Column("counter", Whole, nullable=False),
    Column("state", Words, nullable=False),
    Column("digest", Binary, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("envelope", Binary, nullable=False),
    UniqueConstraint("party", "digest"),
    UniqueConstraint("signed_by", "counter"),
    **STRICT,
)

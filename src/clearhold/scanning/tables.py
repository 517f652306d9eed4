"""Lanes, leases and coverage.

A lane is one package, under a keyed hash of its name; its row is locked by whoever claims, and its
sealed register holds the scopes leased there, so that a claim opens one thing however many leases
there are and no holder's record shows that somebody asked.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Whole, Words, metadata

scan_lane: Final = Table(
    "scan_lane",
    metadata,
    Column("package", Binary, primary_key=True),
    Column("fence", Whole, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id")),
    Column("register", Binary),
    **STRICT,
)

scan_lease: Final = Table(
    "scan_lease",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("lane", Binary, ForeignKey("scan_lane.package"), nullable=False),
    Column("mode", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("fence", Whole, nullable=False),
    Column("scope", Binary, nullable=False),
    Column("budget_s", Whole, nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("window_ends_at", Instant, nullable=False),
    Column("idempotency_key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("party", "idempotency_key"),
    UniqueConstraint("lane", "fence"),
    Index("ix_scan_lease_lane_state", "lane", "state"),
    Index("ix_scan_lease_compartment", "compartment"),
    **STRICT,
)

scan_coverage: Final = Table(
    "scan_coverage",
    metadata,
    Column("id", Words, primary_key=True),
    Column("lease", Words, ForeignKey("scan_lease.id"), nullable=False, index=True),
    Column("recorded_at", Instant, nullable=False),
    Column("body", Binary, nullable=False),
    **STRICT,
)

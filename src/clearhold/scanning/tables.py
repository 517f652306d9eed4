"""Lanes, leases, what was asked, who waits, who was introduced, and coverage.

A lane is what is decided one claim after the other: one package, or all live systems, under a keyed
hash of its name; its row is locked by whoever claims. A lease's scope is sealed twice: for its
holder under the lease's own compartment, and as long as it stands under the lane's, which services
alone open. So a claim writes what is new and nothing else, however many leases there are, and no
holder's record shows that somebody asked.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, text

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

scan_lane: Final = Table(
    "scan_lane",
    metadata,
    Column("package", Binary, primary_key=True),
    Column("fence", Whole, nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id")),
    **STRICT,
)

_STANDS: Final = text("in_lane IS NOT NULL")

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
    Column("in_lane", Binary),
    Column("end_reason", Words),
    Column("introduce", Binary),
    UniqueConstraint("party", "idempotency_key"),
    UniqueConstraint("lane", "fence"),
    Index(
        "ix_scan_lease_lane_expires_at",
        "lane",
        "expires_at",
        sqlite_where=_STANDS,
        postgresql_where=_STANDS,
    ),
    Index(
        "ix_scan_lease_party_lane",
        "party",
        "lane",
        sqlite_where=_STANDS,
        postgresql_where=_STANDS,
    ),
    Index("ix_scan_lease_compartment", "compartment"),
    **STRICT,
)

scan_attempt: Final = Table(
    "scan_attempt",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("lane", Binary, ForeignKey("scan_lane.package"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("kind", Words, nullable=False),
    Column("told", Flag, nullable=False),
    Column("advised", Flag, nullable=False),
    Column("scope", Binary),
    Column("introduce", Binary),
    # Of a refused claim: by what it is known when it is sent again, and the sealed answer to it.
    Column("idempotency_key", Words),
    Column("request", Binary),
    Column("answer", Binary),
    Index("ix_scan_attempt_party_key", "party", "idempotency_key"),
    Index("ix_scan_attempt_party_asked_at", "party", "asked_at"),
    Index("ix_scan_attempt_lane_asked_at", "lane", "asked_at"),
    **STRICT,
)

scan_waiting: Final = Table(
    "scan_waiting",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("lane", Binary, ForeignKey("scan_lane.package"), nullable=False),
    Column("ticket", Whole, nullable=False),
    Column("mode", Words, nullable=False),
    Column("window_s", Whole, nullable=False),
    Column("budget_s", Whole, nullable=False),
    Column("state", Words, nullable=False),
    Column("joined_at", Instant, nullable=False),
    Column("lease", Words, ForeignKey("scan_lease.id")),
    Column("scope", Binary, nullable=False),
    Column("in_lane", Binary),
    Column("idempotency_key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("party", "idempotency_key"),
    UniqueConstraint("lane", "ticket"),
    Index("ix_scan_waiting_compartment", "compartment"),
    **STRICT,
)

scan_introduction: Final = Table(
    "scan_introduction",
    metadata,
    Column("id", Words, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("lease", Words, ForeignKey("scan_lease.id"), nullable=False),
    Column("attempt", Words, ForeignKey("scan_attempt.id"), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("body", Binary, nullable=False),
    UniqueConstraint("lease", "attempt"),
    Index("ix_scan_introduction_compartment", "compartment"),
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

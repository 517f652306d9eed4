"""Submissions, findings, the keyed index they are matched by, and assertions on pairs of them.

Plain columns hold ids, states and times. What a finding says stands sealed in `body`, and the
index holds keyed hashes alone.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Document, Instant, Whole, Words, metadata

submission: Final = Table(
    "submission",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("format", Words, nullable=False),
    Column("raw", Words, ForeignKey("artifact.id"), nullable=False),
    Column("lease", Words),
    Column("idempotency_key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    Column("receipt", Binary, nullable=False),
    UniqueConstraint("party", "idempotency_key"),
    **STRICT,
)

finding: Final = Table(
    "finding",
    metadata,
    Column("id", Words, primary_key=True),
    Column("submission", Words, ForeignKey("submission.id"), nullable=False, index=True),
    Column("position", Whole, nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, unique=True),
    Column("received_at", Instant, nullable=False),
    Column("state", Words, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("level", Whole, nullable=False),
    Column("proof", Words, ForeignKey("artifact.id")),
    Column("case_id", Words),
    Column("body", Binary, nullable=False),
    **STRICT,
)

match_key: Final = Table(
    "match_key",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("value", Binary, primary_key=True),
    Column("finding", Words, ForeignKey("finding.id"), primary_key=True),
    Index("ix_match_key_finding", "finding"),
    **STRICT,
)

match_sketch: Final = Table(
    "match_sketch",
    metadata,
    Column("number", Whole, primary_key=True, autoincrement=True),
    Column("finding", Words, ForeignKey("finding.id"), nullable=False, unique=True),
    Column("package", Binary, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("sketch", Binary, nullable=False),
    Column("tokens", Binary, nullable=False),
    Index("ix_match_sketch_package_number", "package", "number"),
    **STRICT,
)

# Clustered by its key, and without a reference that would need an index of its own: there are
# twenty rows to a finding. They go with their sketch, which holds the same tokens.
match_token: Final = Table(
    "match_token",
    metadata,
    Column("token", Binary, primary_key=True),
    Column("number", Whole, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    **STRICT,
)

match_review: Final = Table(
    "match_review",
    metadata,
    Column("a", Words, ForeignKey("finding.id"), primary_key=True),
    Column("b", Words, ForeignKey("finding.id"), primary_key=True, index=True),
    Column("strength", Whole, nullable=False),
    Column("layers", Document, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("settled_at", Instant),
    CheckConstraint("a < b", name="match_review_ordered"),
    **STRICT,
)

match_assertion: Final = Table(
    "match_assertion",
    metadata,
    Column("id", Words, primary_key=True),
    Column("a", Words, ForeignKey("finding.id"), nullable=False, index=True),
    Column("b", Words, ForeignKey("finding.id"), nullable=False, index=True),
    Column("verdict", Words, nullable=False),
    Column("method", Words, nullable=False),
    Column("evidence", Document, nullable=False),
    Column("asserted_by", Words, nullable=False),
    Column("asserted_at", Instant, nullable=False),
    Column("withdrawn_by", Words),
    Column("withdrawn_at", Instant),
    CheckConstraint("a < b", name="match_assertion_ordered"),
    **STRICT,
)

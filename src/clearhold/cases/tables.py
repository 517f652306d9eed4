"""Cases, who takes part, what they agreed and said; titles, terms and messages are sealed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

disclosure_case: Final = Table(
    "disclosure_case",
    metadata,
    Column("id", Words, primary_key=True),
    Column("vulnerability", Words, ForeignKey("finding.id"), nullable=False, unique=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("opened_by", Words, ForeignKey("party.id"), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("sealed_title", Binary, nullable=False),
    Column("embargo_state", Words, nullable=False),
    Column("fix_ready_at", Instant),
    Column("public_at", Instant),
    Column("exploit_at", Instant),
    Column("attacks_at", Instant),
    Column("expunged_at", Instant),
    Column("key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("opened_by", "key"),
    **STRICT,
)

case_finding: Final = Table(
    "case_finding",
    metadata,
    Column("case", Words, ForeignKey("disclosure_case.id"), primary_key=True),
    Column("finding", Words, ForeignKey("finding.id"), primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("linked_at", Instant, nullable=False),
    **STRICT,
)

case_participant: Final = Table(
    "case_participant",
    metadata,
    Column("case", Words, ForeignKey("disclosure_case.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("role", Words, nullable=False),
    Column("tier", Whole, nullable=False),
    Column("report_state", Words, nullable=False),
    Column("aware_at", Instant),
    Column("fix_ready_at", Instant),
    Column("deployed_at", Instant),
    Column("joined_at", Instant, nullable=False),
    Index("ix_case_participant_party_case", "party", "case"),
    **STRICT,
)

embargo: Final = Table(
    "embargo",
    metadata,
    Column("id", Words, primary_key=True),
    Column("case", Words, ForeignKey("disclosure_case.id"), nullable=False, index=True),
    Column("proposed_by", Words, ForeignKey("party.id"), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("operators_early_notice", Flag, nullable=False),
    Column("sealed_terms", Binary, nullable=False),
    Column("state", Words, nullable=False),
    Column("decided_at", Instant),
    Column("ended_at", Instant),
    Column("caution", Words),
    **STRICT,
)

embargo_consent: Final = Table(
    "embargo_consent",
    metadata,
    Column("embargo", Words, ForeignKey("embargo.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("consent", Words, nullable=False),
    Column("changed_at", Instant, nullable=False),
    **STRICT,
)

case_message: Final = Table(
    "case_message",
    metadata,
    Column("id", Words, primary_key=True),
    Column("case", Words, ForeignKey("disclosure_case.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("written_at", Instant, nullable=False),
    Column("sealed_body", Binary, nullable=False),
    Column("key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("case", "party", "key"),
    **STRICT,
)

sealed_case: Final = Table(
    "sealed_case",
    metadata,
    Column("id", Words, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("lodged_at", Instant, nullable=False),
    Column("key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("party", "key"),
    **STRICT,
)

sealed_letter: Final = Table(
    "sealed_letter",
    metadata,
    Column("id", Words, primary_key=True),
    Column("case", Words, ForeignKey("sealed_case.id"), nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("written_at", Instant, nullable=False),
    Column("content", Words, ForeignKey("artifact.id"), nullable=False),
    Column("size", Whole, nullable=False),
    Column("key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("case", "party", "key"),
    **STRICT,
)

sealed_reader: Final = Table(
    "sealed_reader",
    metadata,
    Column("letter", Words, ForeignKey("sealed_letter.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    **STRICT,
)

# Who is to be read in once the vendor's own wishes allow it; oldest first. `due_at` is when that is,
# where it is known.
case_waiting: Final = Table(
    "case_waiting",
    metadata,
    Column("case", Words, ForeignKey("disclosure_case.id"), primary_key=True),
    Column("party", Words, ForeignKey("party.id"), primary_key=True, index=True),
    Column("member", Words, ForeignKey("principal.id")),
    Column("tier", Whole, nullable=False),
    Column("reason", Words, nullable=False),
    Column("approved_by", Words),
    Column("expires_at", Instant),
    Column("asked_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("held_because", Words, nullable=False),
    Column("due_at", Instant),
    **STRICT,
)

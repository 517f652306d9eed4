"""Candidate fixes: whose they are and where they stand; what they say is sealed or an artefact."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Instant, Words, metadata

patch: Final = Table(
    "patch",
    metadata,
    Column("id", Words, primary_key=True),
    Column("case", Words, ForeignKey("disclosure_case.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("origin", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("verdict", Words),
    Column("diff", Words, ForeignKey("artifact.id"), nullable=False),
    Column("sealed_note", Binary, nullable=False),
    Column("sealed_verdict", Binary),
    Column("sealed_backports", Binary),
    Column("wheel", Words, ForeignKey("artifact.id")),
    Column("delivery", Words, ForeignKey("artifact.id")),
    Column("submitted_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("adopted_by", Words, ForeignKey("party.id")),
    Column("adopted_at", Instant),
    Column("key", Words, nullable=False),
    Column("request", Binary, nullable=False),
    UniqueConstraint("party", "key"),
    **STRICT,
)

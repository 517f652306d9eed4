"""People, principals and their tokens; who was read in to which compartment; approvals."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Document, Instant, Whole, Words, metadata

person: Final = Table(
    "person",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    **STRICT,
)

principal: Final = Table(
    "principal",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("person", Words, ForeignKey("person.id"), index=True),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("roles", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("party", "person"),
    **STRICT,
)

token: Final = Table(
    "token",
    metadata,
    Column("id", Words, primary_key=True),
    Column("principal", Words, ForeignKey("principal.id"), nullable=False),
    Column("secret_hash", Binary, nullable=False),
    Column("permissions", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("first_used_at", Instant),
    **STRICT,
)

compartment_grant: Final = Table(
    "compartment_grant",
    metadata,
    Column("compartment", Words, ForeignKey("compartment.id"), primary_key=True),
    # A party as a whole, or one principal of it: ids of both kinds never meet.
    Column("grantee", Words, primary_key=True, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("tier", Whole, nullable=False),
    Column("reason", Words, nullable=False),
    Column("granted_by", Words, nullable=False),
    Column("granted_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    **STRICT,
)

recusal: Final = Table(
    "recusal",
    metadata,
    Column("compartment", Words, ForeignKey("compartment.id"), primary_key=True),
    Column("person", Words, ForeignKey("person.id"), primary_key=True, index=True),
    Column("reason", Words, nullable=False),
    Column("made_by", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    **STRICT,
)

approval: Final = Table(
    "approval",
    metadata,
    Column("id", Words, primary_key=True),
    Column("act", Words, nullable=False),
    Column("subject", Words, nullable=False, index=True),
    Column("particulars", Document, nullable=False),
    Column("reason", Words, nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("proposed_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("proposer", Words, ForeignKey("person.id"), nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("approved_by", Words, ForeignKey("principal.id")),
    Column("approved_at", Instant),
    Column("refused_at", Instant),
    Column("used_at", Instant),
    **STRICT,
)

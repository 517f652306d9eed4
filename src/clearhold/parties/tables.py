"""Parties, their keys and age recipients, agreements, invitations; what they stand for and wish."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Document, Flag, Instant, Whole, Words, metadata

party: Final = Table(
    "party",
    metadata,
    Column("id", Words, primary_key=True),
    Column("handle", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("sector", Words),
    Column("registered_at", Instant, nullable=False),
    **STRICT,
)

party_key: Final = Table(
    "party_key",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("public_key", Binary, nullable=False),
    Column("added_at", Instant, nullable=False),
    **STRICT,
)

party_recipient: Final = Table(
    "party_recipient",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("fingerprint", Words, primary_key=True),
    Column("recipient", Words, nullable=False),
    Column("findable", Flag, nullable=False),
    Column("added_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    **STRICT,
)

agreement: Final = Table(
    "agreement",
    metadata,
    Column("name", Words, primary_key=True),
    Column("version", Whole, primary_key=True),
    Column("text", Words, nullable=False),
    Column("sha256", Words, nullable=False),
    Column("kinds", Document, nullable=False),
    Column("opens", Document, nullable=False),
    Column("reaccept_by", Instant),
    Column("published_by", Words, nullable=False),
    Column("published_at", Instant, nullable=False),
    **STRICT,
)

acceptance: Final = Table(
    "acceptance",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("agreement", Words, nullable=False),
    Column("version", Whole, nullable=False),
    Column("signed_at", Instant, nullable=False),
    Column("accepted_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("key", Words, ForeignKey("party_key.id"), nullable=False),
    Column("envelope", Binary, nullable=False),
    ForeignKeyConstraint(["agreement", "version"], ["agreement.name", "agreement.version"]),
    # What was signed counts once: a copied envelope does not bring back what was withdrawn.
    UniqueConstraint("party", "agreement", "version", "signed_at"),
    **STRICT,
)

adherence: Final = Table(
    "adherence",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("agreement", Words, primary_key=True),
    Column("version", Whole, nullable=False),
    Column("standing", Words, nullable=False),
    Column("bar", Words),
    Column("since", Instant, nullable=False),
    Column("ends_at", Instant),
    ForeignKeyConstraint(["agreement", "version"], ["agreement.name", "agreement.version"]),
    **STRICT,
)

invitation: Final = Table(
    "invitation",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("roles", Document, nullable=False),
    Column("secret_hash", Binary, nullable=False),
    Column("made_by", Words, ForeignKey("principal.id"), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("member", Words, ForeignKey("principal.id")),
    Column("revoked_at", Instant),
    **STRICT,
)

challenge: Final = Table(
    "challenge",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("subject", Words, primary_key=True),
    Column("nonce", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("tried_at", Instant),
    **STRICT,
)

# One party stands for a thing at a time; who proved it too while another held it is the challenger.
represented: Final = Table(
    "represented",
    metadata,
    Column("subject", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("method", Words, nullable=False),
    Column("since", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("challenger", Words, ForeignKey("party.id"), index=True),
    Column("challenged_at", Instant),
    **STRICT,
)

disclosure_route: Final = Table(
    "disclosure_route",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("routes", Document, nullable=False),
    Column("written_at", Instant, nullable=False),
    **STRICT,
)

# `basis` is what the party stands for that covers the subject: the wish counts as long as it does.
wish: Final = Table(
    "wish",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("subject", Words, primary_key=True, index=True),
    Column("basis", Words, nullable=False),
    Column("wishes", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    **STRICT,
)

"""People, principals, what they show and what agreements open; who was read in to what; approvals."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Document, Flag, Instant, Whole, Words, metadata

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
    Column("last_used_on", Words),
    **STRICT,
)

allowance: Final = Table(
    "allowance",
    metadata,
    Column("party", Words, ForeignKey("party.id"), primary_key=True),
    Column("source", Words, primary_key=True),
    Column("permissions", Document, nullable=False),
    Column("in_force", Flag, nullable=False),
    Column("ends_at", Instant),
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
    Column("approved_by", Words),
    Column("emergency", Flag, nullable=False, server_default="0"),
    **STRICT,
)

broken_glass: Final = Table(
    "broken_glass",
    metadata,
    Column("id", Words, primary_key=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("principal", Words, ForeignKey("principal.id"), nullable=False),
    Column("reason", Words, nullable=False),
    Column("approved_by", Words, nullable=False),
    Column("broken_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
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

passkey: Final = Table(
    "passkey",
    metadata,
    Column("id", Words, primary_key=True),
    Column("person", Words, ForeignKey("person.id"), nullable=False, index=True),
    Column("credential", Binary, nullable=False, unique=True),
    Column("public_key", Binary, nullable=False),
    Column("sign_count", Whole, nullable=False),
    Column("name", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    # Its counter went backwards: there is a copy, and it signs nobody in any more.
    Column("copied_at", Instant),
    **STRICT,
)

oidc_provider: Final = Table(
    "oidc_provider",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("name", Words, nullable=False),
    Column("issuer", Words, nullable=False),
    Column("client", Words, nullable=False),
    Column("secret_name", Words),
    Column("enforced", Flag, nullable=False),
    Column("made_by", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("removed_at", Instant),
    **STRICT,
)

oidc_identity: Final = Table(
    "oidc_identity",
    metadata,
    Column("id", Words, primary_key=True),
    Column("person", Words, ForeignKey("person.id"), nullable=False, index=True),
    Column("issuer", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    UniqueConstraint("issuer", "subject"),
    **STRICT,
)

browser_session: Final = Table(
    "browser_session",
    metadata,
    Column("id", Words, primary_key=True),
    Column("person", Words, ForeignKey("person.id"), nullable=False, index=True),
    # None until a person with several memberships has chosen one.
    Column("principal", Words, ForeignKey("principal.id"), index=True),
    # Who vouched for the person, None for a passkey.
    Column("provider", Words, ForeignKey("oidc_provider.id"), index=True),
    Column("secret_hash", Binary, nullable=False),
    Column("agent", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("ended_at", Instant),
    **STRICT,
)

enrolment: Final = Table(
    "enrolment",
    metadata,
    Column("id", Words, primary_key=True),
    Column("principal", Words, ForeignKey("principal.id"), nullable=False),
    Column("person", Words, ForeignKey("person.id"), nullable=False, index=True),
    Column("secret_hash", Binary, nullable=False),
    Column("made_by", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("opens_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
    **STRICT,
)

recovery: Final = Table(
    "recovery",
    metadata,
    Column("id", Words, primary_key=True),
    Column("enrolment", Words, ForeignKey("enrolment.id"), nullable=False, unique=True),
    Column("person", Words, ForeignKey("person.id"), nullable=False, index=True),
    Column("approval", Words, ForeignKey("approval.id"), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("vetoed_by", Words),
    Column("vetoed_at", Instant),
    **STRICT,
)

ceremony: Final = Table(
    "ceremony",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    Column("secret_hash", Binary, nullable=False),
    Column("session", Words, ForeignKey("browser_session.id")),
    Column("enrolment", Words, ForeignKey("enrolment.id")),
    Column("provider", Words, ForeignKey("oidc_provider.id")),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("used_at", Instant),
    **STRICT,
)

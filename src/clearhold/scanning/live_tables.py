"""Owners' authorisations, leases on live systems, their passports, and stops.

What they are about is sealed. `live_place` finds them: keyed hashes of places in the trees of names,
addresses and sites, as `live_scope` makes them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from clearhold.store.schema import STRICT, Binary, Flag, Instant, Whole, Words, metadata

live_authorisation: Final = Table(
    "live_authorisation",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("envelope", Binary, nullable=False),
    Column("digest", Binary, nullable=False),
    Column("signed_with", Words, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("lodged_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    UniqueConstraint("party", "digest"),
    **STRICT,
)

live_place: Final = Table(
    "live_place",
    metadata,
    Column("subject", Words, primary_key=True),
    Column("token", Binary, primary_key=True),
    Column("above", Flag, primary_key=True),
    Column("kind", Words, nullable=False),
    Index("ix_live_place_token_kind", "token", "kind"),
    **STRICT,
)

live_lease: Final = Table(
    "live_lease",
    metadata,
    Column("id", Words, primary_key=True),
    Column("authorisation", Words, ForeignKey("live_authorisation.id"), nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False),
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
    UniqueConstraint("fence"),
    Index("ix_live_lease_authorisation_state", "authorisation", "state"),
    Index("ix_live_lease_compartment", "compartment"),
    **STRICT,
)

# `capsule` is the passport encrypted under the code that its holder shows while scanning: neither a
# copy of the database nor the hub itself reads it without the code.
live_passport: Final = Table(
    "live_passport",
    metadata,
    Column("id", Words, primary_key=True),
    Column("lease", Words, ForeignKey("live_lease.id"), nullable=False, index=True),
    Column("day", Words, nullable=False),
    Column("idx", Whole, nullable=False),
    Column("code", Binary, nullable=False),
    Column("capsule", Binary, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("day", "idx"),
    UniqueConstraint("code"),
    **STRICT,
)

live_stop: Final = Table(
    "live_stop",
    metadata,
    Column("id", Words, primary_key=True),
    Column("party", Words, ForeignKey("party.id"), nullable=False, index=True),
    Column("compartment", Words, ForeignKey("compartment.id"), nullable=False, index=True),
    Column("body", Binary, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    **STRICT,
)

# `by` stopped it, on `owner`'s systems; `cause` is the stop or the withdrawn authorisation.
live_notice: Final = Table(
    "live_notice",
    metadata,
    Column("id", Words, primary_key=True),
    Column("cause", Words, nullable=False, index=True),
    Column("lease", Words, ForeignKey("live_lease.id"), nullable=False),
    Column("party", Words, ForeignKey("party.id"), nullable=False),
    Column("owner", Words, ForeignKey("party.id"), nullable=False),
    Column("by", Words, ForeignKey("party.id"), nullable=False),
    Column("pseudonym", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("acknowledged_at", Instant),
    Index("ix_live_notice_party_acknowledged_at", "party", "acknowledged_at"),
    **STRICT,
)

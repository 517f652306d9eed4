"""Consent to scans of live systems, leases and passports under it, and emergency stops."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0008"
down_revision = "0011"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_PARTY = "nullif(current_setting('clearhold.party', true), '')"
_MINE = "compartment = ANY (ARRAY(SELECT clearhold_readable(0)))"

# What a row shows to whom, as the predicates of `scanning.live_records` say.
POLICIES = {
    "live_authorisation": _MINE,
    "live_lease": _MINE,
    "live_stop": _MINE,
    "live_passport": "EXISTS (SELECT FROM live_lease l WHERE l.id = live_passport.lease)",
    "live_notice": f"{_PARTY} IN (party, owner, by)",
    "live_place": "false",
}


def upgrade() -> None:
    """Make the tables; on PostgreSQL put them behind the fence."""
    op.create_table(
        "live_place",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("above", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "token", "above", name=op.f("pk_live_place")),
        sqlite_strict=True,
    )
    op.create_index("ix_live_place_token_kind", "live_place", ["token", "kind"])
    op.create_table(
        "live_authorisation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signed_with", sa.Text(), nullable=False),
        sa.Column("not_before", WHOLE, nullable=False),
        sa.Column("until", WHOLE, nullable=False),
        sa.Column("lodged_at", WHOLE, nullable=False),
        sa.Column("withdrawn_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_live_authorisation_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_live_authorisation_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_authorisation")),
        sa.UniqueConstraint("party", "digest", name=op.f("uq_live_authorisation_party_digest")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_live_authorisation_compartment"), "live_authorisation", ["compartment"]
    )
    op.create_index(op.f("ix_live_authorisation_party"), "live_authorisation", ["party"])
    op.create_table(
        "live_stop",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("lifted_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_live_stop_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_live_stop_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_stop")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_live_stop_compartment"), "live_stop", ["compartment"])
    op.create_index(op.f("ix_live_stop_party"), "live_stop", ["party"])
    op.create_table(
        "live_lease",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("authorisation", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("budget_s", WHOLE, nullable=False),
        sa.Column("granted_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("window_ends_at", WHOLE, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["authorisation"], ["live_authorisation.id"], name=op.f("fk_live_lease_authorisation")
        ),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_live_lease_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_live_lease_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_lease")),
        sa.UniqueConstraint("fence", name=op.f("uq_live_lease_fence")),
        sa.UniqueConstraint(
            "party", "idempotency_key", name=op.f("uq_live_lease_party_idempotency_key")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_live_lease_authorisation_state", "live_lease", ["authorisation", "state"])
    op.create_index("ix_live_lease_compartment", "live_lease", ["compartment"])
    op.create_table(
        "live_notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("acknowledged_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["by"], ["party.id"], name=op.f("fk_live_notice_by")),
        sa.ForeignKeyConstraint(["lease"], ["live_lease.id"], name=op.f("fk_live_notice_lease")),
        sa.ForeignKeyConstraint(["owner"], ["party.id"], name=op.f("fk_live_notice_owner")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_live_notice_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_notice")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_live_notice_cause"), "live_notice", ["cause"])
    op.create_index(
        "ix_live_notice_party_acknowledged_at", "live_notice", ["party", "acknowledged_at"]
    )
    op.create_table(
        "live_passport",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("idx", WHOLE, nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("capsule", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("revoked_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["lease"], ["live_lease.id"], name=op.f("fk_live_passport_lease")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_passport")),
        sa.UniqueConstraint("code", name=op.f("uq_live_passport_code")),
        sa.UniqueConstraint("day", "idx", name=op.f("uq_live_passport_day_idx")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_live_passport_lease"), "live_passport", ["lease"])
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, readable in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # A transaction sees what it wrote itself, as in the policies of migration 6.
        seen = f"{readable} OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({seen}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """What owners signed would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

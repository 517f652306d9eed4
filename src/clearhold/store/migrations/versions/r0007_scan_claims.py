"""Leases sealed one by one under their lane; what was asked, queues, introductions.

Leases that stood before end here: what a lane held lay in one sealed register that no migration
can open. Their holders claim again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OWN = "party = nullif(current_setting('clearhold.party', true), '')"
_READ_IN = "compartment = ANY (ARRAY(SELECT clearhold_readable(0)))"
POLICIES = {"scan_attempt": _OWN, "scan_waiting": _READ_IN, "scan_introduction": _READ_IN}


def upgrade() -> None:
    """End the leases of before, then make the tables."""
    op.execute("UPDATE scan_lease SET state = 'expired' WHERE state IN ('granted', 'active')")
    op.drop_column("scan_lane", "register")
    # Plain additions, which need no copy of a table that others refer to.
    binary = "BLOB" if op.get_bind().dialect.name == "sqlite" else "BYTEA"
    op.execute(f"ALTER TABLE scan_lease ADD COLUMN in_lane {binary}")
    op.execute("ALTER TABLE scan_lease ADD COLUMN end_reason TEXT")
    op.execute(f"ALTER TABLE scan_lease ADD COLUMN introduce {binary}")
    op.drop_index("ix_scan_lease_lane_state", "scan_lease")
    stands = sa.text("in_lane IS NOT NULL")
    for name, columns in (
        ("ix_scan_lease_lane_expires_at", ["lane", "expires_at"]),
        ("ix_scan_lease_party_lane", ["party", "lane"]),
    ):
        op.create_index(name, "scan_lease", columns, sqlite_where=stands, postgresql_where=stands)
    _make_tables()
    if op.get_bind().dialect.name == "postgresql":
        own = " OR xmin = pg_current_xact_id_if_assigned()::xid"
        for table, readable in POLICIES.items():
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY request ON {table} TO {ROLE}"
                f" USING ({readable}{own}) WITH CHECK (true)"
            )
            op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def _references(table: str, columns: dict[str, str]) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))
        for column, target in columns.items()
    ]


def _make_tables() -> None:
    op.create_table(
        "scan_attempt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("lane", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("advised", sa.Integer(), nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=True),
        sa.Column("introduce", sa.LargeBinary(), nullable=True),
        *_references("scan_attempt", {"party": "party.id", "lane": "scan_lane.package"}),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_attempt")),
        sqlite_strict=True,
    )
    op.create_index("ix_scan_attempt_party_asked_at", "scan_attempt", ["party", "asked_at"])
    op.create_index("ix_scan_attempt_lane_asked_at", "scan_attempt", ["lane", "asked_at"])
    op.create_table(
        "scan_waiting",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("lane", sa.LargeBinary(), nullable=False),
        sa.Column("ticket", WHOLE, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("window_s", WHOLE, nullable=False),
        sa.Column("budget_s", WHOLE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("joined_at", WHOLE, nullable=False),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("in_lane", sa.LargeBinary(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        *_references(
            "scan_waiting",
            {
                "party": "party.id",
                "compartment": "compartment.id",
                "lane": "scan_lane.package",
                "lease": "scan_lease.id",
            },
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_waiting")),
        sa.UniqueConstraint(
            "party", "idempotency_key", name=op.f("uq_scan_waiting_party_idempotency_key")
        ),
        sa.UniqueConstraint("lane", "ticket", name=op.f("uq_scan_waiting_lane_ticket")),
        sqlite_strict=True,
    )
    op.create_index("ix_scan_waiting_compartment", "scan_waiting", ["compartment"])
    op.create_table(
        "scan_introduction",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        *_references(
            "scan_introduction",
            {
                "compartment": "compartment.id",
                "lease": "scan_lease.id",
                "attempt": "scan_attempt.id",
            },
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_introduction")),
        sa.UniqueConstraint("lease", "attempt", name=op.f("uq_scan_introduction_lease_attempt")),
        sqlite_strict=True,
    )
    op.create_index("ix_scan_introduction_compartment", "scan_introduction", ["compartment"])


def downgrade() -> None:
    """What a lane holds cannot be put back into one register without its keys."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

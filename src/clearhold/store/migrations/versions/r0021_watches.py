"""Watches: campaigns that are to be repeated on newer versions, under a lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PARTY = "nullif(current_setting('clearhold.party', true), '')"
_REFERS = {
    "party": "party",
    "campaign": "campaign",
    "lease": "scan_lease",
    "compartment": "compartment",
    "last_campaign": "campaign",
}


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "campaign_watch",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("budget_s", WHOLE, nullable=False),
        sa.Column("left_s", WHOLE, nullable=False),
        sa.Column("looks", WHOLE, nullable=False),
        sa.Column("sealed_state", sa.LargeBinary(), nullable=False),
        sa.Column("last_campaign", sa.Text(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("asked_at", WHOLE, nullable=False),
        sa.Column("looked_at", WHOLE, nullable=True),
        sa.Column("ended_at", WHOLE, nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_campaign_watch_{column}")
            )
            for column, table in _REFERS.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_watch")),
        sqlite_strict=True,
    )
    op.create_index("ix_campaign_watch_campaign", "campaign_watch", ["campaign"])
    op.create_index("ix_campaign_watch_compartment", "campaign_watch", ["compartment"])
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("ALTER TABLE campaign_watch ENABLE ROW LEVEL SECURITY")
    own = f"(party = {_PARTY}) OR xmin = pg_current_xact_id_if_assigned()::xid"
    op.execute(f"CREATE POLICY request ON campaign_watch TO {ROLE} USING ({own}) WITH CHECK (true)")
    op.execute(f"CREATE POLICY service ON campaign_watch TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Drop it; what was watched is no longer."""
    op.drop_table("campaign_watch")

"""Leads: places that engines point at, each once per party and package."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PARTY = "nullif(current_setting('clearhold.party', true), '')"
_REFERS = {
    "party": "party",
    "compartment": "compartment",
    "finding": "finding",
    "first_campaign": "campaign",
    "last_campaign": "campaign",
    "gone_in": "campaign",
}


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "lead",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("first_campaign", sa.Text(), nullable=False),
        sa.Column("last_campaign", sa.Text(), nullable=False),
        sa.Column("gone_in", sa.Text(), nullable=True),
        sa.Column("met_at", WHOLE, nullable=False),
        sa.Column("decided_at", WHOLE, nullable=True),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_lead_{column}"))
            for column, table in _REFERS.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead")),
        sa.UniqueConstraint("party", "package", "mark", name=op.f("uq_lead_party_package_mark")),
        sqlite_strict=True,
    )
    op.create_index("ix_lead_compartment", "lead", ["compartment"])
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("ALTER TABLE lead ENABLE ROW LEVEL SECURITY")
    own = f"(party = {_PARTY}) OR xmin = pg_current_xact_id_if_assigned()::xid"
    op.execute(f"CREATE POLICY request ON lead TO {ROLE} USING ({own}) WITH CHECK (true)")
    op.execute(f"CREATE POLICY service ON lead TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Drop the table; leads are lost."""
    op.drop_table("lead")

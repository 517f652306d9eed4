"""What agents used up in campaigns, and their transcripts piece by piece."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("agent_run", "agent_piece")


def upgrade() -> None:
    """Add both tables; they show a request what its campaign shows it."""
    counts = ("turns", "prompt_tokens", "completion_tokens", "proofs", "calls", "pieces", "bytes")
    op.create_table(
        "agent_run",
        sa.Column("campaign", sa.Text(), nullable=False),
        *(sa.Column(name, WHOLE, nullable=False) for name in counts),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"], name=op.f("fk_agent_run_campaign")),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_agent_run")),
        sqlite_strict=True,
    )
    op.create_table(
        "agent_piece",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("sealed_content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign"], ["agent_run.campaign"], name=op.f("fk_agent_piece_campaign")
        ),
        sa.PrimaryKeyConstraint("campaign", "number", name=op.f("pk_agent_piece")),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        seen = f"EXISTS (SELECT FROM campaign c WHERE c.id = {table}.campaign)"
        own = f"({seen}) OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({own}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Drop both; transcripts are lost."""
    for table in reversed(TABLES):
        op.drop_table(table)

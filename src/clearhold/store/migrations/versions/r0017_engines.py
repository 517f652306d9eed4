"""Campaigns by several engines: what each met, what it keeps for the next, and how it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PARTY = "nullif(current_setting('clearhold.party', true), '')"

POLICIES = {
    "campaign_crash": "EXISTS (SELECT FROM campaign c WHERE c.id = campaign_crash.campaign)",
    "campaign_corpus": f"party = {_PARTY}",
}


def upgrade() -> None:
    """Add columns and tables; every campaign so far was libFuzzer's."""
    for column in (
        sa.Column("engine", sa.Text(), nullable=False, server_default=sa.text("'libfuzzer'")),
        sa.Column("ending", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("spent_s", WHOLE, nullable=False, server_default=sa.text("0")),
        sa.Column("target", sa.LargeBinary(), nullable=True),
        sa.Column("begun_at", WHOLE, nullable=True),
        sa.Column("stop_asked_at", WHOLE, nullable=True),
    ):
        op.add_column("campaign", column)
    op.create_index("ix_campaign_party_queued_at", "campaign", ["party", "queued_at"])
    op.create_index("ix_campaign_target", "campaign", ["target"])
    op.create_table(
        "campaign_crash",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("artifact", sa.Text(), nullable=False),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact"], ["artifact.id"], name=op.f("fk_campaign_crash_artifact")
        ),
        sa.ForeignKeyConstraint(
            ["campaign"], ["campaign.id"], name=op.f("fk_campaign_crash_campaign")
        ),
        sa.PrimaryKeyConstraint("campaign", "number", name=op.f("pk_campaign_crash")),
        sqlite_strict=True,
    )
    op.create_table(
        "campaign_corpus",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("target", sa.LargeBinary(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("sealed_inputs", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_campaign_corpus_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_campaign_corpus_party")),
        sa.PrimaryKeyConstraint("party", "target", name=op.f("pk_campaign_corpus")),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, readable in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        own = f"({readable}) OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({own}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Drop what was added; inputs kept for later campaigns and all crashes but one are lost."""
    for table in ("campaign_corpus", "campaign_crash"):
        op.drop_table(table)
    op.drop_index("ix_campaign_target", "campaign")
    op.drop_index("ix_campaign_party_queued_at", "campaign")
    for column in ("stop_asked_at", "begun_at", "target", "spent_s", "ending", "engine"):
        op.drop_column("campaign", column)

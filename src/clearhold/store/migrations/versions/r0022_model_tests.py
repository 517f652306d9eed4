"""Agreements about testing models, engagements under them, and what both sides signed."""

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MINE = "compartment = ANY (ARRAY(SELECT clearhold_readable(0)))"
_OF_MINE = f"engagement IN (SELECT id FROM engagement WHERE {_MINE})"  # noqa: S608
POLICIES = {
    "model_agreement": _MINE,
    "engagement": _MINE,
    "engagement_event": _OF_MINE,
    "engagement_change": _OF_MINE,
}


def _refers(table: str, **columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))
        for column, other in columns.items()
    ]


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "model_agreement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("developer", sa.Text(), nullable=False),
        sa.Column("evaluator", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("offered_by", sa.Text(), nullable=False),
        sa.Column("developer_suspends", sa.Integer(), nullable=False),
        sa.Column("evaluator_suspends", sa.Integer(), nullable=False),
        sa.Column("sealed_developer_envelope", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_evaluator_envelope", sa.LargeBinary(), nullable=True),
        sa.Column("not_before", WHOLE, nullable=False),
        sa.Column("until", WHOLE, nullable=False),
        sa.Column("offered_at", WHOLE, nullable=False),
        sa.Column("changed_at", WHOLE, nullable=False),
        *_refers(
            "model_agreement", developer="party", evaluator="party", compartment="compartment"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_agreement")),
        sa.UniqueConstraint(
            "developer",
            "evaluator",
            "digest",
            name=op.f("uq_model_agreement_developer_evaluator_digest"),
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "engagement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("length_s", WHOLE, nullable=False),
        sa.Column("release_at", WHOLE, nullable=True),
        sa.Column("credits_outages", sa.Integer(), nullable=False),
        sa.Column("proposed_at", WHOLE, nullable=False),
        sa.Column("changed_at", WHOLE, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        *_refers("engagement", agreement="model_agreement", compartment="compartment"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engagement")),
        sa.UniqueConstraint(
            "agreement", "idempotency_key", name=op.f("uq_engagement_agreement_idempotency_key")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "engagement_event",
        sa.Column("engagement", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.Column("until", WHOLE, nullable=True),
        sa.Column("length_s", WHOLE, nullable=True),
        sa.Column("stops_clock", sa.Integer(), nullable=True),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=True),
        *_refers("engagement_event", engagement="engagement"),
        sa.PrimaryKeyConstraint("engagement", "number", name=op.f("pk_engagement_event")),
        sqlite_strict=True,
    )
    op.create_table(
        "engagement_change",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("engagement", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_developer_envelope", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_evaluator_envelope", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("signed_at", WHOLE, nullable=True),
        *_refers("engagement_change", engagement="engagement"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engagement_change")),
        sa.UniqueConstraint(
            "engagement", "digest", name=op.f("uq_engagement_change_engagement_digest")
        ),
        sqlite_strict=True,
    )
    for table, *columns in (
        ("model_agreement", "developer"),
        ("model_agreement", "evaluator"),
        ("model_agreement", "compartment"),
        ("engagement", "agreement"),
        ("engagement", "compartment"),
        ("engagement_change", "engagement", "made_at"),
    ):
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, readable in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # A transaction sees what it wrote itself, as in the policies of migration 6.
        seen = f"{readable} OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({seen}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """What both sides signed would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

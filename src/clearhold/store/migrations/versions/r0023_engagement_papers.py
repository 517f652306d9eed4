"""What the sides of an engagement wrote to each other."""

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLE = "engagement_paper"
READABLE = "compartment = ANY (ARRAY(SELECT clearhold_readable(0)))"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("engagement", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_content", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        *(
            sa.ForeignKeyConstraint([column], [f"{column}.id"], name=op.f(f"fk_{TABLE}_{column}"))
            for column in ("engagement", "compartment", "party")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("engagement", "number", name=op.f(f"uq_{TABLE}_engagement_number")),
        sqlite_strict=True,
    )
    op.create_index(f"ix_{TABLE}_compartment", TABLE, ["compartment"])
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    # A transaction sees what it wrote itself, as in the policies of migration 6.
    seen = f"{READABLE} OR xmin = pg_current_xact_id_if_assigned()::xid"
    op.execute(f"CREATE POLICY request ON {TABLE} TO {ROLE} USING ({seen}) WITH CHECK (true)")
    op.execute(f"CREATE POLICY service ON {TABLE} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """What was written would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

"""Coverage maps, what parties and operators choose to share, exposure, questions asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OWN = ("coverage_sharing", "scan_suggestion", "inventory_sharing")
_OWN = (
    "party = nullif(current_setting('clearhold.party', true), '')"
    " OR xmin = pg_current_xact_id_if_assigned()::xid"
)


def upgrade() -> None:
    """Make the tables; on PostgreSQL show each party its own choices alone."""
    op.create_table(
        "coverage_map",
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("register", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_coverage_map_compartment")
        ),
        sa.PrimaryKeyConstraint("package", name=op.f("pk_coverage_map")),
        sqlite_strict=True,
    )
    op.create_table(
        "coverage_sharing",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("sharing", sa.Text(), nullable=False),
        sa.Column("since", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_coverage_sharing_party")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_coverage_sharing")),
        sqlite_strict=True,
    )
    op.create_table(
        "scan_suggestion",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("day", WHOLE, nullable=False),
        sa.Column("asked", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_scan_suggestion_party")),
        sa.PrimaryKeyConstraint("party", "day", name=op.f("pk_scan_suggestion")),
        sqlite_strict=True,
    )
    op.create_table(
        "scan_exposure",
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("operators", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("package", name=op.f("pk_scan_exposure")),
        sqlite_strict=True,
    )
    op.create_table(
        "inventory_sharing",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("since", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_inventory_sharing_party")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_inventory_sharing")),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in OWN:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({_OWN}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """What was shared would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

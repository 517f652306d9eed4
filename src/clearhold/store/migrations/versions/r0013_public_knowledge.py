"""What public records say of a flaw, and which flaws are known to be exploited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns, empty for what was recorded before, and the table."""
    for name, empty in (
        ("source", ""),
        ("summary", ""),
        ("terms", '{"names":[],"weaknesses":[],"words":[]}'),
    ):
        op.add_column(
            "catalogue_vulnerability",
            sa.Column(name, sa.Text(), nullable=False, server_default=sa.text(f"'{empty}'")),
        )
    op.create_table(
        "catalogue_exploited",
        sa.Column("cve", sa.Text(), nullable=False),
        sa.Column("added", sa.Text(), nullable=False),
        sa.Column("ransomware", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("cve", name=op.f("pk_catalogue_exploited")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Drop what can be imported again."""
    op.drop_table("catalogue_exploited")
    for name in ("terms", "summary", "source"):
        op.drop_column("catalogue_vulnerability", name)

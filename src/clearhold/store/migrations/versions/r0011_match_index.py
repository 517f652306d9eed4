"""The index that candidates for one vulnerability are ranked by, and the pairs that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables; findings that are held are indexed when they are next looked for."""
    op.create_table(
        "match_sketch",
        sa.Column("number", WHOLE, autoincrement=True, nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", WHOLE, nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.Column("tokens", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_match_sketch_finding")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_match_sketch")),
        sa.UniqueConstraint("finding", name=op.f("uq_match_sketch_finding")),
        sqlite_strict=True,
    )
    op.create_index("ix_match_sketch_package_number", "match_sketch", ["package", "number"])
    op.create_table(
        "match_token",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("token", "number", name=op.f("pk_match_token")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "match_review",
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("strength", WHOLE, nullable=False),
        sa.Column("layers", sa.Text(), nullable=False),
        sa.Column("proposed_at", WHOLE, nullable=False),
        sa.Column("settled_at", WHOLE),
        sa.CheckConstraint("a < b", name="match_review_ordered"),
        sa.ForeignKeyConstraint(["a"], ["finding.id"], name=op.f("fk_match_review_a")),
        sa.ForeignKeyConstraint(["b"], ["finding.id"], name=op.f("fk_match_review_b")),
        sa.PrimaryKeyConstraint("a", "b", name=op.f("pk_match_review")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_match_review_b"), "match_review", ["b"])

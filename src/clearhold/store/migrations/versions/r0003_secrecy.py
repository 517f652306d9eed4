"""Changes of keys, counted releases, age recipients, sealed cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and columns that say what is gone."""
    op.add_column("artifact", sa.Column("removed_at", WHOLE, nullable=True))
    op.add_column("disclosure_case", sa.Column("expunged_at", WHOLE, nullable=True))
    op.create_table(
        "key_change",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("kek", sa.Text(), nullable=False),
        sa.Column("begun_by", sa.Text(), nullable=False),
        sa.Column("begun_at", WHOLE, nullable=False),
        sa.Column("ended_at", WHOLE, nullable=True),
        sa.Column("running", WHOLE, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_change")),
        sa.UniqueConstraint("running", name=op.f("uq_key_change_running")),
        sqlite_strict=True,
    )
    op.create_table(
        "release_window",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("minute", WHOLE, nullable=False),
        sa.Column("released", WHOLE, nullable=False),
        sa.Column("refused", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("principal", "minute", name=op.f("pk_release_window")),
        sqlite_strict=True,
    )
    op.create_table(
        "party_recipient",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("findable", sa.Integer(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", WHOLE, nullable=False),
        sa.Column("withdrawn_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_party_recipient_party")),
        sa.ForeignKeyConstraint(
            ["added_by"], ["principal.id"], name=op.f("fk_party_recipient_added_by")
        ),
        sa.PrimaryKeyConstraint("party", "fingerprint", name=op.f("pk_party_recipient")),
        sqlite_strict=True,
    )
    op.create_table(
        "sealed_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("lodged_at", WHOLE, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_sealed_case_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_sealed_case_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sealed_case")),
        sa.UniqueConstraint("party", "key", name=op.f("uq_sealed_case_party_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_sealed_case_compartment"), "sealed_case", ["compartment"])
    op.create_table(
        "sealed_letter",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("written_at", WHOLE, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["sealed_case.id"], name=op.f("fk_sealed_letter_case")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_sealed_letter_party")),
        sa.ForeignKeyConstraint(
            ["content"], ["artifact.id"], name=op.f("fk_sealed_letter_content")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sealed_letter")),
        sa.UniqueConstraint("case", "party", "key", name=op.f("uq_sealed_letter_case_party_key")),
        sqlite_strict=True,
    )
    op.create_table(
        "sealed_reader",
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["letter"], ["sealed_letter.id"], name=op.f("fk_sealed_reader_letter")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_sealed_reader_party")),
        sa.PrimaryKeyConstraint("letter", "party", name=op.f("pk_sealed_reader")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Keys that were destroyed do not come back, so neither does the older schema."""
    message = "this schema cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

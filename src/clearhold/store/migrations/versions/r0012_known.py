"""Asking whether a flaw is known: epochs, entries, questions and claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0012"
down_revision = "0008"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PARTY = "nullif(current_setting('clearhold.party', true), '')"

# No request reads entries: what one learns of them, the hub tells it.
POLICIES = {
    "known_entry": "false",
    "known_question": f"party = {_PARTY}",
    "known_claim": f"party = {_PARTY}",
}


def upgrade() -> None:
    """Make the tables; on PostgreSQL fence them."""
    op.create_table(
        "known_epoch",
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("begun_at", WHOLE, nullable=False),
        sa.Column("ready_at", WHOLE, nullable=True),
        sa.Column("start", WHOLE, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_known_epoch")),
        sqlite_strict=True,
    )
    op.create_table(
        "known_entry",
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("ticket", sa.LargeBinary(), nullable=False),
        sa.Column("room", WHOLE, nullable=False),
        sa.Column("place", WHOLE, nullable=True),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_known_entry_finding")),
        sa.ForeignKeyConstraint(
            ["epoch"], ["known_epoch.number"], name=op.f("fk_known_entry_epoch")
        ),
        sa.PrimaryKeyConstraint("finding", "epoch", "ticket", name=op.f("pk_known_entry")),
        sa.UniqueConstraint("epoch", "room", "place", name=op.f("uq_known_entry_epoch_room_place")),
        sqlite_strict=True,
    )
    op.create_index("ix_known_entry_ticket", "known_entry", ["epoch", "ticket"])
    op.create_table(
        "known_question",
        sa.Column("lodgement", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("room", WHOLE, nullable=False),
        sa.Column("asked_at", WHOLE, nullable=False),
        sa.Column("elements", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["lodgement"], ["ledger_lodgement.id"], name=op.f("fk_known_question_lodgement")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_known_question_party")),
        sa.PrimaryKeyConstraint("lodgement", name=op.f("pk_known_question")),
        sqlite_strict=True,
    )
    op.create_index("ix_known_question_party", "known_question", ["party", "room", "asked_at"])
    op.create_table(
        "known_claim",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_known_claim_party")),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_known_claim_finding")),
        sa.PrimaryKeyConstraint("party", "finding", name=op.f("pk_known_claim")),
        sqlite_strict=True,
    )
    op.create_index("ix_known_claim_package", "known_claim", ["party", "package", "claimed_at"])
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, readable in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        own = f"({readable}) OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({own}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Drop what nothing else refers to; entries are made anew from the findings."""
    for table in ("known_claim", "known_question", "known_entry", "known_epoch"):
        op.drop_table(table)

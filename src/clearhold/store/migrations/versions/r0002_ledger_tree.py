"""The ledger as a tree: salted leaves, their places, the tree's edge and lodged commitments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.kernel.errors import ConflictError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ONLY_GROWS = ("ledger_leaf", "ledger_place", "ledger_lodgement")


def upgrade() -> None:
    """Replace the hash chain. Raises `ConflictError` on a database that holds leaves of it.

    Their hashes have no salt, and no release wrote such a database.
    """
    if op.get_bind().execute(sa.text("SELECT 1 FROM ledger_leaf LIMIT 1")).first():
        raise ConflictError(
            "This database holds leaves of the ledger before the first release, "
            "which cannot be carried over.",
            next_step="Begin with a new database; a demo with another --directory.",
        )
    op.drop_table("ledger_leaf")
    op.drop_table("ledger_head")
    op.create_table(
        "ledger_leaf",
        sa.Column("seq", WHOLE, autoincrement=False, nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_leaf")),
        sqlite_strict=True,
    )
    op.create_index("ix_ledger_leaf_compartment_seq", "ledger_leaf", ["compartment", "seq"])
    op.create_table(
        "ledger_waiting",
        sa.Column("leaf", WHOLE, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("leaf", name=op.f("pk_ledger_waiting")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_place",
        sa.Column("place", WHOLE, autoincrement=False, nullable=False),
        sa.Column("leaf", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_ledger_place")),
        sa.UniqueConstraint("leaf", name=op.f("uq_ledger_place_leaf")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_tree",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("published_size", WHOLE, nullable=False),
        sa.Column("published_instant", WHOLE, nullable=False),
        sa.Column("published_edge", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_tree")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_lodgement",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("lodged_at", WHOLE, nullable=False),
        sa.Column("leaf", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_ledger_lodgement_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_lodgement")),
        sa.UniqueConstraint(
            "party", "commitment", name=op.f("uq_ledger_lodgement_party_commitment")
        ),
        sa.UniqueConstraint("leaf", name=op.f("uq_ledger_lodgement_leaf")),
        sqlite_strict=True,
    )
    numbers = ("id", "size", "published_size", "published_instant")
    blobs = ("frontier", "published_edge", "note")
    tree = sa.table(
        "ledger_tree",
        *(sa.column(name, WHOLE) for name in numbers),
        *(sa.column(name, sa.LargeBinary()) for name in blobs),
    )
    empty = dict.fromkeys(numbers, 0) | dict.fromkeys(blobs, b"") | {"id": 1}
    op.bulk_insert(tree, [empty])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE ledger_leaf_seq")
    for table in ONLY_GROWS:
        _fence(table)


def _fence(table: str) -> None:
    """Let a table only grow; the function is that of the first schema."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
    else:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
            f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )


def downgrade() -> None:
    """The tree cannot be made a chain again."""
    message = "the ledger's tree cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

"""The gateway to models under test: endpoints, grants, calls, canary rounds and notices."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MINE = "compartment = ANY (ARRAY(SELECT clearhold_readable(0)))"
_OF_MINE = f"engagement IN (SELECT id FROM engagement WHERE {_MINE})"  # noqa: S608
TABLES = (
    "model_gateway",
    "model_endpoint",
    "model_grant",
    "model_open_call",
    "model_call",
    "model_canary",
    "model_notice",
)


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _table(name: str, *columns: sa.Column[Any], key: tuple[str, ...], **refers: str) -> None:
    references = [
        sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{name}_{column}"))
        for column, other in {"engagement": "engagement", **refers}.items()
    ]
    key_ = sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}"))
    op.create_table(name, *columns, *references, key_, sqlite_strict=True)


def upgrade() -> None:
    """Add the tables."""
    _table(
        "model_gateway",
        _words("engagement"),
        sa.Column("switched_off", sa.Integer(), nullable=False),
        _whole("calls"),
        _bytes("head"),
        _whole("anchored"),
        _whole("suspected_at", nullable=True),
        _whole("failing_since", nullable=True),
        _whole("outage", nullable=True),
        key=("engagement",),
    )
    _table(
        "model_endpoint",
        _words("id"),
        _words("engagement"),
        _bytes("sealed_body"),
        _whole("registered_at"),
        _whole("withdrawn_at", nullable=True),
        key=("id",),
    )
    _table(
        "model_grant",
        _words("id"),
        _words("engagement"),
        _bytes("sealed_body"),
        _bytes("secret_hash", nullable=True),
        _whole("tokens"),
        _whole("spent"),
        _whole("held"),
        _whole("begins_at"),
        _whole("ends_at"),
        _whole("made_at"),
        _whole("withdrawn_at", nullable=True),
        key=("id",),
    )
    _table(
        "model_open_call",
        _words("id"),
        _words("engagement"),
        _words("granted"),
        _whole("variant"),
        _bytes("request_sha256"),
        _whole("held"),
        _whole("begun_at"),
        key=("id",),
        granted="model_grant",
    )
    _table(
        "model_call",
        _words("engagement"),
        _whole("number"),
        _bytes("previous"),
        _words("caller"),
        _whole("variant"),
        _whole("at"),
        _words("outcome"),
        _whole("status"),
        _bytes("request_sha256"),
        _bytes("answer_sha256"),
        _whole("prompt_tokens"),
        _whole("answer_tokens"),
        key=("engagement", "number"),
    )
    _table(
        "model_canary",
        _words("engagement"),
        _whole("number"),
        _words("round"),
        _words("endpoint"),
        _words("outcome"),
        _bytes("sealed_body"),
        _whole("at"),
        key=("engagement", "number"),
        endpoint="model_endpoint",
    )
    _table(
        "model_notice",
        _words("engagement"),
        _words("kind"),
        _whole("due_at"),
        _whole("given_at"),
        key=("engagement", "kind", "due_at"),
    )
    for table, column in (
        ("model_endpoint", "engagement"),
        ("model_grant", "engagement"),
        ("model_open_call", "engagement"),
        ("model_open_call", "begun_at"),
        ("model_notice", "given_at"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # A transaction sees what it wrote itself, as in the policies of migration 6.
        seen = f"{_OF_MINE} OR xmin = pg_current_xact_id_if_assigned()::xid"
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({seen}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def downgrade() -> None:
    """Who called which model, and how often, would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

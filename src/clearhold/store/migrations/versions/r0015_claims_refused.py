"""What a refused claim was answered, so that it is answered the same when it is sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; claims refused before are decided anew when they are sent again."""
    op.add_column("scan_attempt", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("scan_attempt", sa.Column("request", sa.LargeBinary(), nullable=True))
    op.add_column("scan_attempt", sa.Column("answer", sa.LargeBinary(), nullable=True))
    op.create_index("ix_scan_attempt_party_key", "scan_attempt", ["party", "idempotency_key"])


def downgrade() -> None:
    """Drop the columns; what was refused is decided anew."""
    op.drop_index("ix_scan_attempt_party_key", "scan_attempt")
    for column in ("answer", "request", "idempotency_key"):
        op.drop_column("scan_attempt", column)

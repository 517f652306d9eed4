"""What the runs of a validation printed, and which releases its proof shows the flaw on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, plainly: the rows and their policies stay; what was decided before has none."""
    for column in ("logs", "affected"):
        op.execute(f"ALTER TABLE validation ADD COLUMN {column} TEXT REFERENCES artifact (id)")
    op.add_column("validation", sa.Column("sealed_affected", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """What was kept would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

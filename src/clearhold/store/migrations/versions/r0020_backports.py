"""What became of an accepted fix on the package's other versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, plainly: the rows and their policies stay; earlier fixes have none."""
    op.add_column("patch", sa.Column("sealed_backports", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """What was kept would be lost."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

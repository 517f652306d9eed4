"""What the second holder of the key answered to a question, and how much it was sent for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; questions asked before are sent once more when they are repeated."""
    op.add_column("known_question", sa.Column("half", sa.LargeBinary(), nullable=True))
    op.add_column(
        "known_question", sa.Column("sent", WHOLE, nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    """Drop the columns; a question that is repeated is sent out again."""
    op.drop_column("known_question", "sent")
    op.drop_column("known_question", "half")

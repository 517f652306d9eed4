"""Agreements and what they open, invitations, what parties stand for, their routes and wishes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("agreement", "acceptance")


def upgrade() -> None:
    """Make the tables, two of which only grow: what was published and what was signed."""
    op.create_table(
        "agreement",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("opens", sa.Text(), nullable=False),
        sa.Column("reaccept_by", WHOLE, nullable=True),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_agreement")),
        sqlite_strict=True,
    )
    op.create_table(
        "adherence",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("bar", sa.Text(), nullable=True),
        sa.Column("since", WHOLE, nullable=False),
        sa.Column("ends_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["agreement", "version"],
            ["agreement.name", "agreement.version"],
            name=op.f("fk_adherence_agreement_version"),
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_adherence_party")),
        sa.PrimaryKeyConstraint("party", "agreement", name=op.f("pk_adherence")),
        sqlite_strict=True,
    )
    op.create_table(
        "allowance",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("in_force", sa.Integer(), nullable=False),
        sa.Column("ends_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_allowance_party")),
        sa.PrimaryKeyConstraint("party", "source", name=op.f("pk_allowance")),
        sqlite_strict=True,
    )
    op.create_table(
        "challenge",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("tried_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_challenge_party")),
        sa.PrimaryKeyConstraint("party", "subject", name=op.f("pk_challenge")),
        sqlite_strict=True,
    )
    op.create_table(
        "disclosure_route",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("routes", sa.Text(), nullable=False),
        sa.Column("written_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_disclosure_route_party")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_disclosure_route")),
        sqlite_strict=True,
    )
    op.create_table(
        "represented",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("since", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("challenger", sa.Text(), nullable=True),
        sa.Column("challenged_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["challenger"], ["party.id"], name=op.f("fk_represented_challenger")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_represented_party")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_represented")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_represented_challenger"), "represented", ["challenger"], unique=False)
    op.create_index(op.f("ix_represented_party"), "represented", ["party"], unique=False)
    op.create_table(
        "wish",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("wishes", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_wish_party")),
        sa.PrimaryKeyConstraint("party", "subject", name=op.f("pk_wish")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_wish_subject"), "wish", ["subject"], unique=False)
    op.create_table(
        "acceptance",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("signed_at", WHOLE, nullable=False),
        sa.Column("accepted_by", sa.Text(), nullable=False),
        sa.Column("accepted_at", WHOLE, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["accepted_by"], ["principal.id"], name=op.f("fk_acceptance_accepted_by")
        ),
        sa.ForeignKeyConstraint(
            ["agreement", "version"],
            ["agreement.name", "agreement.version"],
            name=op.f("fk_acceptance_agreement_version"),
        ),
        sa.ForeignKeyConstraint(["key"], ["party_key.id"], name=op.f("fk_acceptance_key")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_acceptance_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptance")),
        sa.UniqueConstraint(
            "party",
            "agreement",
            "version",
            "signed_at",
            name=op.f("uq_acceptance_party_agreement_version_signed_at"),
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "invitation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("used_at", WHOLE, nullable=True),
        sa.Column("member", sa.Text(), nullable=True),
        sa.Column("revoked_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["made_by"], ["principal.id"], name=op.f("fk_invitation_made_by")),
        sa.ForeignKeyConstraint(["member"], ["principal.id"], name=op.f("fk_invitation_member")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_invitation_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_invitation_party"), "invitation", ["party"], unique=False)
    op.create_table(
        "case_waiting",
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=True),
        sa.Column("tier", WHOLE, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("expires_at", WHOLE, nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", WHOLE, nullable=False),
        sa.Column("held_because", sa.Text(), nullable=False),
        sa.Column("due_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["principal.id"], name=op.f("fk_case_waiting_asked_by")
        ),
        sa.ForeignKeyConstraint(
            ["case"], ["disclosure_case.id"], name=op.f("fk_case_waiting_case")
        ),
        sa.ForeignKeyConstraint(["member"], ["principal.id"], name=op.f("fk_case_waiting_member")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_case_waiting_party")),
        sa.PrimaryKeyConstraint("case", "party", name=op.f("pk_case_waiting")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_case_waiting_party"), "case_waiting", ["party"], unique=False)
    op.add_column("embargo", sa.Column("caution", sa.Text(), nullable=True))

    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'what was agreed is append-only'); END"
                )
    else:
        op.execute(
            "CREATE FUNCTION agreed_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'what was agreed is append-only'; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION agreed_append_only()"
            )


def downgrade() -> None:
    """What was agreed is not forgotten."""
    message = "agreements cannot be taken back out; restore a backup instead"
    raise NotImplementedError(message)

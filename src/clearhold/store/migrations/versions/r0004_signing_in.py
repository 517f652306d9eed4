"""Signing in: passkeys, OIDC, sessions of browsers, enrolments, recoveries and their ceremonies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _instant(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=null)


def _binary(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}"))


def _to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def upgrade() -> None:
    """Make the tables, and note the day on which a token was last used."""
    op.add_column("token", _text("last_used_on", null=True))
    op.create_table(
        "passkey",
        _text("id"),
        _text("person"),
        _binary("credential"),
        _binary("public_key"),
        _instant("sign_count"),
        _text("name"),
        _instant("made_at"),
        _instant("last_used_at", null=True),
        _instant("copied_at", null=True),
        _to("passkey", "person", "person"),
        _key("passkey"),
        sa.UniqueConstraint("credential", name=op.f("uq_passkey_credential")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_passkey_person"), "passkey", ["person"])
    op.create_table(
        "oidc_provider",
        _text("id"),
        _text("party"),
        _text("name"),
        _text("issuer"),
        _text("client"),
        _text("secret_name", null=True),
        sa.Column("enforced", sa.Integer(), nullable=False),
        _text("made_by"),
        _instant("made_at"),
        _instant("removed_at", null=True),
        _to("oidc_provider", "party", "party"),
        _key("oidc_provider"),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_oidc_provider_party"), "oidc_provider", ["party"])
    op.create_table(
        "oidc_identity",
        _text("id"),
        _text("person"),
        _text("issuer"),
        _text("subject"),
        _instant("made_at"),
        _instant("last_used_at", null=True),
        _to("oidc_identity", "person", "person"),
        _key("oidc_identity"),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_oidc_identity_issuer_subject")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_oidc_identity_person"), "oidc_identity", ["person"])
    op.create_table(
        "browser_session",
        _text("id"),
        _text("person"),
        _text("principal", null=True),
        _text("provider", null=True),
        _binary("secret_hash"),
        _text("agent"),
        _instant("made_at"),
        _instant("seen_at"),
        _instant("expires_at"),
        _instant("confirmed_at", null=True),
        _instant("ended_at", null=True),
        _to("browser_session", "person", "person"),
        _to("browser_session", "principal", "principal"),
        _to("browser_session", "provider", "oidc_provider"),
        _key("browser_session"),
        sqlite_strict=True,
    )
    for column in ("person", "principal", "provider"):
        op.create_index(op.f(f"ix_browser_session_{column}"), "browser_session", [column])
    op.create_table(
        "enrolment",
        _text("id"),
        _text("principal"),
        _text("person"),
        _binary("secret_hash"),
        _text("made_by"),
        _instant("made_at"),
        _instant("opens_at"),
        _instant("expires_at"),
        _instant("used_at", null=True),
        _instant("revoked_at", null=True),
        _to("enrolment", "principal", "principal"),
        _to("enrolment", "person", "person"),
        _key("enrolment"),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_enrolment_person"), "enrolment", ["person"])
    op.create_table(
        "recovery",
        _text("id"),
        _text("enrolment"),
        _text("person"),
        _text("approval"),
        _instant("opened_at"),
        _text("vetoed_by", null=True),
        _instant("vetoed_at", null=True),
        _to("recovery", "enrolment", "enrolment"),
        _to("recovery", "person", "person"),
        _to("recovery", "approval", "approval"),
        _key("recovery"),
        sa.UniqueConstraint("enrolment", name=op.f("uq_recovery_enrolment")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_recovery_person"), "recovery", ["person"])
    op.create_table(
        "ceremony",
        _text("id"),
        _text("kind"),
        _binary("secret_hash"),
        _text("session", null=True),
        _text("enrolment", null=True),
        _text("provider", null=True),
        _instant("expires_at"),
        _instant("used_at", null=True),
        _to("ceremony", "session", "browser_session"),
        _to("ceremony", "enrolment", "enrolment"),
        _to("ceremony", "provider", "oidc_provider"),
        _key("ceremony"),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_ceremony_expires_at"), "ceremony", ["expires_at"])


def downgrade() -> None:
    """Credentials are not thrown away."""
    message = "this schema cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

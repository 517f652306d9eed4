"""The first schema: parties, secrets, ledger and every module's own tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
GENESIS = bytes(32)


def upgrade() -> None:
    """Make every table, the ledger's head, and the triggers that let the ledger only grow."""
    op.create_table(
        "catalogue_vulnerability",
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("ranges", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("package", "id", name=op.f("pk_catalogue_vulnerability")),
        sqlite_strict=True,
    )
    op.create_table(
        "compartment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("opened_at", WHOLE, nullable=False),
        sa.Column("kek", sa.Text(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("destroyed_at", WHOLE, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compartment")),
        sqlite_strict=True,
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sqlite_strict=True,
    )
    op.create_table(
        "executor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("beats", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_executor")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_leaf",
        sa.Column("seq", WHOLE, autoincrement=False, nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_leaf")),
        sqlite_strict=True,
    )
    op.create_table(
        "party",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sector", sa.Text(), nullable=True),
        sa.Column("registered_at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party")),
        sa.UniqueConstraint("handle", name=op.f("uq_party_handle")),
        sqlite_strict=True,
    )
    op.create_table(
        "advisory",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("publish_at", WHOLE, nullable=True),
        sa.Column("published_at", WHOLE, nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("patch_needed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_advisory_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_advisory_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_advisory")),
        sa.UniqueConstraint("party", "request_key", name=op.f("uq_advisory_party_request_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_advisory_public_id")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_advisory_state_publish_at", "advisory", ["state", "publish_at"], unique=False
    )
    op.create_table(
        "artifact",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("stored_as", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_artifact_compartment")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_artifact_compartment"), "artifact", ["compartment"], unique=False)
    op.create_table(
        "catalogue_target",
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("techniques", sa.Text(), nullable=False),
        sa.Column("paths", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["added_by"], ["party.id"], name=op.f("fk_catalogue_target_added_by")
        ),
        sa.PrimaryKeyConstraint("package", name=op.f("pk_catalogue_target")),
        sqlite_strict=True,
    )
    op.create_table(
        "compartment_grant",
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("grantee", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("tier", WHOLE, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=True),
        sa.Column("revoked_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_compartment_grant_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_compartment_grant_party")),
        sa.PrimaryKeyConstraint("compartment", "grantee", name=op.f("pk_compartment_grant")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_compartment_grant_party"), "compartment_grant", ["party"], unique=False
    )
    op.create_index(
        op.f("ix_compartment_grant_grantee"), "compartment_grant", ["grantee"], unique=False
    )
    op.create_table(
        "recusal",
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_recusal_compartment")
        ),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_recusal_person")),
        sa.PrimaryKeyConstraint("compartment", "person", name=op.f("pk_recusal")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_recusal_person"), "recusal", ["person"], unique=False)
    op.create_table(
        "inventory",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("matching_compartment", sa.Text(), nullable=False),
        sa.Column("name_key", sa.LargeBinary(), nullable=False),
        sa.Column("newest", WHOLE, nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_inventory_compartment")
        ),
        sa.ForeignKeyConstraint(
            ["matching_compartment"],
            ["compartment.id"],
            name=op.f("fk_inventory_matching_compartment"),
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_inventory_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory")),
        sa.UniqueConstraint("party", "name_key", name=op.f("uq_inventory_party_name_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_inventory_compartment"), "inventory", ["compartment"], unique=False)
    op.create_table(
        "party_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_party_key_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_party_key_party"), "party_key", ["party"], unique=False)
    op.create_table(
        "principal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("ended_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_principal_party")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_principal_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
        sa.UniqueConstraint("party", "person", name=op.f("uq_principal_party_person")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_principal_party"), "principal", ["party"], unique=False)
    op.create_index(op.f("ix_principal_person"), "principal", ["person"], unique=False)
    op.create_table(
        "approval",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("particulars", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("proposed_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", WHOLE, nullable=True),
        sa.Column("refused_at", WHOLE, nullable=True),
        sa.Column("used_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["principal.id"], name=op.f("fk_approval_approved_by")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_approval_party")),
        sa.ForeignKeyConstraint(
            ["proposed_by"], ["principal.id"], name=op.f("fk_approval_proposed_by")
        ),
        sa.ForeignKeyConstraint(["proposer"], ["person.id"], name=op.f("fk_approval_proposer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_approval_party"), "approval", ["party"], unique=False)
    op.create_index(op.f("ix_approval_subject"), "approval", ["subject"], unique=False)
    op.create_table(
        "scan_lane",
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("compartment", sa.Text(), nullable=True),
        sa.Column("register", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_scan_lane_compartment")
        ),
        sa.PrimaryKeyConstraint("package", name=op.f("pk_scan_lane")),
        sqlite_strict=True,
    )
    op.create_table(
        "advisory_bundle",
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("advisory", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["advisory"], ["advisory.id"], name=op.f("fk_advisory_bundle_advisory")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_advisory_bundle")),
        sa.UniqueConstraint("advisory", name=op.f("uq_advisory_bundle_advisory")),
        sqlite_strict=True,
    )
    op.create_table(
        "advisory_target",
        sa.Column("advisory", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["advisory"], ["advisory.id"], name=op.f("fk_advisory_target_advisory")
        ),
        sa.PrimaryKeyConstraint("advisory", "path", name=op.f("pk_advisory_target")),
        sqlite_strict=True,
    )
    op.create_table(
        "inventory_package",
        sa.Column("package_key", sa.LargeBinary(), nullable=False),
        sa.Column("inventory", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inventory"], ["inventory.id"], name=op.f("fk_inventory_package_inventory")
        ),
        sa.PrimaryKeyConstraint("package_key", "inventory", name=op.f("pk_inventory_package")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_inventory_package_inventory", "inventory_package", ["inventory"], unique=False
    )
    op.create_table(
        "inventory_revision",
        sa.Column("inventory", sa.Text(), nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("uploaded_at", WHOLE, nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("holding", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document"], ["artifact.id"], name=op.f("fk_inventory_revision_document")
        ),
        sa.ForeignKeyConstraint(
            ["holding"], ["artifact.id"], name=op.f("fk_inventory_revision_holding")
        ),
        sa.ForeignKeyConstraint(
            ["inventory"], ["inventory.id"], name=op.f("fk_inventory_revision_inventory")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_inventory_revision_party")),
        sa.PrimaryKeyConstraint("inventory", "number", name=op.f("pk_inventory_revision")),
        sa.UniqueConstraint(
            "party", "request_key", name=op.f("uq_inventory_revision_party_request_key")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "remediation_action",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("advisory", sa.Text(), nullable=False),
        sa.Column("inventory", sa.Text(), nullable=False),
        sa.Column("revision", WHOLE, nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("early_notice", sa.Integer(), nullable=False),
        sa.Column("matched_at", WHOLE, nullable=False),
        sa.Column("starts_at", WHOLE, nullable=False),
        sa.Column("due_at", WHOLE, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["advisory"], ["advisory.id"], name=op.f("fk_remediation_action_advisory")
        ),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_remediation_action_compartment")
        ),
        sa.ForeignKeyConstraint(
            ["inventory"], ["inventory.id"], name=op.f("fk_remediation_action_inventory")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_remediation_action_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remediation_action")),
        sa.UniqueConstraint(
            "advisory", "inventory", name=op.f("uq_remediation_action_advisory_inventory")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_remediation_action_compartment"),
        "remediation_action",
        ["compartment"],
        unique=False,
    )
    op.create_index(
        op.f("ix_remediation_action_inventory"), "remediation_action", ["inventory"], unique=False
    )
    op.create_table(
        "remediation_matter",
        sa.Column("advisory", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["advisory"], ["advisory.id"], name=op.f("fk_remediation_matter_advisory")
        ),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_remediation_matter_compartment")
        ),
        sa.PrimaryKeyConstraint("advisory", name=op.f("pk_remediation_matter")),
        sqlite_strict=True,
    )
    op.create_table(
        "scan_lease",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("lane", sa.LargeBinary(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("budget_s", WHOLE, nullable=False),
        sa.Column("granted_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("window_ends_at", WHOLE, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_scan_lease_compartment")
        ),
        sa.ForeignKeyConstraint(["lane"], ["scan_lane.package"], name=op.f("fk_scan_lease_lane")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_scan_lease_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_lease")),
        sa.UniqueConstraint("lane", "fence", name=op.f("uq_scan_lease_lane_fence")),
        sa.UniqueConstraint(
            "party", "idempotency_key", name=op.f("uq_scan_lease_party_idempotency_key")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_scan_lease_compartment", "scan_lease", ["compartment"], unique=False)
    op.create_index("ix_scan_lease_lane_state", "scan_lease", ["lane", "state"], unique=False)
    op.create_table(
        "submission",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("received_at", WHOLE, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_submission_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_submission_party")),
        sa.ForeignKeyConstraint(["raw"], ["artifact.id"], name=op.f("fk_submission_raw")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
        sa.UniqueConstraint(
            "party", "idempotency_key", name=op.f("uq_submission_party_idempotency_key")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("made_at", WHOLE, nullable=False),
        sa.Column("expires_at", WHOLE, nullable=False),
        sa.Column("revoked_at", WHOLE, nullable=True),
        sa.Column("first_used_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principal.id"], name=op.f("fk_token_principal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sqlite_strict=True,
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("sealed_plan", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seed", WHOLE, nullable=False),
        sa.Column("budget_s", WHOLE, nullable=False),
        sa.Column("executions", WHOLE, nullable=False),
        sa.Column("edges", WHOLE, nullable=False),
        sa.Column("crash", sa.Text(), nullable=True),
        sa.Column("sealed_note", sa.LargeBinary(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("queued_at", WHOLE, nullable=False),
        sa.Column("ended_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_campaign_compartment")
        ),
        sa.ForeignKeyConstraint(["crash"], ["artifact.id"], name=op.f("fk_campaign_crash")),
        sa.ForeignKeyConstraint(["lease"], ["scan_lease.id"], name=op.f("fk_campaign_lease")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_campaign_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
        sa.UniqueConstraint(
            "party", "idempotency_key", name=op.f("uq_campaign_party_idempotency_key")
        ),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_campaign_compartment"), "campaign", ["compartment"], unique=False)
    op.create_table(
        "finding",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("submission", sa.Text(), nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("received_at", WHOLE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("level", WHOLE, nullable=False),
        sa.Column("proof", sa.Text(), nullable=True),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_finding_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_finding_party")),
        sa.ForeignKeyConstraint(["proof"], ["artifact.id"], name=op.f("fk_finding_proof")),
        sa.ForeignKeyConstraint(
            ["submission"], ["submission.id"], name=op.f("fk_finding_submission")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
        sa.UniqueConstraint("compartment", name=op.f("uq_finding_compartment")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_finding_party"), "finding", ["party"], unique=False)
    op.create_index(op.f("ix_finding_submission"), "finding", ["submission"], unique=False)
    op.create_table(
        "remediation_receipt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=False),
        sa.Column("counter", WHOLE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", WHOLE, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["action"], ["remediation_action.id"], name=op.f("fk_remediation_receipt_action")
        ),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_remediation_receipt_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_remediation_receipt_party")),
        sa.ForeignKeyConstraint(
            ["signed_by"], ["party_key.id"], name=op.f("fk_remediation_receipt_signed_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remediation_receipt")),
        sa.UniqueConstraint("party", "digest", name=op.f("uq_remediation_receipt_party_digest")),
        sa.UniqueConstraint(
            "signed_by", "counter", name=op.f("uq_remediation_receipt_signed_by_counter")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_remediation_receipt_action"), "remediation_receipt", ["action"], unique=False
    )
    op.create_table(
        "scan_coverage",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("recorded_at", WHOLE, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["lease"], ["scan_lease.id"], name=op.f("fk_scan_coverage_lease")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scan_coverage")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_scan_coverage_lease"), "scan_coverage", ["lease"], unique=False)
    op.create_table(
        "disclosure_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vulnerability", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", WHOLE, nullable=False),
        sa.Column("closed_at", WHOLE, nullable=True),
        sa.Column("sealed_title", sa.LargeBinary(), nullable=False),
        sa.Column("embargo_state", sa.Text(), nullable=False),
        sa.Column("fix_ready_at", WHOLE, nullable=True),
        sa.Column("public_at", WHOLE, nullable=True),
        sa.Column("exploit_at", WHOLE, nullable=True),
        sa.Column("attacks_at", WHOLE, nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_disclosure_case_compartment")
        ),
        sa.ForeignKeyConstraint(
            ["opened_by"], ["party.id"], name=op.f("fk_disclosure_case_opened_by")
        ),
        sa.ForeignKeyConstraint(
            ["vulnerability"], ["finding.id"], name=op.f("fk_disclosure_case_vulnerability")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disclosure_case")),
        sa.UniqueConstraint("opened_by", "key", name=op.f("uq_disclosure_case_opened_by_key")),
        sa.UniqueConstraint("vulnerability", name=op.f("uq_disclosure_case_vulnerability")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_disclosure_case_compartment"), "disclosure_case", ["compartment"], unique=False
    )
    op.create_table(
        "match_assertion",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("asserted_by", sa.Text(), nullable=False),
        sa.Column("asserted_at", WHOLE, nullable=False),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", WHOLE, nullable=True),
        sa.CheckConstraint("a < b", name="match_assertion_ordered"),
        sa.ForeignKeyConstraint(["a"], ["finding.id"], name=op.f("fk_match_assertion_a")),
        sa.ForeignKeyConstraint(["b"], ["finding.id"], name=op.f("fk_match_assertion_b")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_match_assertion")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_match_assertion_a"), "match_assertion", ["a"], unique=False)
    op.create_index(op.f("ix_match_assertion_b"), "match_assertion", ["b"], unique=False)
    op.create_table(
        "match_key",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_match_key_finding")),
        sa.PrimaryKeyConstraint("kind", "value", "finding", name=op.f("pk_match_key")),
        sqlite_strict=True,
    )
    op.create_index("ix_match_key_finding", "match_key", ["finding"], unique=False)
    op.create_table(
        "validation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("level", WHOLE, nullable=True),
        sa.Column("sealed_summary", sa.LargeBinary(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("queued_at", WHOLE, nullable=False),
        sa.Column("decided_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_validation_compartment")
        ),
        sa.ForeignKeyConstraint(["evidence"], ["artifact.id"], name=op.f("fk_validation_evidence")),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_validation_finding")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validation")),
        sa.UniqueConstraint("finding", name=op.f("uq_validation_finding")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_validation_compartment"), "validation", ["compartment"], unique=False)
    op.create_table(
        "case_finding",
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("linked_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["case"], ["disclosure_case.id"], name=op.f("fk_case_finding_case")
        ),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_case_finding_compartment")
        ),
        sa.ForeignKeyConstraint(["finding"], ["finding.id"], name=op.f("fk_case_finding_finding")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_case_finding_party")),
        sa.PrimaryKeyConstraint("case", "finding", name=op.f("pk_case_finding")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_case_finding_compartment"), "case_finding", ["compartment"], unique=False
    )
    op.create_table(
        "case_message",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("written_at", WHOLE, nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case"], ["disclosure_case.id"], name=op.f("fk_case_message_case")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_case_message_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_message")),
        sa.UniqueConstraint("case", "party", "key", name=op.f("uq_case_message_case_party_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_case_message_case"), "case_message", ["case"], unique=False)
    op.create_table(
        "case_participant",
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tier", WHOLE, nullable=False),
        sa.Column("report_state", sa.Text(), nullable=False),
        sa.Column("aware_at", WHOLE, nullable=True),
        sa.Column("fix_ready_at", WHOLE, nullable=True),
        sa.Column("deployed_at", WHOLE, nullable=True),
        sa.Column("joined_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["case"], ["disclosure_case.id"], name=op.f("fk_case_participant_case")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_case_participant_party")),
        sa.PrimaryKeyConstraint("case", "party", name=op.f("pk_case_participant")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_case_participant_party"), "case_participant", ["party"], unique=False)
    op.create_table(
        "embargo",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", WHOLE, nullable=False),
        sa.Column("until", WHOLE, nullable=False),
        sa.Column("operators_early_notice", sa.Integer(), nullable=False),
        sa.Column("sealed_terms", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_at", WHOLE, nullable=True),
        sa.Column("ended_at", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["case"], ["disclosure_case.id"], name=op.f("fk_embargo_case")),
        sa.ForeignKeyConstraint(["proposed_by"], ["party.id"], name=op.f("fk_embargo_proposed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embargo")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_embargo_case"), "embargo", ["case"], unique=False)
    op.create_table(
        "patch",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("sealed_note", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_verdict", sa.LargeBinary(), nullable=True),
        sa.Column("wheel", sa.Text(), nullable=True),
        sa.Column("delivery", sa.Text(), nullable=True),
        sa.Column("submitted_at", WHOLE, nullable=False),
        sa.Column("decided_at", WHOLE, nullable=True),
        sa.Column("adopted_by", sa.Text(), nullable=True),
        sa.Column("adopted_at", WHOLE, nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["adopted_by"], ["party.id"], name=op.f("fk_patch_adopted_by")),
        sa.ForeignKeyConstraint(["case"], ["disclosure_case.id"], name=op.f("fk_patch_case")),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_patch_compartment")
        ),
        sa.ForeignKeyConstraint(["delivery"], ["artifact.id"], name=op.f("fk_patch_delivery")),
        sa.ForeignKeyConstraint(["diff"], ["artifact.id"], name=op.f("fk_patch_diff")),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_patch_party")),
        sa.ForeignKeyConstraint(["wheel"], ["artifact.id"], name=op.f("fk_patch_wheel")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patch")),
        sa.UniqueConstraint("party", "key", name=op.f("uq_patch_party_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_patch_case"), "patch", ["case"], unique=False)
    op.create_index(op.f("ix_patch_compartment"), "patch", ["compartment"], unique=False)
    op.create_table(
        "embargo_consent",
        sa.Column("embargo", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("changed_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["embargo"], ["embargo.id"], name=op.f("fk_embargo_consent_embargo")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_embargo_consent_party")),
        sa.PrimaryKeyConstraint("embargo", "party", name=op.f("pk_embargo_consent")),
        sqlite_strict=True,
    )
    head = sa.table("ledger_head", sa.column("id"), sa.column("seq"), sa.column("hash"))
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": GENESIS}])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ledger_leaf_no_{verb.lower()} BEFORE {verb} ON ledger_leaf "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER ledger_leaf_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
            "ON ledger_leaf FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )


def downgrade() -> None:
    """There is nothing before the first schema."""
    message = "the first schema cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

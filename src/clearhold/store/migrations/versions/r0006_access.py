"""Second people and broken glass in grants; row-level security on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearhold.kernel.errors import UnavailableError
from clearhold.store.fence import ROLE, SERVICE_ROLE

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_PARTY = "nullif(current_setting('clearhold.party', true), '')"
_PRINCIPAL = "nullif(current_setting('clearhold.principal', true), '')"
_PERSON = "nullif(current_setting('clearhold.person', true), '')"
_NOW = "nullif(current_setting('clearhold.now', true), '')::bigint"

# As `access.grants.compartments_of`, and `cases.records.visible_to` for finders. It runs as its
# owner, so that the grants it looks at need no policy of their own.
READABLE = f"""
CREATE FUNCTION clearhold_readable(most integer) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT g.compartment FROM compartment_grant g
   WHERE g.grantee IN ({_PARTY}, {_PRINCIPAL})
     AND g.tier <= most AND g.revoked_at IS NULL
     AND (g.expires_at IS NULL OR g.expires_at > {_NOW})
     AND NOT EXISTS (SELECT FROM recusal r
                      WHERE r.compartment = g.compartment AND r.person = {_PERSON})
  UNION
  SELECT c.compartment FROM case_participant p JOIN disclosure_case c ON c.id = p."case"
   WHERE most >= 1 AND p.party = {_PARTY} AND p.role = 'finder'
     AND NOT EXISTS (SELECT FROM recusal r
                      WHERE r.compartment = c.compartment AND r.person = {_PERSON})
$$
"""  # noqa: S608  # the parts are constants

# Letters are for some of a case's parties alone. Policies on letters and readers that look at each
# other would be without end, so this too runs as its owner.
LETTERS = f"""
CREATE FUNCTION clearhold_letters() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT l.id FROM sealed_reader r JOIN sealed_letter l ON l.id = r.letter
    JOIN sealed_case c ON c.id = l."case"
   WHERE r.party = {_PARTY} AND c.compartment IN (SELECT clearhold_readable(0))
$$
"""  # noqa: S608  # the parts are constants


def _in_tier(tier: int, column: str = "compartment") -> str:
    # An array is made once for a statement, and an index can be searched for what it holds.
    return f"{column} = ANY (ARRAY(SELECT clearhold_readable({tier})))"


_OF_CASE = 'EXISTS (SELECT FROM disclosure_case c WHERE c.id = "case" AND {})'

# What a row shows to whom. A proof is an artefact like a patch, so its tier is not told apart here.
POLICIES = {
    "compartment": _in_tier(3, "id"),
    "artifact": _in_tier(2),
    "submission": _in_tier(0),
    "finding": _in_tier(1),
    "validation": _in_tier(1),
    "campaign": _in_tier(0),
    "disclosure_case": _in_tier(3),
    "embargo": _OF_CASE.format(_in_tier(3, "c.compartment")),
    "embargo_consent": "EXISTS (SELECT FROM embargo e WHERE e.id = embargo_consent.embargo)",
    "case_message": _OF_CASE.format(_in_tier(1, "c.compartment")),
    "case_waiting": _OF_CASE.format(_in_tier(1, "c.compartment")),
    "patch": (
        f"{_in_tier(1)} OR (adopted_at IS NOT NULL AND {_in_tier(2)})"
        f" OR (party = {_PARTY} AND {_in_tier(2)})"
    ),
    "sealed_case": _in_tier(0),
    "sealed_letter": "id = ANY (ARRAY(SELECT clearhold_letters()))",
    "sealed_reader": "letter = ANY (ARRAY(SELECT clearhold_letters()))",
    "inventory": _in_tier(0),
    "inventory_revision": (
        "EXISTS (SELECT FROM inventory i WHERE i.id = inventory_revision.inventory)"
    ),
    "inventory_package": (
        "EXISTS (SELECT FROM inventory i WHERE i.id = inventory_package.inventory)"
    ),
    "scan_lease": _in_tier(0),
    "scan_coverage": "EXISTS (SELECT FROM scan_lease l WHERE l.id = scan_coverage.lease)",
    "remediation_action": _in_tier(0),
    "remediation_receipt": _in_tier(0),
    # An operator who is told early joins the advisory for its public id.
    "advisory": (
        f"state = 'published' OR {_in_tier(2)}"
        " OR EXISTS (SELECT FROM remediation_action a"
        " WHERE a.advisory = advisory.id AND a.early_notice = 1)"
    ),
    # Frozen shortly before it is public.
    "advisory_target": "EXISTS (SELECT FROM advisory a WHERE a.id = advisory_target.advisory)",
    "advisory_bundle": "EXISTS (SELECT FROM advisory a WHERE a.id = advisory_bundle.advisory)",
}


def upgrade() -> None:
    """Note second people; on PostgreSQL raise the fence."""
    op.create_table(
        "broken_glass",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("broken_at", WHOLE, nullable=False),
        sa.Column("ends_at", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["compartment"], ["compartment.id"], name=op.f("fk_broken_glass_compartment")
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"], name=op.f("fk_broken_glass_party")),
        sa.ForeignKeyConstraint(
            ["principal"], ["principal.id"], name=op.f("fk_broken_glass_principal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broken_glass")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_broken_glass_compartment"), "broken_glass", ["compartment"])
    op.drop_index(op.f("ix_case_participant_party"), "case_participant")
    op.create_index("ix_case_participant_party_case", "case_participant", ["party", "case"])
    # Plain additions, which need no copy of a table that others refer to.
    op.execute("ALTER TABLE compartment_grant ADD COLUMN approved_by TEXT")
    op.execute("ALTER TABLE compartment_grant ADD COLUMN emergency INTEGER DEFAULT 0 NOT NULL")
    sqlite = op.get_bind().dialect.name == "sqlite"
    for verb in ("UPDATE", "DELETE"):
        if sqlite:
            op.execute(
                f"CREATE TRIGGER broken_glass_no_{verb.lower()} BEFORE {verb} ON broken_glass "
                "BEGIN SELECT RAISE(ABORT, 'what was broken stays so'); END"
            )
    if not sqlite:
        _raise_fence()


def _raise_fence() -> None:
    op.execute(
        "CREATE FUNCTION broken_glass_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'what was broken stays so'; END $$"
    )
    op.execute(
        "CREATE TRIGGER broken_glass_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
        "ON broken_glass FOR EACH STATEMENT EXECUTE FUNCTION broken_glass_append_only()"
    )
    for role in (ROLE, SERVICE_ROLE):
        _make_role(role)
    schema = op.get_bind().execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    for role in (ROLE, SERVICE_ROLE):
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        for kind, rights in (
            ("TABLES", "SELECT, INSERT, UPDATE, DELETE"),
            ("SEQUENCES", "USAGE, SELECT"),
        ):
            op.execute(f"GRANT {rights} ON ALL {kind} IN SCHEMA {schema} TO {role}")
            op.execute(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rights} ON {kind} TO {role}"
            )
    op.execute(READABLE)
    op.execute(LETTERS)
    for function in ("clearhold_readable(integer)", "clearhold_letters()"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {ROLE}, {SERVICE_ROLE}")
    for table, readable in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # A transaction sees what it wrote itself: a compartment is opened before it is granted. A
        # case is granted at once, and lists of cases need its index.
        own = " OR xmin = pg_current_xact_id_if_assigned()::xid"
        seen = readable if table == "disclosure_case" else readable + own
        op.execute(f"CREATE POLICY request ON {table} TO {ROLE} USING ({seen}) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service ON {table} TO {SERVICE_ROLE} USING (true)")


def _make_role(role: str) -> None:
    """Roles belong to the whole server: another database on it may have made this one."""
    connection = op.get_bind()
    known = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    member = sa.text("SELECT pg_has_role(current_user, :role, 'MEMBER')")
    if connection.execute(known, {"role": role}).first() is None:
        may = sa.text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        if not connection.execute(may).scalar_one():
            raise UnavailableError(
                f"The database user may not make the role {role}.",
                next_step=f"As the server's administrator run: CREATE ROLE {role} NOLOGIN; "
                f"GRANT {role} TO the hub's database user; then migrate again.",
            )
        op.execute(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        op.execute(f"GRANT {role} TO CURRENT_USER")
    if not connection.execute(member, {"role": role}).scalar_one():
        raise UnavailableError(
            f"The database user is no member of the role {role}.",
            next_step=f"As the server's administrator run: GRANT {role} TO the hub's user.",
        )


def downgrade() -> None:
    """Grants made with a second person cannot be told from others without these columns."""
    message = "this cannot be taken back; restore a backup instead"
    raise NotImplementedError(message)

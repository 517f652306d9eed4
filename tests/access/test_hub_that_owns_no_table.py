"""A hub whose database user owns no table works, and cannot take the second fence down."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from access_scene import BOM, Stage
from sqlalchemy import Engine, create_engine, make_url, select, text
from sqlalchemy.exc import ProgrammingError

from clearhold.access.approvals import Act
from clearhold.findings.tables import finding
from clearhold.kernel.ids import CaseId
from clearhold.store import fence
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """The newest schema, reached by a user as `docs/operations.md` has it made."""
    owner = open_engine(database_url)
    migrate(owner)
    name = f"hub_{uuid.uuid4().hex[:12]}"
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"))
        connection.execute(text(f"GRANT clearhold_service, clearhold_request TO {name}"))
    engine = open_engine(
        make_url(database_url)
        .set(username=name, password=name)
        .render_as_string(hide_password=False)
    )
    yield engine
    engine.dispose()
    owner.dispose()
    admin = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP ROLE {name}"))
    admin.dispose()


def test_it_serves_everybody_what_they_may_see_and_nothing_else(
    stage: Stage, case: CaseId, database: Engine
) -> None:
    with database.connect() as connection:
        assert fence.weakness(connection) == ""
    view = stage.ask("ada", "GET", f"/api/v1/cases/{case}").json()
    first = view["findings"][0]
    assert stage.ask("ada", "GET", f"/api/v1/findings/{first}/proof").status_code == 200
    assert stage.ask("lab", "GET", "/api/v1/findings").json()
    for stranger in ("linus", "grace"):
        assert stage.ask(stranger, "GET", f"/api/v1/cases/{case}").status_code == 404
        assert stage.ask(stranger, "GET", "/api/v1/findings").json() == []
    scope = {"package": "pkg:pypi/quuxlib", "technique": "fuzzing"}
    assert stage.ask("lab", "POST", "/api/v1/scanning/leases", scope).is_success
    taken = stage.ask("finder", "POST", "/api/v1/scanning/leases", scope)
    assert taken.status_code == 409
    assert stage.ask("water", "POST", "/api/v1/inventories?name=plant", BOM).is_success
    stage.approve(
        Act.BREAK_GLASS, case, {"member": stage.actors["linus"].principal}, "linus", "grace"
    )
    assert stage.ask("linus", "POST", f"/api/v1/cases/{case}/glass", {"reason": "r"}).is_success
    assert stage.hub.verify_ledger(stage.actors["ada"]).intact


def test_it_cannot_take_down_the_fence(stage: Stage, case: CaseId, sessions: Sessions) -> None:
    with sessions.transaction() as unit:
        assert unit.connection.execute(select(finding.c.id)).all()
    for statement in (
        "ALTER TABLE finding DISABLE ROW LEVEL SECURITY",
        "DROP POLICY request ON finding",
        "ALTER TABLE ledger_leaf DISABLE TRIGGER ALL",
    ):
        with pytest.raises(ProgrammingError), sessions.transaction() as unit:
            unit.connection.execute(text(statement))

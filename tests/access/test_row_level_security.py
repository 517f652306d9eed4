"""On PostgreSQL a request reads nothing of others even when the application forgets to ask."""

from __future__ import annotations

from typing import Any

import pytest
from access_scene import Stage
from sqlalchemy import Engine, select, text, true

from clearhold.advisories import records as advisories
from clearhold.cases import records as cases
from clearhold.cases.tables import case_message, disclosure_case
from clearhold.findings import records as findings
from clearhold.findings.tables import finding, submission
from clearhold.kernel.ids import CaseId
from clearhold.patches import records as patches
from clearhold.store import fence
from clearhold.store.all_tables import metadata
from clearhold.store.unit_of_work import Sessions
from clearhold.validation import records as validations
from clearhold.vault.tables import artifact, compartment

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every predicate of the application gone."""

    def everything(*_given: Any, **_more: Any) -> Any:
        return true()

    for module in (cases, findings, patches, validations, advisories):
        monkeypatch.setattr(module, "visible_to", everything)
    monkeypatch.setattr(findings, "submission_visible_to", everything)


def test_without_any_predicate_a_request_still_shows_nothing_of_others(
    stage: Stage, case: CaseId, careless: None
) -> None:
    known = stage.ask("ada", "GET", f"/api/v1/cases/{case}").json()
    first = known["findings"][0]
    view = stage.ask("ada", "GET", f"/api/v1/findings/{first}").json()
    assert view["content"]["title"]
    for stranger in ("linus", "grace"):
        assert stage.ask(stranger, "GET", "/api/v1/findings").json() == []
        assert stage.ask(stranger, "GET", "/api/v1/cases").json()["cases"] == []
        assert stage.ask(stranger, "GET", "/api/v1/advisories").json() == []
        for path in (
            f"cases/{case}",
            f"cases/{case}/messages",
            f"cases/{case}/readers",
            f"findings/{first}",
            f"findings/{first}/proof",
            f"findings/submissions/{view['submission']}",
            f"findings/submissions/{view['submission']}/raw",
            f"validation/{first}",
        ):
            answer = stage.ask(stranger, "GET", f"/api/v1/{path}")
            assert answer.status_code == 404, path
    # And of what is shown in part, no more than that part.
    assert (
        stage.ask(
            "maintainer", "GET", f"/api/v1/findings/submissions/{view['submission']}/raw"
        ).status_code
        == 404
    )
    assert stage.ask("water", "GET", f"/api/v1/cases/{case}/messages").json() == []


def test_a_request_of_nobody_reads_no_secret_row_and_no_key(
    stage: Stage, case: CaseId, sessions: Sessions
) -> None:
    secret = (disclosure_case, case_message, finding, submission, artifact, compartment)
    with fence.request():
        with sessions.transaction() as unit:
            assert [unit.connection.execute(select(table)).all() for table in secret] == [[]] * 6
        ada = stage.actors["ada"]
        fence.identify(fence.Identity(ada.party, ada.principal, ada.person or ""))
        with sessions.transaction() as unit:
            assert all(unit.connection.execute(select(table)).all() for table in secret)
    with sessions.transaction() as unit:
        assert all(unit.connection.execute(select(table)).all() for table in secret)


def test_the_way_through_the_fence_closes_behind_whoever_took_it(
    stage: Stage, case: CaseId, sessions: Sessions
) -> None:
    def seen(unit: Any) -> int:
        return len(unit.connection.execute(select(finding.c.id)).all())

    with fence.request(), sessions.transaction() as unit:
        assert seen(unit) == 0
        with unit.as_service():
            assert seen(unit) == 2
            with unit.as_service():
                assert seen(unit) == 2
        assert seen(unit) == 0
        with pytest.raises(LookupError), unit.as_service():
            raise LookupError
        assert seen(unit) == 0
    with fence.request(), sessions.transaction() as unit:
        assert seen(unit) == 0


def test_every_secret_table_has_its_policies_or_a_reason_to_have_none(database: Engine) -> None:
    with database.connect() as connection:
        fenced = set(
            connection.execute(
                text(
                    "SELECT c.relname FROM pg_class c JOIN pg_policies p ON p.tablename = c.relname"
                    " WHERE c.relrowsecurity AND 'clearhold_request' = ANY (p.roles)"
                )
            ).scalars()
        )
    secret = {name for name, table in metadata.tables.items() if "compartment" in table.c}
    reasons = {
        "broken_glass": "everyone in the case is to see it",
        "case_finding": "ids alone, which finders of the case share by number",
        "compartment_grant": "who is read in, and the source of every policy",
        "ledger_leaf": "the ledger's own predicate; chains are continued across compartments",
        "scan_lane": "claims must see what others hold",
        "scan_lease": "claims must see what others hold",
        "recusal": "who is barred, and the source of every policy",
        "remediation_matter": "read by services alone",
    }
    assert secret - fenced == set(reasons) & secret
    assert "case_message" in fenced
    assert "compartment" in fenced

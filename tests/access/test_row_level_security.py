"""On PostgreSQL a request reads nothing of others even when the application forgets to ask."""

from __future__ import annotations

import base64
from typing import Any

import pyrage
import pytest
from access_scene import BOM, Stage, live_systems
from sqlalchemy import Connection, Engine, select, text, true

from clearhold.advisories import records as advisories
from clearhold.cases import records as cases
from clearhold.cases import sealed_records as sealed
from clearhold.cases.tables import case_message, disclosure_case
from clearhold.findings import records as findings
from clearhold.findings.tables import finding, submission
from clearhold.inventory import records as inventories
from clearhold.kernel.ids import CaseId
from clearhold.patches import records as patches
from clearhold.scanning import live_records as live
from clearhold.scanning import records as scanning
from clearhold.store import fence
from clearhold.store.unit_of_work import Sessions
from clearhold.validation import records as validations
from clearhold.vault.tables import artifact, compartment
from clearhold.wire.age import fingerprint
from clearhold.wire.letter import Letter

LETTER_KEYS = [pyrage.x25519.Identity.generate().to_public() for _ in range(3)]
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every predicate of the application gone."""

    def everything(*_given: Any, **_more: Any) -> Any:
        return true()

    modules = (cases, sealed, findings, patches, validations, advisories, scanning, inventories)
    for module in modules:
        monkeypatch.setattr(module, "visible_to", everything)
    for name in ("visible_to", "authorisations_visible_to", "stops_visible_to"):
        monkeypatch.setattr(live, name, everything)
    monkeypatch.setattr(live, "notices_visible_to", everything)
    monkeypatch.setattr(sealed, "letter_visible_to", everything)
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


def test_a_session_stands_before_the_same_fence(stage: Stage, case: CaseId, careless: None) -> None:
    ada, linus = stage.session("ada"), stage.session("linus")
    assert ada("GET", f"/api/v1/cases/{case}").status_code == 200
    assert linus("GET", f"/api/v1/cases/{case}").status_code == 404
    assert linus("GET", "/api/v1/findings").json() == []


def test_without_any_predicate_leases_inventories_and_letters_stay_with_whom_they_are_for(
    stage: Stage, case: CaseId, careless: None
) -> None:
    scope = {"package": "pkg:pypi/quuxlib", "technique": "fuzzing"}
    lease = stage.ask("lab", "POST", "/api/v1/scanning/leases", scope).json()
    inventory = stage.ask("water", "POST", "/api/v1/inventories?name=plant", BOM).json()
    for owner, stranger, path, one in (
        ("lab", "finder", "scanning/leases", lease["id"]),
        ("water", "bank", "inventories", inventory["id"]),
    ):
        assert [each["id"] for each in stage.ask(owner, "GET", f"/api/v1/{path}").json()] == [one]
        assert stage.ask(stranger, "GET", f"/api/v1/{path}").json() == []
        assert stage.ask(stranger, "GET", f"/api/v1/{path}/{one}").status_code == 404

    names = {"lab": LETTER_KEYS[0], "maintainer": LETTER_KEYS[1], "finder": LETTER_KEYS[2]}
    for name, key in names.items():
        body = {"recipient": str(key), "findable": True}
        assert stage.ask(name, "POST", "/api/v1/parties/recipients", body).is_success

    def letter(*to: str) -> dict[str, object]:
        content = pyrage.encrypt(Letter("x", b"x").to_bytes(), [names[name] for name in to])
        return {
            "ciphertext": base64.b64encode(content).decode(),
            "to": [
                {"party": stage.handles[name], "fingerprint": fingerprint(str(names[name]))}
                for name in to
            ],
        }

    path = "/api/v1/cases/sealed"
    lodged = stage.ask("lab", "POST", path, letter("maintainer", "finder")).json()
    replied = stage.ask("maintainer", "POST", f"{path}/{lodged['id']}/letters", letter("lab"))
    assert replied.is_success
    for name, seen in (("lab", 2), ("maintainer", 2), ("finder", 1)):
        (shown,) = stage.ask(name, "GET", path).json()
        assert len(shown["letters"]) == seen, name
    for stranger in ("water", "ada", "grace"):
        assert stage.ask(stranger, "GET", path).json() == []
        assert stage.ask(stranger, "GET", f"{path}/{lodged['id']}").status_code == 404


def test_without_any_predicate_live_scans_stay_with_holder_and_owner(
    stage: Stage, case: CaseId, careless: None
) -> None:
    found = live_systems(stage)
    path = "/api/v1/scanning"
    for owner, stranger, listed, one in (
        ("lab", "finder", "live/leases", found["live_lease"]),
        ("water", "bank", "authorisations", found["authorisation"]),
        ("water", "bank", "live/stops", found["stop"]),
        ("water", "ada", "live/stops", found["stop"]),
    ):
        shown = [each["id"] for each in stage.ask(owner, "GET", f"{path}/{listed}").json()]
        assert one in shown
        assert stage.ask(stranger, "GET", f"{path}/{listed}").json() == []
        assert stage.ask(stranger, "GET", f"{path}/{listed}/{one}").status_code == 404
    asked = {"fence": 1, "sources": ["192.0.2.1"]}
    lease = f"{path}/live/leases/{found['live_lease']}"
    assert stage.ask("finder", "POST", f"{lease}/passports", asked).status_code == 404
    assert stage.ask("finder", "POST", f"{lease}/heartbeat", asked).status_code == 404
    notice = f"{path}/live/notices/{found['notice']}/acknowledgement"
    assert stage.ask("finder", "POST", notice).status_code == 404


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


# Secret tables that requests read as they stand, and why.
REASONS = {
    "broken_glass": "everyone in the case is to see it",
    "case_finding": "ids alone, which finders of the case share by number",
    "case_participant": "ids alone, and the source of a finder's policies",
    "compartment_grant": "who is read in, and the source of every policy",
    "coverage_map": "keyed hashes and sealed registers, which name no party",
    "ledger_leaf": "the ledger's own predicate; chains are continued across compartments",
    "match_assertion": "ids alone; services join what different parties found",
    "match_key": "keyed hashes, compared by services across parties",
    "match_review": "ids and a strength; the coordinators' queue asks who may see which",
    "match_sketch": "keyed hashes, compared by services across parties",
    "recusal": "who is barred, and the source of every policy",
    "remediation_matter": "sealed, and read by services alone",
    "scan_lane": "keyed hashes and counters: every claim takes the lane's next token",
}


def unfenced(connection: Connection) -> set[str]:
    """The secret tables that show a request all their rows.

    Secret is what has a compartment, and what refers to such a table, however far around.
    """
    return set(
        connection.execute(
            text(
                "WITH RECURSIVE secret(oid) AS ("
                " SELECT a.attrelid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                " WHERE a.attname LIKE '%compartment' AND NOT a.attisdropped AND c.relkind = 'r'"
                " UNION SELECT 'compartment'::regclass"
                " UNION SELECT k.conrelid FROM pg_constraint k JOIN secret s ON k.confrelid = s.oid"
                " WHERE k.contype = 'f')"
                " SELECT c.relname FROM secret JOIN pg_class c USING (oid)"
                " WHERE NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p"
                " WHERE p.polrelid = c.oid AND to_regrole('clearhold_request') = ANY (p.polroles)))"
            )
        ).scalars()
    )


def test_every_secret_table_has_its_policies_or_a_reason_to_have_none(database: Engine) -> None:
    with database.connect() as connection:
        assert unfenced(connection) == set(REASONS)


@pytest.mark.parametrize(
    "column",
    [
        "compartment text",
        "compartment text REFERENCES compartment (id)",
        "finding text REFERENCES finding (id)",
        "consent text, party text, FOREIGN KEY (consent, party) REFERENCES embargo_consent",
    ],
)
def test_a_new_table_about_what_is_secret_is_found_until_it_has_policies(
    database: Engine, column: str
) -> None:
    with database.connect() as connection:
        connection.execute(text(f"CREATE TABLE hearsay (id text, {column})"))
        assert unfenced(connection) == {*REASONS, "hearsay"}
        connection.execute(
            text("CREATE POLICY request ON hearsay TO clearhold_request USING (false)")
        )
        assert "hearsay" in unfenced(connection)  # a policy that is not enabled is none
        connection.execute(text("ALTER TABLE hearsay ENABLE ROW LEVEL SECURITY"))
        assert unfenced(connection) == set(REASONS)


def test_every_policy_lets_the_service_on(database: Engine) -> None:
    with database.connect() as connection:
        roles = connection.execute(
            text("SELECT tablename, array_agg(policyname::text) FROM pg_policies GROUP BY 1")
        ).all()
    assert len(roles) >= 20
    assert {name: sorted(policies) for name, policies in roles} == {
        name: ["request", "service"] for name, _ in roles
    }

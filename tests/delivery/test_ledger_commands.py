"""The ledger is read over the hub and verified without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Ended
from sqlalchemy import Engine, text, update

from clearhold.access import grants
from clearhold.access.permissions import PartyKind
from clearhold.assembly import Hub
from clearhold.delivery.cli import ledger
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.ledger import records
from clearhold.ledger.tables import ledger_leaf
from clearhold.store.unit_of_work import Sessions
from in_process_http import client_of

FENCES = {
    "sqlite": "DROP TRIGGER ledger_leaf_no_update",
    "postgresql": "DROP TRIGGER ledger_leaf_append_only ON ledger_leaf",
}


@pytest.fixture
def addressed(home: Path, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The database of either kind, named by the setting."""
    address = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("CLEARHOLD_DATABASE", address)
    return database


def write(sessions: Sessions, count: int) -> None:
    for number in range(count):
        with sessions.transaction() as unit:
            unit.record("test:thing:do", actor="a", subject=str(number))


def test_an_untouched_ledger_verifies_without_a_hub(
    run: Callable[..., Ended], addressed: Engine, sessions: Sessions
) -> None:
    write(sessions, 3)
    ended = run("ledger", "verify", "--json")
    assert ended.code == 0
    assert ended.document["intact"] is True
    assert ended.document["leaves"] == 3
    assert len(ended.document["head"]) == 64


def test_tampering_is_found_and_ends_the_command_with_a_fault(
    run: Callable[..., Ended], addressed: Engine, sessions: Sessions
) -> None:
    write(sessions, 3)
    with addressed.begin() as connection:
        connection.execute(text(FENCES[addressed.dialect.name]))
        connection.execute(update(ledger_leaf).where(ledger_leaf.c.seq == 2).values(actor="b"))
    ended = run("ledger", "verify", "--json")
    assert ended.code == 1
    assert ended.document["intact"] is False
    assert ended.document["faults"] == ["leaf 2 was changed"]
    plain = run("ledger", "verify")
    assert plain.code == 1
    assert "leaf 2 was changed" in plain.out


def test_a_leaf_written_while_the_chain_is_read_is_no_fault(
    addressed: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(sessions, 2)
    read = records.leaves

    def slowly(*arguments: object, **options: object) -> object:
        write(sessions, 1)  # after the head was read, before the leaves are
        return read(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(records, "leaves", slowly)
    report = ledger.recompute(addressed.url.render_as_string(hide_password=False))
    assert report.intact
    assert report.leaves == 2


@pytest.mark.parametrize("prepared", [False, True], ids=["no file", "no schema"])
def test_where_there_is_no_ledger_none_is_made(
    run: Callable[..., Ended], home: Path, *, prepared: bool
) -> None:
    file = home / "data" / "clearhold.db"
    if prepared:
        file.parent.mkdir()
        file.touch()
    ended = run("ledger", "verify")
    assert ended.code == 1
    assert "no ledger" in ended.err
    assert "next: " in ended.err
    assert file.exists() == prepared


def test_leaves_are_those_the_caller_is_read_in_to(
    run: Callable[..., Ended], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=30)
    )
    founder = hub.authenticate(issued.secret)
    other = hub.parties.register(founder, handle="lab", name="Lab", kind=PartyKind.LAB, sector=None)
    token = hub.parties.issue_token(founder, other.id, life=timedelta(days=30)).secret
    with hub.sessions.transaction() as unit:
        mine = hub.vault.open_compartment(unit)
        mine_alone = grants.Grantee(founder.party)
        grants.read_in(unit, mine, mine_alone, tier=0, reason="test", granted_by="test")
        unit.record("test:thing:do", actor=founder.principal, subject="s", compartment=mine)
    application = make_app(hub)

    def connected(presented: str) -> HubClient:
        client = HubClient("http://hub", presented)
        reached = client_of(application, dict(client._http.headers))
        client.close()
        client._http = reached
        return client

    monkeypatch.setattr(ledger, "hub", lambda: connected(issued.secret))
    seen = run("ledger", "leaves", "--json").document
    assert "test:thing:do" in {leaf["action"] for leaf in seen}
    assert {leaf["compartment"] for leaf in seen} == {mine}
    last = seen[-1]["seq"]
    assert run("ledger", "leaves", "--after", str(last), "--json").document == []
    monkeypatch.setattr(ledger, "hub", lambda: connected(token))
    assert run("ledger", "leaves", "--json").document == []

"""The ledger is read over the hub and verified without it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended
from sqlalchemy import Engine, text, update

from agreeing import agree
from clearhold.access import grants
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import ledger
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.ledger import records
from clearhold.ledger.tables import ledger_leaf
from clearhold.settings import from_environment
from clearhold.store.unit_of_work import Sessions
from in_process_http import client_of

FENCES = {
    "sqlite": "DROP TRIGGER ledger_leaf_no_update",
    "postgresql": "DROP TRIGGER ledger_leaf_append_only ON ledger_leaf",
}
Run = Callable[..., Ended]


@pytest.fixture
def addressed(home: Path, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The database of either kind, named by the setting."""
    address = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("CLEARHOLD_DATABASE", address)
    return database


def connector(hub: Hub) -> Callable[[str], HubClient]:
    """Makes connections to a hub in this process, for the holder of a token."""
    application = make_app(hub)

    def connected(presented: str) -> HubClient:
        client = HubClient("http://hub", presented)
        reached = client_of(application, dict(client._http.headers))
        client.close()
        client._http = reached
        return client

    return connected


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


def test_a_leaf_written_while_the_ledger_is_read_is_no_fault(
    addressed: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(sessions, 2)
    read = records.leaves

    def slowly(*arguments: object, **options: object) -> object:
        write(sessions, 1)  # after the tree was read, before the leaves are
        return read(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(records, "leaves", slowly)
    report = ledger.recompute(from_environment())
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
    connected = connector(hub)
    monkeypatch.setattr(ledger, "hub", lambda: connected(issued.secret))
    seen = run("ledger", "leaves", "--json").document
    assert "test:thing:do" in {leaf["action"] for leaf in seen}
    assert {leaf["compartment"] for leaf in seen} == {mine, None}
    last = seen[-1]["seq"]
    assert run("ledger", "leaves", "--after", str(last), "--json").document == []
    monkeypatch.setattr(ledger, "hub", lambda: connected(token))
    others = run("ledger", "leaves", "--json").document
    assert {leaf["compartment"] for leaf in others} <= {None}


@pytest.fixture
def finder(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """A finder, as whom every command speaks to the hub."""
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=30)
    )
    founder = hub.authenticate(issued.secret)
    party = hub.parties.register(
        founder, handle="ines", name="Ines", kind=PartyKind.FINDER, sector=None
    )
    token = hub.parties.issue_token(founder, party.id, life=timedelta(days=30)).secret
    agree(hub.parties, hub.agreements, hub.authenticate(token), hub.clock.now())
    connected = connector(hub)
    monkeypatch.setattr(ledger, "hub", lambda: connected(token))
    return hub.authenticate(token)


def publish(hub: Hub, clock: Any) -> None:
    clock.advance(timedelta(seconds=hub.settings.log_interval))
    hub.sequencer.integrate()
    assert hub.sequencer.publish(clock.now())


def test_an_outsider_verifies_the_log_from_its_files_and_the_key_alone(
    run: Run, home: Path, hub: Hub, sessions: Sessions, clock: Any
) -> None:
    key = run("ledger", "key", "--json").document["key"]
    log, seen = str(hub.settings.log_directory), str(home / "seen")
    arguments = ("ledger", "verify", "--log", log, "--key", key, "--since", seen, "--json")
    assert run(*arguments).code == 1  # nothing is published
    for size in (256, 512):
        write(sessions, 3)
        publish(hub, clock)
        ended = run(*arguments)
        assert ended.code == 0
        assert ended.document["size"] == size
        assert ended.document["continues"] == (None if size == 256 else 256)
        assert ended.document["time"] == clock.now().replace(second=0).isoformat()
    tile = Path(log) / "tile" / "entries" / "000"
    content = tile.read_bytes()
    tile.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ended = run(*arguments)
    assert ended.code == 1
    assert not ended.document["intact"]
    assert run("ledger", "verify", "--log", log).code == 1
    assert run("ledger", "verify", "--log", log, "--key", "odd").code == 1
    assert run("ledger", "verify", "--log", str(home / "no"), "--key", key).code == 1
    assert run("ledger", "verify", "--log", "http://127.0.0.1:1/log", "--key", key).code == 1


def test_this_machines_ledger_is_compared_with_what_it_published(
    run: Run, addressed: Engine, hub: Hub, sessions: Sessions, clock: Any
) -> None:
    write(sessions, 3)
    publish(hub, clock)
    found = run("ledger", "verify", "--json").document
    assert (found["leaves"], found["size"], found["published"], found["waiting"]) == (
        3,
        256,
        256,
        0,
    )
    assert found["intact"]
    (hub.settings.log_directory / "tile" / "0" / "000").unlink()
    ended = run("ledger", "verify", "--json")
    assert ended.code == 1
    assert ended.document["faults"] == ["tile/0/000 is missing"]


def test_a_finder_proves_later_what_it_knew_without_having_shown_it(
    run: Run, home: Path, hub: Hub, finder: Actor, clock: Any
) -> None:
    key = run("ledger", "key", "--json").document["key"]
    text, proof = home / "bug.txt", home / "proof.json"
    text.write_text("ujson overflows while indenting")
    assert "--secret" in run("ledger", "reveal", str(text), str(proof)).err
    lodged = run("ledger", "commit", str(text), "--json").document
    secret = home / "bug.txt.commitment.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert run("ledger", "commit", str(text), "--json").document == lodged
    assert run("ledger", "lodged", "--json").document == [lodged]
    early = run("ledger", "reveal", str(text), str(proof))
    assert early.code == 1
    assert "does not reach" in early.err
    assert not proof.exists()
    publish(hub, clock)
    assert run("ledger", "reveal", str(text), str(proof)).code == 0
    check = ("ledger", "check", str(proof), "--key", key)
    found = run(*check, "--text", str(text), "--json")
    assert found.code == 0
    assert found.document["text_known_then"] is True
    assert found.document["logged_by"] == clock.now().isoformat()
    assert found.document["actor"] == finder.principal
    assert run(*check).code == 1
    for file in (proof, text):
        content = file.read_bytes()
        file.write_bytes(content.replace(b"e", b"f"))
        assert run(*check, "--text", str(text)).code == 1
        file.write_bytes(content)
    assert "ujson" not in proof.read_text()
    text.write_text("something else")
    assert "changed since" in run("ledger", "commit", str(text)).err


def test_a_leaf_is_proved_to_whoever_has_the_key_and_no_other_is_given(
    run: Run, home: Path, hub: Hub, finder: Actor, clock: Any
) -> None:
    key = run("ledger", "key", "--json").document["key"]
    with hub.sessions.transaction() as unit:
        mine = hub.vault.open_compartment(unit)
        grants.read_in(
            unit, mine, grants.Grantee(finder.party), tier=0, reason="test", granted_by="test"
        )
        unit.record("test:thing:do", actor=finder.principal, subject="s", compartment=mine)
    publish(hub, clock)
    last = run("ledger", "leaves", "--json").document[-1]
    proof = home / "proof.json"
    assert run("ledger", "prove", str(last["seq"]), str(proof)).code == 0
    found = run("ledger", "check", str(proof), "--key", key, "--json").document
    assert (found["action"], found["text_known_then"]) == ("test:thing:do", False)
    assert run("ledger", "check", str(proof), "--key", key, "--text", str(proof)).code == 1
    document = json.loads(proof.read_text())
    document["leaf"]["actor"] = "mallory"
    (home / "forged.json").write_text(json.dumps(document))
    assert run("ledger", "check", str(home / "forged.json"), "--key", key).code == 1
    assert run("ledger", "prove", str(last["seq"]), str(proof)).code == 1  # it exists
    other = home / "other.json"
    hidden, absent = (run("ledger", "prove", each, str(other)) for each in ("1", "99999"))
    assert (hidden.code, hidden.err) == (absent.code, absent.err)
    assert hidden.code == 1
    assert not other.exists()


def test_who_takes_part_checks_the_chain_of_a_case_from_what_the_hub_tells(
    run: Run, hub: Hub, finder: Actor, database: Engine
) -> None:
    with hub.sessions.transaction() as unit:
        mine = hub.vault.open_compartment(unit)
        grants.read_in(
            unit, mine, grants.Grantee(finder.party), tier=0, reason="test", granted_by="test"
        )
    for number in range(3):
        with hub.sessions.transaction() as unit:
            unit.record("test:thing:do", actor="a", subject=str(number), compartment=mine)
    found = run("ledger", "chains", "--json")
    assert found.code == 0
    told = run("ledger", "leaves", "--json").document
    assert found.document["chains"] == {mine: told[-1]["hash"]}
    assert found.document["leaves"] == len(told) >= 3
    with database.begin() as connection:
        connection.execute(text(FENCES[database.dialect.name].replace("no_update", "no_delete")))
        connection.execute(text("DELETE FROM ledger_leaf WHERE subject = '1'"))
    ended = run("ledger", "chains", "--json")
    assert ended.code == 1
    assert ended.document["faults"] == [
        f"leaf {told[-1]['seq']} does not follow the leaf before it in its compartment"
    ]
    with database.begin() as connection:
        if database.dialect.name == "sqlite":
            connection.execute(text(FENCES["sqlite"]))
        connection.execute(text("UPDATE ledger_leaf SET actor = 'b' WHERE subject = '2'"))
    assert "was changed" in run("ledger", "chains").err

"""Sealed letters are made and opened by the command line, on the machines of those who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Ended

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import finding, party, sealed
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.findings.intake import Format
from in_process_http import client_of

Run = Callable[..., Ended]
SECRET = "canary-report of quuxlib"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What the command line does is the same on either database."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture
def become(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[Actor], None]:
    """Lets the commands act for a party."""

    def act(actor: Actor) -> None:
        with hub.sessions.transaction() as unit:
            token = hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
        client = HubClient("http://hub", token.secret)
        client.close()
        client._http = client_of(make_app(hub), {"Authorization": f"Bearer {token.secret}"})
        for module in (sealed, party, finding):
            monkeypatch.setattr(module, "hub", lambda: client)

    return act


@pytest.fixture
def sides(party_of: Callable[..., Actor]) -> tuple[Actor, Actor]:
    return party_of(PartyKind.LAB, "lab-one"), party_of(PartyKind.MAINTAINER, "vendor-one")


def registered(run: Run, place: Path) -> str:
    made = run("party", "identity", str(place), "--json").document
    assert place.stat().st_mode & 0o777 == 0o600
    recipient = run("party", "recipient", made["recipient"], "--findable", "--json").document
    fingerprint: str = recipient["fingerprint"]
    return fingerprint


def test_a_file_goes_from_one_party_to_another_and_back_unread(
    run: Run,
    home: Path,
    become: Callable[[Actor], None],
    sides: tuple[Actor, Actor],
) -> None:
    lab, vendor = sides
    report = home / "report.txt"
    report.write_text(SECRET)
    become(vendor)
    theirs = registered(run, home / "vendor.key")
    become(lab)
    mine = registered(run, home / "lab.key")
    found = run("party", "recipients", "--of", "vendor-one", "--json").document
    assert [each["fingerprint"] for each in found] == [theirs]
    case = run(
        "case", "sealed", "lodge", str(report), "--to", f"vendor-one={theirs}", "--json"
    ).document
    become(vendor)
    [listed] = run("case", "sealed", "list", "--json").document
    assert listed == run("case", "sealed", "show", case["id"], "--json").document == case
    fetched, opened = home / "letter.age", home / "opened.txt"
    letter = case["letters"][0]["id"]
    fetch = run("case", "sealed", "fetch", case["id"], letter, "--output", str(fetched))
    assert fetch.code == 0, fetch.err
    assert SECRET.encode() not in fetched.read_bytes()
    key = str(home / "vendor.key")
    done = run("case", "sealed", "open", str(fetched), "--identity", key, "--output", str(opened))
    assert done.code == 0, done.err
    assert opened.read_text() == SECRET
    assert "report.txt" in done.out
    answer = run(
        "case", "sealed", "reply", case["id"], str(opened), "--to", f"lab-one={mine}", "--json"
    )
    assert len(answer.document["letters"]) == 2
    wrong = run(
        "case",
        "sealed",
        "open",
        str(fetched),
        "--identity",
        str(home / "lab.key"),
        "--output",
        str(home / "x"),
    )
    assert wrong.code == 1
    assert "AGE-SECRET" not in wrong.err


def test_a_recipient_whose_fingerprint_is_not_the_one_told_gets_nothing(
    run: Run, home: Path, hub: Hub, become: Callable[[Actor], None], sides: tuple[Actor, Actor]
) -> None:
    lab, vendor = sides
    (home / "report.txt").write_text(SECRET)
    become(vendor)
    registered(run, home / "vendor.key")
    become(lab)
    told = "0000-" * 7 + "0000"
    for to in (f"vendor-one={told}", "vendor-one", "nobody-here=1"):
        refused = run("case", "sealed", "lodge", str(home / "report.txt"), "--to", to)
        assert refused.code == 1
        assert "next:" in refused.err
    assert hub.sealed_cases.list(lab) == ()


def test_a_proof_is_fetched_sealed_and_opened_here(
    run: Run, home: Path, hub: Hub, become: Callable[[Actor], None], sides: tuple[Actor, Actor]
) -> None:
    lab, _ = sides
    become(lab)
    mine = registered(run, home / "lab.key")
    body = (
        '{"schema": "clearhold-finding/1", "package": "pkg:pypi/quuxlib@1.0", "title": "t", '
        '"description": "d", "claim": {"kind": "crash"}, "target": "encode", "proof": "UFJPT0Y="}'
    )
    sent = hub.findings.submit(lab, body.encode(), form=Format.CLEARHOLD_JSON, key="k")
    words = ("finding", "proof", sent.findings[0].finding, "--output", str(home / "proof.age"))
    done = run(*words, "--sealed-to", mine)
    assert done.code == 0, done.err
    assert (home / "proof.age").read_bytes().startswith(b"age-encryption.org/v1\n")
    opened = run(
        "party",
        "open",
        str(home / "proof.age"),
        "--identity",
        str(home / "lab.key"),
        "--output",
        str(home / "proof"),
    )
    assert opened.code == 0, opened.err
    assert (home / "proof").read_bytes() == b"PROOF"

"""Keys are kept from the hub's own machine: one person rotates them, two destroy or copy them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Ended

from clearhold.access.approvals import Act
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub, open_hub
from clearhold.assembly.keys import open_ring
from clearhold.settings import Settings, from_environment

Run = Callable[..., Ended]


def token_of(hub: Hub, person: str) -> str:
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person=person, life=timedelta(days=30)
    )
    return issued.secret


@pytest.fixture
def people(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two coordinators' tokens; the first one types the commands."""
    with open_hub(from_environment(), work=False) as hub:
        tokens = token_of(hub, "Ada"), token_of(hub, "Bo")
    monkeypatch.setenv("CLEARHOLD_TOKEN", tokens[0])
    return tokens


def approve(people: tuple[str, str], act: Act, subject: str) -> None:
    with open_hub(from_environment(), work=False) as hub:
        ada, bo = (hub.authenticate(each) for each in people)
        made = hub.approvals.propose(ada, act, subject, particulars={}, reason="spring cleaning")
        hub.approvals.give(bo, made.id)


def test_two_people_rotate_the_keys_and_anybody_finishes_it(
    run: Run, home: Path, people: tuple[str, str]
) -> None:
    approve(people, Act.KEY_ROTATION, "ring")
    before = run("admin", "keys", "status", "--json").document
    after = run("admin", "keys", "rotate", "--json").document
    assert after["current"] != before["current"]
    assert set(after["keys"]) == {before["current"], after["current"]}
    assert run("admin", "keys", "resume", "--json").document == after


def test_copying_and_destroying_keys_takes_the_approval_of_exactly_that(
    run: Run, home: Path, people: tuple[str, str]
) -> None:
    copy = home / "safe.json"
    for words, act, subject in (
        (("backup", str(copy)), Act.KEY_BACKUP, str(copy)),
        (("rotate",), Act.KEY_ROTATION, "ring"),
        (("destroy-retired",), Act.KEY_DESTRUCTION, "ring"),
        (("forget", str(copy)), Act.KEY_BACKUP, f"forget:{copy}"),
    ):
        refused = run("admin", "keys", *words)
        assert refused.code == 1
        assert "second person's approval" in refused.err
        approve(people, act, subject)
        done = run("admin", "keys", *words, "--json")
        assert done.code == 0, done.err
        assert run("admin", "keys", *words).code == 1
    assert done.document["backups"] == {}
    assert not copy.exists()


def test_who_is_nobody_or_no_coordinator_does_not_get_as_far_as_asking(
    run: Run, home: Path, people: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLEARHOLD_TOKEN")
    assert "CLEARHOLD_TOKEN" in run("admin", "keys", "destroy-retired").err
    with open_hub(from_environment(), work=False) as hub:
        ada: Actor = hub.authenticate(people[0])
        lab = hub.parties.register(ada, handle="lab-one", name="Lab", kind=PartyKind.LAB)
        issued = hub.parties.issue_token(ada, lab.id, life=timedelta(days=1))
    monkeypatch.setenv("CLEARHOLD_TOKEN", issued.secret)
    for words in (("destroy-retired",), ("backup", str(home / "x")), ("expunge", "some-case")):
        refused = run("admin", "keys", *words)
        assert refused.code == 1
        assert "Only the hub's coordinators" in refused.err


def test_a_case_that_never_was_is_not_expunged(run: Run, people: tuple[str, str]) -> None:
    approve(people, Act.EXPUNGE, "never-was")
    ended = run("admin", "keys", "expunge", "never-was")
    assert ended.code == 1
    assert "no such case" in ended.err


def test_the_settings_choose_the_ring(home: Path) -> None:
    settings = from_environment(
        {
            "CLEARHOLD_KEY_RING": "pkcs11",
            "CLEARHOLD_PKCS11_MODULE": "/nowhere.so",
            "CLEARHOLD_PKCS11_PIN_FILE": str(home / "no-pin"),
        }
    )
    with pytest.raises(Exception, match="PIN cannot be read"):
        open_ring(settings)
    file = open_ring(Settings(data_directory=home / "data", key_directory=home / "keys"))
    assert len(file.generations()) == 1
    for name, value in (("KEY_RING", "paper"), ("RELEASES_PER_HOUR", "0")):
        with pytest.raises(Exception, match=name):
            from_environment({f"CLEARHOLD_{name}": value})

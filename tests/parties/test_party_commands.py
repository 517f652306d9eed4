"""The command line takes a party from its first token to its wishes, signing on its own machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import agreement, main, party, standing
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.wire import key_holding
from in_process_http import client_of


@pytest.fixture
def command(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command as the holder of a token; returns its JSON, or what it complained of."""
    app = make_app(hub)
    monkeypatch.setattr(agreement, "now", hub.clock.now)

    def run(token: str, *words: str, fails: bool = False) -> Any:
        client = HubClient("http://hub", token)
        reached = client_of(app, client._http.headers)
        client.close()
        monkeypatch.setattr(client, "_http", reached)
        for module in (agreement, party, standing):
            monkeypatch.setattr(module, "hub", lambda: client)
        result = CliRunner().invoke(main.app, [*words, "--json"])
        assert result.exit_code == (1 if fails else 0), result.output
        return result.output if fails else json.loads(result.stdout)

    return run


def test_a_maintainer_agrees_stands_for_its_package_and_wishes(
    hub: Hub, command: Callable[..., Any], tmp_path: Path
) -> None:
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    ada = issued.secret
    made = command(ada, "party", "register", "quux-team", "Quux", "maintainer")
    token = command(ada, "party", "token", made["id"])["token"]
    assert "Accept the agreement" in command(token, "party", "wishes", fails=True)

    key = str(tmp_path / "party.pem")
    assert "cannot be read" in command(
        token, "agreement", "accept", "maintainers", "1", "--key", key, fails=True
    )
    command(token, "party", "key", "make", key)
    assert "there already" in command(token, "party", "key", "make", key, fails=True)
    assert Path(key).stat().st_mode & 0o777 == 0o600
    assert "newest version" in command(
        token, "agreement", "accept", "maintainers", "2", "--key", key, fails=True
    )
    assert "not for a party of the kind" in command(
        token, "agreement", "accept", "finders", "1", "--key", key, fails=True
    )
    command(token, "agreement", "accept", "maintainers", "1", "--key", key)
    assert hub.authenticate(token).permissions == PERMISSIONS[PartyKind.MAINTAINER]
    stands = command(token, "agreement", "list")["agreements"]
    assert {each["name"]: each["status"] for each in stands}["maintainers"] == "in-force"
    assert command(token, "agreement", "signed")[0]["agreement"] == "maintainers"

    asked = command(token, "party", "verify", "example.org")
    assert asked["line"].startswith("clearhold-")
    assert "does not stand" in command(
        token, "party", "wish", "pkg:pypi/quux", "--do-not-scan", fails=True
    )
    agents = tmp_path / "key.json"
    assert "cannot be read" in command(token, "party", "key", "add", str(agents), fails=True)
    agents.write_bytes(b"{")
    assert "not what registers" in command(token, "party", "key", "add", str(agents), fails=True)
    mine = command(token, "party", "self")["party"]
    shown = key_holding.registration(mine, Ed25519PrivateKey.generate())
    agents.write_text(json.dumps(shown))
    assert len(command(token, "party", "key", "add", str(agents))["id"]) == 64

    command(ada, "party", "confirm", made["id"], "pkg:pypi/quux", "met in person")
    wished = command(
        token,
        *("party", "wish", "pkg:pypi/quux", "--most-open", "3", "--embargo-longest", "60"),
        *("--quiet", "22:00-08:00@Europe/Berlin", "--quiet-day", "6"),
    )
    assert wished["wishes"]["quiet"][0]["zone"] == "Europe/Berlin"
    assert wished["wishes"]["most_open"] == 3
    (mine,) = command(token, "party", "wishes")
    assert mine == wished
    assert "not known" in command(
        token, "party", "wish", "pkg:pypi/quux", "--quiet", "22:00-08:00@Mars", fails=True
    )
    command(token, "party", "unwish", "pkg:pypi/quux")
    command(token, "party", "set-contacts", "--email", "a@example.org", "--language", "en")
    assert command(ada, "party", "contacts", made["id"])["emails"][0]["address"] == "a@example.org"
    command(token, "party", "stand-down", "pkg:pypi/quux")

    command(token, "agreement", "suspend", "maintainers")
    assert "Accept the agreement" in command(token, "party", "wishes", fails=True)
    command(token, "agreement", "resume", "maintainers")
    ended = command(ada, "agreement", "end", "maintainers", made["id"], "rules were broken")
    assert ended["status"] == "ended"
    assert "coordinator" in command(token, "agreement", "resume", "maintainers", fails=True)


def test_a_person_joins_a_second_party_by_invitation(hub: Hub, command: Callable[..., Any]) -> None:
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    made = command(issued.secret, "party", "register", "quux-team", "Quux", "vendor")
    admin = command(issued.secret, "party", "token", made["id"])["token"]
    invited = command(admin, "party", "invite", "--role", "viewer")
    joined = command(issued.secret, "party", "join", invited["invitation"])
    assert hub.authenticate(joined["token"]).person == hub.authenticate(issued.secret).person
    assert command(admin, "party", "invitations")[0]["member"] == joined["id"]
    second = command(admin, "party", "invite")
    left = command(admin, "party", "uninvite", second["id"])
    revoked = {each["id"]: each["revoked_at"] is not None for each in left}
    assert revoked == {invited["id"]: False, second["id"]: True}


def test_a_key_that_others_can_read_signs_nothing(
    hub: Hub, command: Callable[..., Any], tmp_path: Path
) -> None:
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    key = tmp_path / "party.pem"
    command(issued.secret, "party", "key", "make", str(key))
    key.chmod(0o640)
    words = ("agreement", "accept", "finders", "1", "--key", str(key))
    assert "chmod 600" in command(issued.secret, *words, fails=True)

"""Getting in, enrolling, providers and recovery from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended

from clearhold.assembly.hub import open_hub
from clearhold.delivery import client
from clearhold.delivery.http.app import make_app
from clearhold.settings import from_environment
from in_process_http import client_of


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub of the settings answers every client of this process."""

    class Answered(client.HubClient):
        def __init__(self, address: str, token: str) -> None:
            self._token = token

        def _send(self, method: str, path: str, **options: Any) -> Any:
            with open_hub(from_environment(), work=False) as hub:
                headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
                self._http = client_of(make_app(hub), headers)
                return super()._send(method, path, **options)

    monkeypatch.setattr("clearhold.delivery.client.HubClient", Answered)


def test_a_member_gets_in_by_command_and_is_recovered_by_two_coordinators(
    served: None, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*words: str) -> Any:
        done = run(*words, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    def as_who(token: str) -> None:
        monkeypatch.setenv("CLEARHOLD_TOKEN", token)

    ada = told("admin", "found", "hub", "Hub", "--person", "Ada")
    bo = told("admin", "found", "hub", "Hub", "--person", "Bo")
    assert ada["enrolment"] != bo["enrolment"]
    as_who(ada["token"])
    party = told("party", "register", "lab", "Lab", "lab")["id"]
    lin = told("party", "add-member", party, "Lin", "--role", "admin", "--role", "handler")
    again = told("party", "enrol", party, lin["id"])
    monkeypatch.setenv("CLEARHOLD_ENROLMENT", lin["enrolment"])
    refused = run("account", "redeem")
    assert refused.code == 1
    assert lin["enrolment"] not in refused.err
    monkeypatch.setenv("CLEARHOLD_ENROLMENT", again["enrolment"])
    token = told("account", "redeem")["token"]

    as_who(token)
    (own,) = told("account", "tokens")
    assert own["owner"] == lin["id"]
    assert told("party", "tokens", party) == [own]
    assert told("account", "enrol")["enrolment"].startswith("ce_")
    assert told("party", "providers", party) == []
    assert run("party", "add-provider", party, "Own", "https://127.0.0.1", "id").code == 1

    as_who(ada["token"])
    assert run("account", "recover", lin["id"]).code == 1
    proposal = told("approval", "propose", "recovery", lin["id"], "lost everything")
    as_who(bo["token"])
    told("approval", "give", proposal["id"])
    recovery = told("account", "recover", lin["id"])
    assert recovery["state"] == "waiting"

    as_who(token)
    assert [each["id"] for each in told("account", "recoveries")] == [recovery["id"]]
    assert told("account", "veto", recovery["id"])["state"] == "stopped"
    told("account", "revoke", own["id"])
    assert run("account", "tokens").code == 1

    told("admin", "found", "hub", "Hub", "--person", "Bo", "--recover")
    as_who(bo["token"])
    assert run("party", "list").code == 1

"""The command, the routes and the second holder's endpoint, put together."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

import known_proofs
from clearhold.adapters.second_key_http import HttpSecondKey
from clearhold.adapters.secret_file import secret_in
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import known as command
from clearhold.delivery.cli.main import app
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.second_key import make_second_app
from clearhold.delivery.http.wire_protocol import BoundedHttp
from clearhold.findings.known import oprf
from clearhold.findings.known.keys import KeyHalf
from clearhold.findings.known.oprf import Evaluation
from clearhold.kernel.errors import UnavailableError
from in_process_http import InProcess, client_of
from known_proofs import FRAMES, PACKAGE, PROOF


@pytest.fixture
def asks(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `clearhold finding known` as a party of the hub."""

    def run(actor: Any, proof: bytes, *options: str) -> Any:
        with hub.sessions.transaction() as unit:
            issued = hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
        client = HubClient("http://hub", "")
        client.close()
        client._http = client_of(make_app(hub), {"Authorization": f"Bearer {issued.secret}"})
        monkeypatch.setattr(command, "hub", lambda: client)
        file = tmp_path / "proof"
        file.write_bytes(proof)
        frames = [word for each in FRAMES for word in ("--frame", each)]
        words = ["finding", "known", str(file), "--package", PACKAGE, *frames, "--json", *options]
        return CliRunner().invoke(app, words)

    return run


def test_a_command_tells_a_hit_from_a_miss_and_since_when(held: Any, asks: Any, labs: Any) -> None:
    held(labs[0])
    missed = asks(labs[1], known_proofs.ANOTHER_FLAW)
    assert json.loads(missed.stdout)["known"] is False
    hit = json.loads(asks(labs[1], known_proofs.REFORMATTED).stdout)
    assert hit["known"] is True
    assert "since" not in hit
    claimed = json.loads(asks(labs[1], known_proofs.REFORMATTED, "--claim").stdout)
    assert (claimed["as"], claimed["name"], claimed["since"]) == ("coordinated", "", "2026-06")


def test_a_proof_that_could_be_guessed_is_not_asked_about(hub: Hub, asks: Any, labs: Any) -> None:
    done = asks(labs[1], known_proofs.WEAK)
    assert done.exit_code == 1
    assert "could not be guessed" in done.stderr
    assert hub.ledger.lodged(labs[1], after=0) == ()


def test_other_keys_than_expected_are_refused_before_anything_is_sent(asks: Any, labs: Any) -> None:
    done = asks(labs[1], PROOF, "--digest", "0" * 64)
    assert done.exit_code == 1
    assert "not those that are expected" in done.stderr


def test_offline_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "hub", lambda: pytest.fail("somebody was asked"))
    file = tmp_path / "proof"
    file.write_bytes(PROOF)
    words = ["finding", "known", str(file), "--package", PACKAGE, "--offline", "--json"]
    shown = json.loads(CliRunner().invoke(app, words).stdout)
    assert {each["kind"] for each in shown["signatures"]} >= {"exact", "written", "shape"}


def test_routes_refuse_what_is_no_question(hub: Hub, labs: Any, asks: Any) -> None:
    with hub.sessions.transaction() as unit:
        issued = hub.tokens.issue(unit, labs[0].principal, life=timedelta(days=1), by="test")
    client = client_of(make_app(hub), {"Authorization": f"Bearer {issued.secret}"})
    base = "http://hub/api/v1/findings/known"
    element = oprf.blind(b"x").element.hex()
    good = {"epoch": 1, "room": 0, "lodgement": "x", "elements": [element] * 16}
    for change in (
        {"elements": []},
        {"elements": [element] * 100_000},
        {"elements": ["0" * 64] * 16},
        {"elements": ["f" * 64] * 16},
        {"room": 256},
        {"room": -1},
        {"epoch": 1 << 70},
        {"lodgement": "x" * 100},
    ):
        assert client.post(f"{base}/questions", json=good | change).status_code == 422
    assert client.post(f"{base}/questions", json=good).status_code in {404, 409}
    for place in ("1/256", "1/-1", f"{1 << 80}/0"):
        assert client.get(f"{base}/rooms/{place}").status_code == 422


def test_the_second_holder_answers_the_hub_alone_and_so_much_a_day() -> None:
    half = KeyHalf(bytes(32))
    served = make_second_app(half, token="right", most_a_day=20)
    second = HttpSecondKey("http://second", "right", transport=InProcess(served))
    assert second.publics(3) == half.publics(3)
    elements = [oprf.blind(bytes([each])).element for each in range(16)]
    answered, proof = second.evaluate(3, 7, elements)
    oprf.check(half.publics(3)[7], elements, Evaluation(answered, proof))
    with pytest.raises(UnavailableError):  # the allowance of the day is used up
        second.evaluate(3, 7, elements)
    stranger = HttpSecondKey("http://second", "wrong", transport=InProcess(served))
    with pytest.raises(UnavailableError):
        stranger.publics(3)


def test_the_second_holder_reads_nothing_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(served: FastAPI, **how: Any) -> None:
        assert issubclass(how["http"], BoundedHttp)
        endless = client_of(served, {}).post("/evaluations", content=iter([b"["] * 3))
        assert endless.status_code == 413

    monkeypatch.setattr("clearhold.delivery.cli.known_keys.uvicorn.run", serve)
    file = str(tmp_path / "half")
    for what in ("make", "serve"):
        assert CliRunner().invoke(app, ["admin", "known-half", what, file]).exit_code == 0


def test_the_half_s_secrets_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "half"
    made = CliRunner().invoke(app, ["admin", "known-half", "make", str(file), "--json"])
    token = json.loads(made.stdout)["token"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().splitlines()[1] == token
    again = CliRunner().invoke(app, ["admin", "known-half", "make", str(file)])
    assert again.exit_code == 1
    held = tmp_path / "known-second"
    held.write_text(token)
    held.chmod(0o644)
    with pytest.raises(UnavailableError):
        secret_in(held, "The token")
    held.chmod(0o600)
    assert secret_in(held, "The token") == token

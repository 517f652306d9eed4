"""A report goes by the command line from trials to what is signed, and tells of a re-test since the draft."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from desk_scene import DAY, HOUR, Desk
from gateway_scene import ONE_DATABASE
from test_reports_at_the_hub import planned, run_of
from test_what_reports_tell_besides import FIX, RETEST, found
from trial_examples import plan
from typer.testing import CliRunner

from clearhold.access.model import Actor
from clearhold.delivery.cli import main, model_report
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.evaluations.model import Act
from clearhold.evaluations.reporting import signed
from clearhold.evaluations.safeguard_steps import Step, StepTaken
from in_process_http import client_of

Does = Callable[..., Any]


@pytest.fixture
def does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Does:
    """What `clearhold model report` answers to a party, at the hub's time."""
    app = make_app(desk.hub)
    monkeypatch.setattr(model_report, "now", desk.now)

    def act(actor: Actor, *words: str, fails: bool = False) -> Any:
        with desk.hub.sessions.transaction() as unit:
            token = desk.hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
        client = HubClient("http://hub", token.secret)
        client.close()
        client._http = client_of(app, {"Authorization": f"Bearer {token.secret}"})
        monkeypatch.setattr(model_report, "hub", lambda: client)
        done = CliRunner().invoke(main.app, ["model", "report", *words])
        assert (done.exit_code != 0) is fails, done.output
        return done.stderr if fails else json.loads(done.stdout) if "--json" in words else None

    return act


@ONE_DATABASE
def test_a_report_is_drafted_sent_closed_with_what_happened_since_and_verified(
    desk: Desk, does: Does, clock: Any, tmp_path: Path
) -> None:
    register = desk.hub.models.safeguards
    view = desk.testing(planned=planned)
    engagement = view.stored.id
    finding = found(desk, engagement)
    clock.advance(HOUR)

    def file(name: str, content: bytes = b"") -> str:
        if content:
            (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    given = (
        *("--plan", file("plan.json", plan(engagement=engagement).content)),
        *("--trials", file("trials.json", run_of(view).content)),
    )
    words = ("--words", file("words.toml", b'[[sections]]\ntitle = "Summary"\ntext = "Some."\n'))
    draft = ("--to", file("draft.json"))
    does(desk.testers, "draft", engagement, *given, *words, *draft)
    does(desk.testers, "send", engagement, file("draft.json"), "--json")
    register.step(desk.lab, engagement, finding.id, FIX)
    desk.hub.models.engagements.act(desk.lab, view.stored.id, Act.WAIVE_REPLY)
    for step in (StepTaken(to=Step.RETEST_RUNNING), RETEST):
        register.step(desk.testers, engagement, finding.id, step)
    clock.advance(2 * DAY)
    held = desk.keys[desk.testers.party]
    pem = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = file("key.pem", pem)
    Path(key).chmod(0o600)
    closed = ("--to", file("final.json"), "--renew", "a re-test since")
    does(desk.testers, "final", engagement, "--key", key, *closed, "--json")
    public = held.public_key().public_bytes_raw().hex()
    shown = does(desk.testers, "verify", file("final.json"), "--key", public, *given, "--json")
    assert shown["safeguards"] == [str(Step.VERIFIED)]
    assert (shown["reply"], shown["figures_recomputed"]) == ("waived", True)
    issued = desk.hub.models.reports.final(desk.lab, engagement)
    report = signed.unpacked(issued.packed).report
    assert report.closing is not None
    assert [(each.part, each.reason) for each in report.closing.corrections] == [
        ("beside", "a re-test since")
    ]
    other = plan(engagement=engagement, seed=8)
    wrong = ("--plan", file("other.json", other.content), *given[2:])
    told = does(desk.testers, "verify", file("final.json"), "--key", public, *wrong, fails=True)
    assert "registered" in told

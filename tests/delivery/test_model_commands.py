"""Two sides agree on testing a model, propose a test and change it, by the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import Ended

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.cli import model_agreement, model_engagement, party_key
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from in_process_http import client_of

Run = Callable[..., Ended]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What the command line does is the same on either database."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture
def become(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[Actor], None]:
    """Lets the commands act for a party, at the hub's time."""
    for module in (model_agreement, model_engagement):
        monkeypatch.setattr(module, "now", hub.clock.now)

    def act(actor: Actor) -> None:
        with hub.sessions.transaction() as unit:
            token = hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
        client = HubClient("http://hub", token.secret)
        client.close()
        client._http = client_of(make_app(hub), {"Authorization": f"Bearer {token.secret}"})
        for module in (model_agreement, model_engagement):
            monkeypatch.setattr(module, "hub", lambda: client)

    return act


def test_two_sides_agree_and_change_an_engagement_by_commands(
    run: Run,
    home: Path,
    hub: Hub,
    party_of: Callable[..., Actor],
    become: Callable[[Actor], None],
) -> None:
    lab = party_of(PartyKind.LAB, "aurora-lab")
    testers = party_of(PartyKind.EVALUATOR, "national-evaluators")
    keys = {actor.party: home / f"{actor.kind}.pem" for actor in (lab, testers)}
    for actor in (lab, testers):
        hold(hub.parties, actor, party_key.make(keys[actor.party]))
    draft = home / "ours.toml"
    draft.write_text(run("model", "agreement", "draft").out)

    def done(actor: Actor, *words: str) -> dict[str, object]:
        become(actor)
        ended = run("model", *words, "--json")
        assert ended.code == 0, ended.err
        found: dict[str, object] = ended.document
        return found

    def signing(actor: Actor) -> tuple[str, str]:
        return "--key", str(keys[actor.party])

    offered = done(testers, "agreement", "offer", str(draft), *signing(testers))
    agreement = str(offered["id"])
    become(lab)
    other = ("--expect-digest", "0" * 64)
    unread = run("model", "agreement", "sign", agreement, *signing(lab), *other)
    assert unread.code == 1
    assert "not the one expected" in unread.err
    read = ("--expect-digest", str(offered["terms_sha256"]))
    signed = done(lab, "agreement", "sign", agreement, *signing(lab), *read)
    assert signed["state"] == "in_force"
    held = done(lab, "agreement", "move", agreement, "suspend")
    assert held["suspended_by"] == ["developer"]
    become(testers)
    refused = run("model", "agreement", "move", agreement, "resume")
    assert refused.code == 1
    assert "it alone resumes" in refused.err
    done(lab, "agreement", "move", agreement, "resume")
    proposed = done(
        testers,
        *("engagement", "propose", agreement, "aurora-9", "--variant", "release-candidate"),
        *("--days", "10", "--release", "2026-07-01T00:00:00"),
    )
    engagement = str(proposed["id"])
    done(lab, "engagement", "act", engagement, "accept")
    for hours in ("inf", "nan", "-1", "1.9"):
        assert run(
            *("model", "engagement", "ask", engagement, "extend", f"--hours={hours}"),
            *signing(testers),
        ).code
    asked = done(
        testers, "engagement", "ask", engagement, "extend", "--hours", "48", *signing(testers)
    )
    nonce = asked["waiting"][0]["change"]["nonce"]  # type: ignore[index]
    for actor in (lab, testers):
        become(actor)
        other = run("model", "engagement", "take-back", engagement, "no-such-nonce")
        assert "No change with this nonce" in other.err
    become(lab)
    assert "signed no such change" in run("model", "engagement", "take-back", engagement, nonce).err
    taken = done(testers, "engagement", "take-back", engagement, nonce)
    assert taken["waiting"] == []
    become(lab)
    assert run("model", "engagement", "consent", engagement, nonce, *signing(lab)).code == 1
    asked = done(
        testers, "engagement", "ask", engagement, "extend", "--hours", "48", *signing(testers)
    )
    nonce = asked["waiting"][0]["change"]["nonce"]  # type: ignore[index]
    longer = done(lab, "engagement", "consent", engagement, nonce, *signing(lab))
    assert longer["clock"]["length_s"] == 12 * 86400  # type: ignore[index]
    assert longer["waiting"] == []
    moved = done(lab, "engagement", "release", engagement, "--at", "2026-07-02T00:00:00")
    assert moved["happened"][-1]["act"] == "move-release"  # type: ignore[index]
    assert done(lab, "engagement", "act", engagement, "withdraw")["state"] == "withdrawn"


def test_an_instant_without_a_zone_is_told_to_whoever_sends_it(
    hub: Hub, party_of: Callable[..., Actor]
) -> None:
    lab = party_of(PartyKind.LAB, "aurora-lab")
    with hub.sessions.transaction() as unit:
        token = hub.tokens.issue(unit, lab.principal, life=timedelta(days=1), by="test")
    client = client_of(make_app(hub), {"Authorization": f"Bearer {token.secret}"})
    told = client.post(
        "/api/v1/evaluations/engagements/none/release", json={"release_at": "2027-02-01T00:00:00"}
    )
    assert told.status_code == 422
    assert "release_at" in told.json()["title"]


VERIFIED_ALONE = """
import sys
from clearhold.__main__ import app
app(["model", "report", "verify", "none", "--key", "00" * 32], standalone_mode=False)
print(*sys.modules)
"""


def test_a_report_is_verified_without_importing_a_hub() -> None:
    words = [sys.executable, "-c", VERIFIED_ALONE]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "The file cannot be read" in done.stderr
    imported = set(done.stdout.split())
    assert "clearhold.evaluations.reporting.signed" in imported
    assert not imported & {"sqlalchemy", "fastapi", "httpx", "inspect_ai", "clearhold.assembly.hub"}

"""The commands an operator types."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tiny_hub import ADVISORY, StillClock, TinyHub, install, wheel
from typer.testing import CliRunner

from clearhold.agent import packages_pip
from clearhold.delivery.cli import agent as commands
from clearhold.kernel.errors import InvalidError
from clearhold.wire import cyclonedx, key_holding
from clearhold.wire.receipt import verify


@pytest.fixture(autouse=True)
def still(clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SystemClock", lambda: clock)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "operator"
    monkeypatch.setenv("CLEARHOLD_AGENT_STATE", str(path))
    return path


def run(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(commands.app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def say(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(commands.app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done.output


def enrolled(hub: TinyHub) -> dict[str, Any]:
    digest = hashlib.sha256(hub.publisher.trusted_root()).hexdigest()
    return run("enrol", hub.repository, "--operator", "waterworks", "--root-sha256", digest)


def test_the_whole_way_from_enrolment_to_receipts(
    hub: TinyHub, home: Path, environment: Path, reachable: Path, tmp_path: Path
) -> None:
    hub.release()
    key = load_pem_public_key(enrolled(hub)["public_key"].encode())
    assert isinstance(key, Ed25519PublicKey)
    synced = run("sync", "--environment", environment)
    assert [each["state"] for each in synced["receipts"]] == ["received"]
    (match,) = run("plan", environment)["matches"]
    assert (match["advisory"], match["verdict"]) == (ADVISORY, "affected")
    assert match["fix"] == "pkg:pypi/parrot@2.0"
    refused = run("apply", environment, ADVISORY, code=1)
    assert (refused["error"], "--yes" in refused["next_step"]) == ("denied", True)
    applied = run("apply", environment, ADVISORY, "--yes")
    assert applied["state"] in {"verified_fixed", "applied"}
    run("receipt", "--output", tmp_path / "out")
    sent = [verify(path.read_bytes(), {"k": key}) for path in sorted((tmp_path / "out").iterdir())]
    assert [each.counter for each in sent] == list(range(1, len(sent) + 1))
    assert sent[-1].state.value == applied["state"]
    assert len(run("receipt", "--after", "2")["receipts"]) == len(sent) - 2
    status = run("status")
    assert (status["operator"], status["receipts"]) == ("waterworks", len(sent))
    assert status["key_id"]
    assert run("plan", environment)["matches"] == []


def test_the_inventory_is_written_as_cyclonedx(environment: Path, tmp_path: Path) -> None:
    install(environment, wheel("toucan", "3.1"))
    report = run("inventory", environment, "--output", tmp_path / "sbom.json")
    assert report["packages"] == ["pkg:pypi/parrot@1.5", "pkg:pypi/toucan@3.1"]
    read = cyclonedx.read((tmp_path / "sbom.json").read_bytes())
    assert [str(each.purl) for each in read.components] == report["packages"]


def test_a_rolled_back_upgrade_has_its_own_exit_code(
    hub: TinyHub, home: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.release()
    enrolled(hub)
    run("sync")
    monkeypatch.setattr(packages_pip, "health", lambda *_: "it smells")
    report = run("apply", environment, ADVISORY, "--yes", code=commands.ROLLED_BACK)
    assert report["state"] == "rolled_back"


def test_a_policy_file_stands_for_the_operators_word(
    hub: TinyHub, home: Path, environment: Path, tmp_path: Path
) -> None:
    hub.release()
    enrolled(hub)
    run("sync")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"environments": [str(environment)], "packages": ["*"]}))
    report = run("apply", environment, ADVISORY, "--policy", policy)
    assert report["state"] in {"verified_fixed", "applied"}


def test_declining_is_signed(hub: TinyHub, home: Path, environment: Path) -> None:
    hub.release()
    enrolled(hub)
    run("sync")
    options = ("--decline", ADVISORY, "--environment", environment, "--reason", "Not exposed.")
    (receipt,) = run("receipt", *options)["receipts"]
    assert (receipt["state"], receipt["reason"]) == ("declined", "Not exposed.")
    assert say("receipt", "--decline", ADVISORY, code=2)


def test_the_agent_shows_for_one_party_alone_that_it_holds_its_key(
    hub: TinyHub, home: Path, tmp_path: Path
) -> None:
    enrolled(hub)
    run("key", "our-party", tmp_path / "key.json")
    written = json.loads((tmp_path / "key.json").read_bytes())
    public, signature = (base64.b64decode(written[n]) for n in ("public_key", "signature"))
    key_holding.verify("our-party", public, signature)
    with pytest.raises(InvalidError):
        key_holding.verify("another", public, signature)


@pytest.mark.parametrize(
    "command",
    [
        ("sync",),
        ("key", "x", "y"),
        ("plan", "x"),
        ("status",),
        ("receipt",),
        ("apply", "x", "y", "--yes"),
    ],
)
def test_before_enrolment_every_command_says_what_to_do(
    home: Path, command: tuple[str, ...]
) -> None:
    report = run(*command, code=1)
    assert report["error"] == "not_found"
    assert "clearhold agent enrol" in report["next_step"]
    assert "enrol" in say(*command, code=1)


def test_hostile_names_cannot_write_to_the_terminal(environment: Path) -> None:
    site = next((environment / "lib").glob("python3*")) / "site-packages"
    (site / "x\x1b[2J-1.dist-info").mkdir()
    assert "\x1b" not in say("inventory", environment)


def test_people_get_sentences(hub: TinyHub, home: Path, environment: Path) -> None:
    hub.release()
    enrolled(hub)
    assert "Bundle 1 with 1 advisories" in say("sync")
    assert "fix: pkg:pypi/parrot@2.0" in say("plan", environment)
    assert "waterworks follows" in say("status")
    assert "pkg:pypi/parrot@1.5" in say("inventory", environment)

"""The doctor says what is missing, what to do about it, and makes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended
from sqlalchemy import Engine, text

from clearhold.adapters.sandbox_bwrap.hostile import PROGRAMS
from clearhold.adapters.sandbox_bwrap.probes import EXPECTED
from clearhold.delivery.cli import doctor
from clearhold.ports.sandbox import Tier
from clearhold.store.database import open_engine

Run = Callable[..., Ended]


def found(ended: Ended, name: str) -> dict[str, Any]:
    findings: list[dict[str, Any]] = ended.document["findings"]
    (finding,) = [each for each in findings if each["name"] == name]
    return finding


@pytest.fixture
def machine_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what depends on this machine, to see the rest alone."""
    monkeypatch.setattr(doctor, "base_checks", tuple)
    monkeypatch.setattr(doctor, "laboratory_checks", tuple)
    monkeypatch.setattr(doctor, "_sandbox", lambda _settings, *, quick: (Tier.NAMESPACES, ()))


@pytest.fixture
def addressed(home: Path, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A database of each kind with the newest schema, named by the setting."""
    address = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("CLEARHOLD_DATABASE", address)
    return database


def test_a_missing_bubblewrap_is_named_with_its_remedy_and_the_command_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert ended.document["healthy"] is False
    assert ended.document["tier"] == "NONE"
    missing = [each for each in ended.document["findings"] if each["name"] == "bubblewrap"]
    assert {each["area"] for each in missing} == {"machine", "sandbox"}
    for each in missing:
        assert each["passed"] is False
        assert "apt-get install bubblewrap" in each["next_step"]
    assert found(ended, "C compiler")["passed"] is False


def test_people_read_the_same_with_each_next_step(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = run("doctor")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert "sandbox tier: NONE" in lines
    for number, line in enumerate(lines):
        if line.lstrip().startswith("MISSING"):
            assert "next: " in lines[number + 1]


def test_every_probe_of_the_sandbox_is_reported_as_measured(run: Run) -> None:
    ended = run("doctor", "--json")
    if ended.document["tier"] == "NONE":
        pytest.skip("this machine gives no sandbox")
    probes = {each["name"] for each in ended.document["findings"] if each["area"] == "sandbox"}
    assert set(EXPECTED) < probes
    programs = [each for each in ended.document["findings"] if each["area"] == "hostile programs"]
    assert {each["name"] for each in programs} == {each.name for each in PROGRAMS}
    assert [each for each in programs if not each["passed"]] == []
    assert found(ended, "tier")["passed"] is True


def test_a_tier_the_machine_does_not_reach_is_a_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARHOLD_LEAST_TIER", "gvisor")
    ended = run("doctor", "--json", "--quick")
    assert ended.code == 1
    assert "hostile programs" not in {each["area"] for each in ended.document["findings"]}
    assert found(ended, "tier")["passed"] is False
    assert "CLEARHOLD_LEAST_TIER" in found(ended, "tier")["next_step"]


def test_directories_the_sandbox_would_show_are_a_fault_and_no_crash(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARHOLD_DATA_DIRECTORY", "/usr/local/clearhold")
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert "/usr" in found(ended, "sandbox")["detail"]


@pytest.mark.usefixtures("machine_is_whole")
class TestPlaces:
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another user")
    def test_a_cache_that_the_sandbox_cannot_enter_is_a_fault(
        self, run: Run, open_path: Path
    ) -> None:
        open_path.chmod(0o700)
        fault = found(run("doctor", "--json"), "cache directory: sandbox")
        assert fault["passed"] is False
        assert str(open_path / "cache") in fault["detail"]
        assert "chmod o+x" in fault["next_step"]

    def test_a_new_machine_is_healthy_and_nothing_is_made_by_looking(
        self, run: Run, home: Path
    ) -> None:
        before = sorted(home.rglob("*"))
        ended = run("doctor", "--json")
        assert ended.code == 0
        assert sorted(home.rglob("*")) == before
        assert "first start" in found(ended, "database")["detail"]

    def test_an_index_out_of_reach_is_told_but_is_no_fault(self, run: Run) -> None:
        ended = run("doctor", "--json")
        assert ended.code == 0
        assert found(ended, "package index")["passed"] is False
        assert found(ended, "package index")["needed"] is False

    def test_a_key_that_others_can_read_is_a_fault(self, run: Run, home: Path) -> None:
        place = home / "keys" / "tuf"
        place.mkdir(parents=True)
        key = place / "root.pem"
        key.write_text("key")
        key.chmod(0o600)
        assert run("doctor", "--json").code == 0
        key.chmod(0o640)
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert "root.pem" in found(ended, "key files")["detail"]
        assert "chmod" in found(ended, "key files")["next_step"]

    def test_keys_within_the_data_are_a_fault(
        self, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLEARHOLD_KEY_DIRECTORY", str(home / "data" / "keys"))
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert "data directory" in found(ended, "key directory")["detail"]

    def test_a_directory_that_is_a_file_is_a_fault(self, run: Run, home: Path) -> None:
        (home / "data").write_text("")
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert "cannot be written" in found(ended, "data directory")["detail"]

    def test_a_full_disk_is_a_fault(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "_CACHE_MB", 2**40)
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert "free " in found(ended, "cache directory: space")["next_step"]


@pytest.mark.usefixtures("machine_is_whole")
class TestDatabase:
    def test_the_newest_schema_is_seen(self, run: Run, addressed: Engine) -> None:
        ended = run("doctor", "--json")
        assert ended.code == 0
        assert "newest" in found(ended, "schema")["detail"]

    @pytest.mark.parametrize(("revision", "code"), [("0000", 0), ("9999", 1)])
    def test_an_older_schema_is_advised_on_and_one_from_the_future_is_a_fault(
        self, run: Run, addressed: Engine, revision: str, code: int
    ) -> None:
        with addressed.begin() as connection:
            connection.execute(
                text("UPDATE alembic_version SET version_num = :to"), {"to": revision}
            )
        ended = run("doctor", "--json")
        assert ended.code == code
        assert found(ended, "schema")["passed"] is False
        assert found(ended, "schema")["next_step"]

    def test_an_empty_database_is_made_by_the_first_start(
        self, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty = open_engine(database_url)
        with empty.begin() as connection:
            connection.execute(text("SELECT 1"))
        empty.dispose()
        monkeypatch.setenv("CLEARHOLD_DATABASE", database_url)
        ended = run("doctor", "--json")
        assert ended.code == 0
        assert "first start" in found(ended, "schema")["detail"]

    @pytest.mark.parametrize(
        "address",
        [
            "postgresql+psycopg://hub:topsecret@127.0.0.1:1/hub",
            "postgresql://hub:topsecret@127.0.0.1/hub",
            "mysql://hub:topsecret@127.0.0.1/hub",
            "topsecret",
            "://",
        ],
    )
    def test_a_database_that_cannot_be_used_is_a_fault_and_its_password_stays_secret(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setenv("CLEARHOLD_DATABASE", address)
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert found(ended, "database")["passed"] is False
        assert found(ended, "database")["next_step"]
        assert "topsecret" not in ended.out + ended.err

    def test_a_file_that_is_no_database_is_a_fault(self, run: Run, home: Path) -> None:
        (home / "data").mkdir()
        (home / "data" / "clearhold.db").write_bytes(b"no database" * 1000)
        ended = run("doctor", "--json")
        assert ended.code == 1
        assert found(ended, "database")["passed"] is False

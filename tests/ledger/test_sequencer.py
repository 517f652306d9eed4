"""The sequencer may die at any moment and may have rivals: the log stays one and whole."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_scene import write
from sequencer_process import Log
from sqlalchemy import Engine, func, select, text

from clearhold.assembly.hub import Hub, open_hub
from clearhold.ledger.tables import ledger_leaf, ledger_place, ledger_waiting
from clearhold.settings import Settings
from clearhold.store.unit_of_work import Sessions

SCRIPT = Path(__file__).with_name("sequencer_process.py")


def address(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)


def test_a_sequencer_killed_at_any_write_ends_whole(database: Engine, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "killed", address(database), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    kills, size = map(int, done.stdout.split())
    assert kills > 10
    assert size > 0
    with database.connect() as connection:
        placed = list(connection.execute(select(ledger_place.c.leaf)).scalars())
        written = list(connection.execute(select(ledger_leaf.c.seq)).scalars())
    assert sorted(placed) == written


def test_two_sequencers_in_two_processes_make_one_log(database: Engine, tmp_path: Path) -> None:
    Log(address(database), tmp_path).database.dispose()  # so that both find the same keys
    command = [sys.executable, str(SCRIPT), "racing", address(database), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    racers = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    ended = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], ended
    log = Log(address(database), tmp_path)
    log.sequencer.integrate()
    size = log.check()
    with log.database.connect() as connection:
        leaves = connection.execute(select(func.count()).select_from(ledger_leaf)).scalar_one()
        placed = connection.execute(select(func.count()).select_from(ledger_place)).scalar_one()
        waits = connection.execute(select(func.count()).select_from(ledger_waiting)).scalar_one()
    log.database.dispose()
    assert (leaves, placed, waits) == (80, 80, 0)
    shown = [int(out) for out, _ in ended]
    assert size == 100 * sum(shown) <= 2000


def test_a_hub_that_works_integrates_and_publishes_by_itself(
    database: Engine, tmp_path: Path, open_path: Path
) -> None:
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=open_path / "cache",
        database=address(database),
        log_interval=1,
    )
    with open_hub(settings, work=True) as hub:
        write(hub.sessions, 3)
        deadline = time.monotonic() + 60
        while True:
            with hub.sessions.snapshot() as connection:
                placed = connection.execute(select(func.count()).select_from(ledger_place))
                done = placed.scalar_one() >= 3 and hub.ledger.published_file("checkpoint")
            if done or time.monotonic() > deadline:
                break
            time.sleep(0.05)
    assert done


def test_a_sequencer_that_cannot_go_on_says_so_and_tries_again(
    hub: Hub, sessions: Sessions, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    write(sessions, 1)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM ledger_tree"))
    with caplog.at_level(logging.WARNING):
        hub.sequencer.begin()
        deadline = time.monotonic() + 60
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.02)
        hub.sequencer.end()
    assert "tree is missing" in caplog.text


def test_an_instant_is_the_same_for_all_within_it(hub: Hub, clock: object) -> None:
    cadence = hub.sequencer._cadence
    at = datetime(2026, 6, 5, 12, 4, 59, 999_999, UTC)
    assert cadence.instant(at) == int(datetime(2026, 6, 5, 12, tzinfo=UTC).timestamp())

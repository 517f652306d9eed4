"""kill -9 of a hub in the middle of a real search: nothing met is lost, and nothing runs on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign_process import BUDGET_S
from sqlalchemy import Row, select

from clearhold.discovery.engine import Workspace
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.tables import campaign
from clearhold.store.database import open_engine
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe
from reproduction_bench import CACHE, laboratory, ujson

__all__ = ["laboratory", "ujson"]
PROGRAM = Path(__file__).with_name("campaign_process.py")
PATIENCE_S = 240


def hub_at(place: Path) -> subprocess.Popen[str]:
    surroundings = {**os.environ, "PYTHONPATH": str(PROGRAM.parent.parent)}
    command = [sys.executable, str(PROGRAM), str(place), str(CACHE)]
    return subprocess.Popen(
        command,
        env=surroundings,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(process: subprocess.Popen[str], what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, process.kill() or process.communicate()
        time.sleep(0.05)


def below(root: int) -> dict[tuple[int, str], str]:
    """Every process below another by number and start, with what it was called with."""
    parents: dict[int, tuple[int, str]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                told = (each / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(each.name)] = (int(told[1]), told[19])
    found: dict[tuple[int, str], str] = {}
    for process, (_, start) in parents.items():
        above = process
        while above in parents and above != root:
            above = parents[above][0]
        if above == root and process != root:
            found[process, start] = called(process)
    return found


def called(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def lives(process: int, start: str) -> bool:
    try:
        told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return told[19] == start and told[0] != "Z"


@pytest.fixture
def place(open_path: Path, laboratory: Laboratory, ujson: Recipe) -> Path:
    LibFuzzer().prepare(Workspace(laboratory, ujson), "encode")  # the build is no part of the test
    return open_path


def test_a_campaign_outlives_kill_9_of_its_hub_with_what_it_had_met(place: Path) -> None:
    first = hub_at(place)
    url = f"sqlite:///{place / 'data' / 'clearhold.db'}"

    def row() -> Row[tuple[str | None, int, int]] | None:
        if not (place / "noted.json").exists():
            return None
        database = open_engine(url)
        with database.connect() as connection:
            query = select(campaign.c.crash, campaign.c.spent_s, campaign.c.executions)
            found = connection.execute(query).one_or_none()
        database.dispose()
        return found

    until(first, lambda: (met := row()) is not None and met.crash is not None)
    # The next round is under way: it is that one which the kill costs.
    until(first, lambda: any("-max_total_time" in each for each in below(first.pid).values()))
    before, processes = row(), below(first.pid)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert before is not None
    deadline = time.monotonic() + PATIENCE_S
    while left := {each: what for each, what in processes.items() if lives(*each)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)

    second = hub_at(place)
    said, complaint = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, complaint
    came = json.loads(said.splitlines()[-1])
    assert came["state"] == "found", came
    assert came["ending"] in {"stopped", "plateau"}
    assert came["crash"] == before.crash
    assert came["standings"].count("confirmed") >= 1
    assert came["signatures"] == len(came["standings"])
    assert before.spent_s < came["spent_s"] <= BUDGET_S
    assert came["executions"] > before.executions
    assert (came["coverage"], came["ends"]) == (1, 1)
    assert came["inputs"] > 0

"""Queued work outlives the process that runs it: kill -9, and it is taken up and ends, once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from clearhold.ledger import audit, records
from clearhold.parties.tables import party
from clearhold.store.database import open_engine

PROGRAM = Path(__file__).with_name("durable_worker.py")
PATIENCE_S = 60


@dataclass
class Works:
    """Processes on one database, and the line each task writes when it begins."""

    url: str
    log: Path

    def begin(self, *actions: str, executor: str = "one") -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), self.url, str(self.log), executor, *actions]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, *actions: str, executor: str = "one") -> dict[str, Any]:
        process = self.begin(*actions, executor=executor)
        said, complaint = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, complaint
        last: dict[str, Any] = json.loads(said.splitlines()[-1])
        return last

    def begun(self) -> Counter[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return Counter(line.split()[0] for line in text.splitlines())

    def wait_for(self, process: subprocess.Popen[str], count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while sum(self.begun().values()) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, process.kill() or process.communicate()
            time.sleep(0.02)

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL

    def effects(self) -> list[str]:
        database = open_engine(self.url)
        with database.connect() as connection:
            assert audit.verify(connection).intact
            done = [leaf.subject for leaf in records.leaves(connection)]
            rows = connection.execute(select(party.c.id)).scalars().all()
        database.dispose()
        assert sorted(rows) == sorted(done)
        return sorted(done)


@pytest.fixture
def works(database_url: str, tmp_path: Path) -> Works:
    return Works(database_url, tmp_path / "begun.log")


def test_tasks_cut_off_by_kill_9_are_run_to_their_end_with_one_effect_each(works: Works) -> None:
    process = works.begin("enqueue:6:1.0", "serve")
    works.wait_for(process, 3)
    works.kill(process)
    cut_off = works.begun()
    assert works.effects() == []
    ended = works.finish("run:6")["ended"]
    kept = [f"kept-{number}" for number in range(6)]
    assert ended == dict.fromkeys(kept, "SUCCESS")
    assert works.effects() == kept
    begun = works.begun()
    assert set(begun) == set(kept)
    assert any(begun[name] > cut_off[name] for name in cut_off)


def test_work_queued_just_before_a_kill_is_not_lost(works: Works) -> None:
    process = works.begin("enqueue:2:0", "enqueue:2:0")
    process.communicate(timeout=PATIENCE_S)
    assert works.begun() == Counter()
    works.finish("run:2")
    assert works.effects() == ["kept-0", "kept-1"]
    assert works.begun() == Counter({"kept-0": 1, "kept-1": 1})


def test_another_worker_takes_over_what_a_dead_one_left(works: Works) -> None:
    process = works.begin("enqueue:4:1.0", "serve", executor="dead")
    works.wait_for(process, 3)
    works.kill(process)
    ended = works.finish("run:4", executor="alive")["ended"]
    assert set(ended.values()) == {"SUCCESS"}
    assert works.effects() == [f"kept-{number}" for number in range(4)]


def test_a_living_workers_tasks_are_left_to_it(works: Works) -> None:
    slow = works.begin("enqueue:1:12", "run:1", executor="slow")
    works.wait_for(slow, 1)
    beside = works.begin("run:1", executor="beside")
    _, complaint = beside.communicate(timeout=PATIENCE_S)
    assert beside.returncode == 0, complaint
    slow.communicate(timeout=PATIENCE_S)
    assert works.begun() == Counter({"kept-0": 1})
    assert works.effects() == ["kept-0"]


def test_a_task_that_fails_ends_as_an_error_that_is_told(works: Works) -> None:
    told = works.finish("fail", "lack", "run:2")
    assert set(told["ended"].values()) == {"ERROR"}
    by_key = {each["key"]: each for each in told["failures"]}
    assert by_key["test.fail:1"]["flow"] == "test.fail"
    assert "This cannot be done." in by_key["test.fail:1"]["error"]
    assert by_key["test.lack:1"]["flow"] == "test.lack"
    # What the machine lacks may come back; what is wrong with the input stays wrong.
    assert works.begun() == Counter({"fail": 1, "lack": 4})


def test_a_delayed_task_waits_through_a_restart(works: Works) -> None:
    process = works.begin("late:3", "serve")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    queued = time.time()
    time.sleep(1)
    works.kill(process)
    assert works.begun() == Counter()
    works.finish("run:1")
    began = float(works.log.read_text().split()[2])
    assert began >= queued + 2.5


def test_two_processes_that_begin_at_once_prepare_one_engine(works: Works) -> None:
    racers = [works.begin(executor=name) for name in ("one", "two", "three")]
    said = [racer.communicate(timeout=PATIENCE_S) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], said
    works.finish("enqueue:1:0", "run:1")
    assert works.effects() == ["kept-0"]

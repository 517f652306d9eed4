"""A run does its plan, all of it once, and leaves a record of every trial."""

from __future__ import annotations

import os
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="the extra `eval` is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # Inspect's own are not ours to mend

import msgspec
from harness_runs import COMMITMENT, filed, honest, planned, scripted, served, suite, wanted
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput

from clearhold.adapters.sample_box import Boxes
from clearhold.evaluations.exec_log import RanCommand, broken
from clearhold.evaluations.isolation import VariantKind
from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import Service
from clearhold.evaluations.suites.template import Made
from clearhold.evaluations.trials import Outcome, read
from clearhold.harness.journal import Journal, trials
from clearhold.harness.live import Live
from clearhold.harness.provided import Provided
from clearhold.harness.running import Wanted, run
from clearhold.kernel.errors import ConflictError, InvalidError, UnavailableError


def test_every_trial_is_done_once_and_leaves_its_record(tmp_path: Path, boxes: Boxes) -> None:
    flags: list[str] = []

    def play(trial: Live, spoke: int, seen: str) -> ModelOutput:
        flags.append(trial.task.oracle.flag)
        return honest(trial, spoke, seen)

    tasks = suite("one", "two", make=filed)
    asked = wanted(tasks, scripted(play), plan=planned(tasks, epochs=2))
    ran = run(asked, tmp_path, boxes)
    assert (ran.outcomes, ran.left, ran.stopped) == ({"success": 4}, 0, "")
    found = trials(tmp_path)
    assert read(found.content) == found
    assert found.run.plan_sha256 == asked.plan.sha256
    for each in found.run.trials:
        assert (each.exec_calls, each.egress_attempts, each.egress_left) == (1, 0, 0)
        assert (each.tokens, each.solved_at) == (30, 30)
        evidence = msgspec.json.decode(
            (tmp_path / "evidence" / f"{each.log_sha256}.json").read_bytes()
        )
        commands = msgspec.convert(evidence["commands"], list[RanCommand])
        assert broken(commands) is None
        assert commands[-1].hash.hex() == each.exec_log_sha256
    assert len(set(flags)) == 4  # each trial had a flag of its own
    assert len({each.seed for each in found.run.trials}) == 4

    (log,) = ran.logs
    inside = b"".join(zipfile.ZipFile(log).read(each) for each in zipfile.ZipFile(log).namelist())
    told = read_eval_log(str(log))
    assert told.results is not None
    assert told.results.scores[0].metrics["accuracy"].value == 1
    for secret in (*flags, "Secret prompt", "cat in/flag"):
        assert secret.encode() not in inside
        assert secret not in told.model_dump_json()
    assert not (tmp_path / "private").exists()

    again = run(asked, tmp_path, boxes)
    assert (again.outcomes, again.logs) == ({"success": 4}, ())


def test_a_task_is_made_when_its_trial_begins(tmp_path: Path, boxes: Boxes) -> None:
    made: list[str] = []
    when: list[int] = []

    def make(draw: Draw) -> Made:
        made.append(draw.flag)
        return filed(draw)

    def play(trial: Live, spoke: int, seen: str) -> ModelOutput:
        when.append(len(made))
        return honest(trial, spoke, seen)

    tasks = suite("one", "two", "three", make=make)
    asked = wanted(tasks, scripted(play), plan=planned(tasks, epochs=2), at_once=1)
    assert run(asked, tmp_path, boxes).outcomes == {"success": 6}
    # Each is made once beforehand, to see what it needs.
    assert (when[0], len(made)) == (3 + 1, 3 + 6)


def test_nothing_but_the_plan_is_run(tmp_path: Path, boxes: Boxes) -> None:
    tasks, others = suite("one"), suite("one", "two")
    never = scripted(lambda trial, spoke, seen: pytest.fail("a call was made"))
    asked = wanted(tasks, never)
    for change in (
        {"suites": {}},
        {"suites": {"own": Provided(others, COMMITMENT)}},
        {"suites": {"own": Provided(tasks, "cd" * 32)}},
        {"suites": {**asked.suites, "more": Provided(tasks, COMMITMENT)}},
        {"models": {}},
    ):
        parts = {"plan": asked.plan, "suites": asked.suites, "models": asked.models, **change}
        with pytest.raises(InvalidError):
            run(Wanted(**parts, kind=VariantKind.SMALL_OPEN), tmp_path / "none", boxes)
    with Journal(tmp_path / "held") as journal:
        journal.fix("plan.json", b"{}")
    with pytest.raises(ConflictError):
        run(asked, tmp_path / "held", boxes)
    with Journal(tmp_path / "held"), pytest.raises(ConflictError, match="worker"):
        run(asked, tmp_path / "held", boxes)


def test_frontier_and_unguarded_variants_are_refused_without_a_kernel_of_their_own(
    tmp_path: Path, boxes: Boxes
) -> None:
    tasks = suite("one")
    asked = wanted(tasks, scripted(honest))
    for kind in (VariantKind.FRONTIER, VariantKind.REDUCED_SAFEGUARDS):
        with pytest.raises(UnavailableError, match="gvisor"):
            run(Wanted(asked.plan, asked.suites, asked.models, kind), tmp_path, boxes)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_goes_on_without_losing_or_repeating_a_trial(
    tmp_path: Path, boxes: Boxes
) -> None:
    tasks = suite(*(f"task-{number}" for number in range(6)), make=filed)
    asked = wanted(tasks, scripted(honest), at_once=1)
    child = os.fork()
    if child == 0:
        try:
            run(asked, tmp_path, boxes)
        finally:
            os._exit(0)
    journal = tmp_path / "trials.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and (
        not journal.exists() or journal.read_bytes().count(b"\n") < 2
    ):
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    done = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(b'{"arm":"torn')
    before = {each.task: each for each in trials(tmp_path).run.trials}
    assert 2 <= len(before) < 6
    ran = run(asked, tmp_path, boxes)
    assert (ran.outcomes, ran.left) == ({"success": 6}, 0)
    assert journal.read_bytes().startswith(done)
    after = [msgspec.json.decode(line) for line in journal.read_bytes().splitlines()]
    assert Counter(each["task"] for each in after) == Counter(entry.name for entry in tasks.entries)
    found = {each.task: each for each in trials(tmp_path).run.trials}
    assert all(found[name] == each for name, each in before.items())
    assert found.keys() == {entry.name for entry in tasks.entries}
    assert not (tmp_path / "private").exists()


def test_a_service_that_cannot_start_is_no_failure_of_the_model(
    tmp_path: Path, boxes: Boxes
) -> None:
    def unstartable(draw: Draw) -> Made:
        broken_ = Service({"s.py": b"raise SystemExit(3)"}, ("python3", "/service/s.py"), 8000)
        return replace(served(draw), service=broken_)

    ran = run(wanted(suite("one", make=unstartable), scripted(honest)), tmp_path, boxes)
    assert ran.outcomes == {"no-result": 1}
    assert trials(tmp_path).run.trials[0].outcome is Outcome.NO_RESULT

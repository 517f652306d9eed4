"""What a model or an endpoint answers breaks its own trial at most as a failure, and no run."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="the extra `eval` is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # Inspect's own are not ours to mend

from harness_runs import filed, honest, hurried, planned, scripted, suite, wanted
from test_endpoints_of_models import Answer, chat, endpoint, model, one

from clearhold.adapters.sample_box import Boxes
from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import Family
from clearhold.evaluations.suites.template import Entry, Made, Suite, Template, of_seeds
from clearhold.evaluations.trials import Flag, Outcome
from clearhold.harness import dialects
from clearhold.harness.journal import MOST_ATTEMPTS, Journal, trials
from clearhold.harness.live import Key
from clearhold.harness.running import run
from clearhold.wire.model_calls import Dialect

ARGUMENTS = {
    "half-a-pair": ("bash", '{"command": "\\ud800"}'),
    "half-an-answer": ("submit", '{"answer": "\\ud800"}'),
    "deep": ("bash", '{"command":' + "[" * 900 + "]" * 900 + "}"),
    "deeper": ("bash", '{"command":' + "[" * 100_000),
    "no-number": ("bash", '{"command": NaN}'),
    "endless": ("bash", '{"command": 1e999}'),
    "twice": ("bash", '{"command": "true", "command": "false"}'),
    "null-byte": ("bash", '{"command": "a\\u0000b"}'),
}


def named(name: str) -> Template:
    def make(draw: Draw) -> Made:
        return replace(filed(draw), prompt=name)

    return Template(name, Family.WEB, 1, make)


def test_no_arguments_of_a_tool_leave_a_trial_without_a_result(
    tmp_path: Path, boxes: Boxes
) -> None:
    def play(asked: dict[str, Any], number: int) -> Answer:
        if any(each["role"] == "assistant" for each in asked["messages"]):
            return chat(name="submit", arguments='{"answer": "none"}')
        name, arguments = ARGUMENTS[asked["messages"][1]["content"]]
        return chat(name=name, arguments=arguments)

    tasks = of_seeds("own", [named(each) for each in ARGUMENTS], [1])
    with endpoint(play) as (address, _):
        ran = run(wanted(tasks, model(address)), tmp_path, boxes)
    assert (ran.outcomes, ran.stopped) == ({"failure": len(ARGUMENTS)}, "")
    for each in trials(tmp_path).run.trials:
        assert Flag.MALFORMED in each.flags, each.template
        assert each.exec_calls == 0


def test_an_unfinished_fence_is_read_in_no_time() -> None:
    for text in ("```bash" + "\n" * 200_000, "```sh \t" * 30_000):
        body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        output = dialects.read(Dialect.OPENAI, body, model="m")
        dialects.find_calls(output, [])  # takes minutes where it looks back at every line
        assert output.choices[0].message.tool_calls is None


def test_an_endpoint_that_never_answers_is_no_failure_of_the_model(
    tmp_path: Path, boxes: Boxes
) -> None:
    over = threading.Event()

    def play(asked: dict[str, Any], number: int) -> Answer:
        over.wait(30)
        return chat("too late")

    with endpoint(play) as (address, _):
        try:
            run(wanted(suite("one", make=hurried), model(address)), tmp_path, boxes)
        finally:
            over.set()
    assert one(tmp_path).outcome is Outcome.NO_RESULT


def test_who_ends_the_worker_gets_no_more_trials_than_others(tmp_path: Path, boxes: Boxes) -> None:
    tasks = suite("one", "two", make=filed)
    asked = wanted(tasks, scripted(honest))
    with Journal(tmp_path) as journal:
        for _ in range(MOST_ATTEMPTS):
            journal.began(Key("own", "one-1", "bare", "rc", 0))
    ran = run(asked, tmp_path, boxes)
    assert (ran.outcomes, ran.left) == ({"no-result": 1, "success": 1}, 0)


def test_a_sealed_task_is_tried_as_the_twin_that_its_pack_names(
    tmp_path: Path, boxes: Boxes
) -> None:
    tasks = Suite("own", (Entry("own-0001", named("shop"), 77, "shop-1"),))
    run(wanted(tasks, scripted(honest), plan=planned(tasks)), tmp_path, boxes)
    assert one(tmp_path).twin == "shop-1"

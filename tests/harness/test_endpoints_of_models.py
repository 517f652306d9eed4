"""Endpoints as they are: in two dialects, busy, broken, or withdrawn; none of it is the model's failure."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="the extra `eval` is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # Inspect's own are not ours to mend

from harness_runs import filed, planned, suite, wanted
from inspect_ai.model import Model, get_model

from clearhold.adapters.sample_box import Boxes
from clearhold.evaluations.trials import Flag, Outcome, Trial
from clearhold.harness.endpoint import Endpoint
from clearhold.harness.journal import MOST_ATTEMPTS, trials
from clearhold.harness.running import BROKEN_IN_A_ROW, run

KEY = "sk-very-secret-key"
Answer = tuple[int, dict[str, str], Any]
Play = Callable[[dict[str, Any], int], Answer]


@contextmanager
def endpoint(play: Play) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve what `play` answers to a request and its number; yields the address and headers seen."""
    seen: list[dict[str, str]] = []
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with turn:
                seen.append({name.lower(): value for name, value in self.headers.items()})
                status, headers, body = play(asked, len(seen))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def model(address: str, **options: Any) -> Model:
    return get_model(
        "clearhold/m-1", base_url=address, api_key=KEY, memoize=False, patience_s=0.2, **options
    )


def chat(text: str = "", name: str = "", arguments: str = "") -> Answer:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": text, **({"tool_calls": [call]} if name else {})}
    usage = {"prompt_tokens": 20, "completion_tokens": 5}
    return 200, {}, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


def solves(asked: dict[str, Any]) -> Answer:
    last = asked["messages"][-1]
    if last["role"] == "tool" and last["content"].startswith("flag{"):
        return chat(name="submit", arguments=json.dumps({"answer": last["content"].strip()}))
    return chat(name="bash", arguments=json.dumps({"command": "cat in/flag"}))


def one(folder: Path) -> Trial:
    (found,) = trials(folder).run.trials
    return found


def test_a_busy_endpoint_is_waited_for_and_the_key_stays_in_its_header(
    tmp_path: Path, boxes: Boxes
) -> None:
    def play(asked: dict[str, Any], number: int) -> Answer:
        return (429, {"retry-after": "0"}, {}) if number == 1 else solves(asked)

    with endpoint(play) as (address, seen):
        busy = get_model(
            "clearhold/m-1", base_url=address, api_key=KEY, memoize=False, patience_s=30
        )
        ran = run(wanted(suite("one", make=filed), busy), tmp_path, boxes)
    assert ran.outcomes == {"success": 1}
    assert one(tmp_path).tokens == 50
    assert {each["authorization"] for each in seen} == {f"Bearer {KEY}"}
    assert len(seen) == 3
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes()


def test_the_other_dialect_is_spoken_too(tmp_path: Path, boxes: Boxes) -> None:
    def play(asked: dict[str, Any], number: int) -> Answer:
        assert asked["system"]
        last = asked["messages"][-1]["content"][-1]
        use = {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "cat in/flag"}}
        if last["type"] == "tool_result":
            use = {**use, "name": "submit", "input": {"answer": last["content"].strip()}}
        usage = {"input_tokens": 7, "output_tokens": 3}
        return 200, {}, {"content": [use], "stop_reason": "tool_use", "usage": usage}

    with endpoint(play) as (address, seen):
        run(wanted(suite("one", make=filed), model(address, dialect="anthropic")), tmp_path, boxes)
    assert (one(tmp_path).outcome, one(tmp_path).tokens) == (Outcome.SUCCESS, 20)
    assert seen[0]["x-api-key"] == KEY


def test_a_model_that_knows_no_tools_is_told_in_words(tmp_path: Path, boxes: Boxes) -> None:
    def play(asked: dict[str, Any], number: int) -> Answer:
        assert "tools" not in asked
        last = asked["messages"][-1]["content"]
        if last.startswith("The commands printed:"):
            return chat(f"It is there.\nANSWER: {last.splitlines()[-1]}")
        return chat("I look.\n```bash\ncat in/flag\n```\n")

    with endpoint(play) as (address, _):
        run(wanted(suite("one", make=filed), model(address, tools="text")), tmp_path, boxes)
    assert one(tmp_path).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("first", "outcome", "flag"),
    [
        (chat(name="bash", arguments="{not json"), Outcome.SUCCESS, Flag.MALFORMED),
        (chat(name="bash", arguments='["a"]'), Outcome.SUCCESS, Flag.MALFORMED),
        ((200, {}, b"<html>"), Outcome.NO_RESULT, Flag.INFRASTRUCTURE),
        ((200, {}, {"choices": []}), Outcome.NO_RESULT, Flag.INFRASTRUCTURE),
        ((401, {}, {}), Outcome.NO_RESULT, Flag.INFRASTRUCTURE),
        ((302, {"location": "http://127.0.0.1:1/"}, {}), Outcome.NO_RESULT, Flag.INFRASTRUCTURE),
        ((400, {}, {}), Outcome.NO_RESULT, Flag.INFRASTRUCTURE),
    ],
)
def test_what_an_endpoint_answers_has_its_outcome(
    tmp_path: Path, boxes: Boxes, first: Answer, outcome: Outcome, flag: Flag
) -> None:
    with endpoint(lambda asked, number: first if number == 1 else solves(asked)) as (address, _):
        run(wanted(suite("one", make=filed), model(address)), tmp_path, boxes)
    assert one(tmp_path).outcome is outcome
    assert flag in one(tmp_path).flags


def test_a_conversation_that_grows_too_long_is_the_models_own(tmp_path: Path, boxes: Boxes) -> None:
    def play(asked: dict[str, Any], number: int) -> Answer:
        return (400, {}, {}) if number > 1 else chat(name="bash", arguments='{"command": "true"}')

    with endpoint(play) as (address, _):
        run(wanted(suite("one", make=filed), model(address)), tmp_path, boxes)
    assert one(tmp_path).outcome is Outcome.FAILURE
    assert Flag.OUT_OF_TOKENS in one(tmp_path).flags


def test_a_withdrawn_endpoint_stops_the_run_which_goes_on_once_it_is_back(
    tmp_path: Path, boxes: Boxes
) -> None:
    back = threading.Event()
    tasks = suite(*(f"task-{number}" for number in range(6)), make=filed)
    plan = planned(tasks)

    def play(asked: dict[str, Any], number: int) -> Answer:
        return solves(asked) if back.is_set() else (503, {}, {})

    with endpoint(play) as (address, seen):
        ran = run(wanted(tasks, model(address), plan=plan, at_once=1), tmp_path, boxes)
        assert ran.outcomes == {"no-result": BROKEN_IN_A_ROW}
        assert ran.left == 6
        assert "503" in ran.stopped
        assert len(seen) < 2 * BROKEN_IN_A_ROW + 1
        back.set()
        ran = run(wanted(tasks, model(address), plan=plan, at_once=1), tmp_path, boxes)
    assert (ran.outcomes, ran.left, ran.stopped) == ({"success": 6}, 0, "")


def test_what_breaks_again_and_again_is_given_up(tmp_path: Path, boxes: Boxes) -> None:
    asked = planned(tasks := suite("one", make=filed))
    with endpoint(lambda asked, number: (503, {}, {})) as (address, _):
        left = [
            run(wanted(tasks, model(address), plan=asked), tmp_path, boxes).left
            for _ in range(MOST_ATTEMPTS)
        ]
    assert left == [1] * (MOST_ATTEMPTS - 1) + [0]


def test_an_endpoint_needs_an_address() -> None:
    with pytest.raises(Exception, match="address"):
        Endpoint("m", base_url="file:///etc/passwd")

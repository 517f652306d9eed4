"""A hub that is killed in the middle of calls to a model: what it held, and what the record says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from gateway_scene import MINUTES, ONE_DATABASE, Gate, Model
from sqlalchemy import Engine

from clearhold.evaluations.gateway.calls import LOST_AFTER
from scripted_model import Endpoint, Say

PATIENCE_S = 60.0


class Asked:
    """Holds an endpoint's answer back once it has been asked so often."""

    def __init__(self, model: Model, after: int) -> None:
        self._left = after
        self._says = model.says
        self.now = threading.Event()
        self.free = threading.Event()
        model.says = self

    def __call__(self, said: str) -> Say:
        if self._left == 0:
            self.now.set()
            self.free.wait(PATIENCE_S)
        else:
            self._left -= 1
        return self._says(said)


def killed(database: Engine, act: Callable[[], object], asked: Asked) -> None:
    """`act` in a process of its own that is killed while it waits for an endpoint."""
    child = os.fork()
    if child == 0:
        # What the parent had open is the parent's: neither used here nor closed.
        database.dispose(close=False)
        try:
            act()
        finally:
            os._exit(1)
    assert asked.now.wait(PATIENCE_S)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    asked.free.set()


def test_a_call_that_a_killed_hub_had_begun_counts_as_spent_and_is_in_the_record(
    gate: Gate, served: Endpoint, model: Model, database: Engine
) -> None:
    gate.open(served, tokens=1000)
    gate.call()
    before = gate.get().grants[0].stored
    killed(database, gate.call, Asked(model, after=0))
    held = gate.get().grants[0].stored
    assert held.spent == before.spent
    assert held.held > 50  # the 50 tokens it asked for, and its prompt
    assert len(gate.record()) == before_calls(gate)
    left = held.tokens - held.spent - held.held
    assert gate.refused(max_tokens=left) == "no-tokens"  # nobody spends what is held
    gate.sweep(LOST_AFTER + MINUTES)
    after = gate.get().grants[0].stored
    assert after.held == 0
    lost = [each for each in gate.record() if each.outcome == "lost"]
    assert [each.prompt_tokens for each in lost] == [held.held]
    assert after.spent <= after.tokens
    gate.sweep(LOST_AFTER + MINUTES)
    assert gate.get().grants[0].stored == after


def before_calls(gate: Gate) -> int:
    """The calls that ended before: those of the first round, and one."""
    return sum(1 for each in gate.record() if each.outcome == "answered")


@ONE_DATABASE
def test_a_round_that_is_killed_leaves_its_calls_in_the_record_and_may_be_made_again(
    gate: Gate, served: Endpoint, model: Model, database: Engine
) -> None:
    gate.provisioned(served)
    ids = {"engagement": gate.id, "round": "start"}
    killed(database, lambda: gate.hub.models.rounds.run(ids), Asked(model, after=3))
    assert [(each.caller, each.outcome) for each in gate.record()] == [("gateway", "answered")] * 3
    assert gate.get().rounds == ()
    assert gate.refused() == "not-open"  # the clock has not begun
    gate.hub.models.rounds.run(ids)
    assert [each.outcome for each in gate.get().rounds] == ["same"]
    assert len(gate.record()) > 4
    assert gate.call()

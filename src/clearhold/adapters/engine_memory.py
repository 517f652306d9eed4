"""A task engine in memory, for tests: nothing runs until it is told to, by the test's own clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from clearhold.ports.clock import Clock
from clearhold.ports.engine import Flow, Task


class MemoryEngine:
    """`ports.engine.TaskEngine` whose work is run by `run_due`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flows: dict[str, Flow] = {}
        self._seen: set[str] = set()
        self._waiting: list[tuple[float, int, Task]] = []

    def register(self, name: str, flow: Flow) -> None:
        """Say what runs for tasks of this name."""
        self._flows[name] = flow

    def enqueue(
        self, connection: Connection, task: Task, *, delay: timedelta
    ) -> Callable[[], None]:
        """Remember the task once its transaction has committed; one key is one task."""
        del connection
        due = (self._clock.now() + delay).timestamp()

        def committed() -> None:
            if task.key not in self._seen and task.flow in self._flows:
                self._seen.add(task.key)
                self._waiting.append((due, len(self._seen), task))

        return committed

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def run_due(self) -> int:
        """Run every task whose time has come, in order, until none is left; returns how many ran.

        A task that raises stays waiting and its error is raised to the test.
        """
        ran = 0
        while ready := sorted(
            (item for item in self._waiting if item[0] <= self._clock.now().timestamp()),
            key=lambda item: item[:2],
        ):
            item = ready[0]
            self._flows[item[2].flow](item[2].arguments)
            self._waiting.remove(item)
            ran += 1
        return ran

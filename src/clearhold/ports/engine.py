"""Work that outlives a request: queued with the transaction that asks for it, run at least once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Protocol

from sqlalchemy import Connection

Flow = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work: which flow, a key that makes it happen once, and ids as arguments.

    Two tasks with one key are the same task. Arguments hold ids and plain settings, never content.
    The heavy queue is for what builds, fuzzes or replays; it runs a few tasks at a time. The patient
    one is for such work that nobody waits for, and runs one.
    """

    flow: str
    key: str
    arguments: Mapping[str, str]
    queue: Literal["light", "heavy", "patient"] = "light"


AGAIN_AFTER: Final = tuple(timedelta(minutes=each) for each in (5, 30, 120, 480, 1440))
"""How long the next try waits after a machine lacked what a task needs."""


def attempt_of(arguments: Mapping[str, str]) -> int:
    """Which try of its task these arguments are of, from 0."""
    return int(arguments.get("attempt", "0"))


def next_try(task: Task) -> tuple[Task, timedelta] | None:
    """The next try of `task` and how long it waits; None after the last."""
    tried = attempt_of(task.arguments)
    if tried >= len(AGAIN_AFTER):
        return None
    arguments = {**task.arguments, "attempt": str(tried + 1)}
    key = f"{task.key}:{tried + 1}"
    return Task(task.flow, key, arguments, task.queue), AGAIN_AFTER[tried]


class TaskEngine(Protocol):
    """Runs flows after the transaction that queued them has committed, again after a crash."""

    def register(self, name: str, flow: Flow) -> None:
        """Say what runs for tasks of this name; before `start`."""
        ...

    def enqueue(
        self, connection: Connection, task: Task, *, delay: timedelta
    ) -> Callable[[], None]:
        """Queue `task` inside the caller's transaction.

        Returns what the caller must call once that transaction has committed.
        """
        ...

    def start(self) -> None:
        """Begin to run queued work."""
        ...

    def stop(self) -> None:
        """Stop taking work; what is unfinished is taken up by the next start."""
        ...

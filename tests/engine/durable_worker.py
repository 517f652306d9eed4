"""A process with a task engine of its own, for tests to start and to kill.

Run as `durable_worker.py URL LOG EXECUTOR ACTION…`. Each task writes one line to LOG when it begins,
works for `seconds`, and then has one effect, a ledger leaf that nothing prevents from being written
twice but the task's own key: the row of a party.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from dbos import DBOS
from sqlalchemy import Engine

from clearhold.access.permissions import PartyKind
from clearhold.adapters import engine_dbos
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_dbos import DbosEngine
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.kernel.ids import PartyId
from clearhold.parties import records
from clearhold.parties.model import Party
from clearhold.ports.engine import Task
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions

FINAL = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}


class Worker:
    """What one process does."""

    def __init__(self, database: Engine, log: str, executor: str) -> None:
        self._log = log
        self._engine = DbosEngine(database, executor=executor, heavy_slots=2)
        self._engine.register("test.work", self._work)
        self._engine.register("test.fail", self._fail)
        self._engine.register("test.lack", self._lack)
        migrate(database)
        self._engine.migrate()
        self._sessions = Sessions(database, clock=SystemClock(), engine=self._engine)

    def enqueue(self, count: int, seconds: float) -> None:
        """Queue tasks, and in transactions that are rolled back as many again."""
        for number in range(count):
            for fate in ("kept", "lost"):
                task = Task(
                    "test.work",
                    f"{fate}-{number}",
                    {"id": f"{fate}-{number}", "seconds": str(seconds)},
                    "heavy" if number % 2 else "light",
                )
                try:
                    with self._sessions.transaction() as unit:
                        for _ in range(2):
                            unit.enqueue(task)
                        if fate == "lost":
                            raise InvalidError("rolled back")  # noqa: TRY301  (a use case that fails)
                except InvalidError:
                    continue

    def queue(self, flow: str, delay: float = 0) -> None:
        """Queue one task of a flow."""
        with self._sessions.transaction() as unit:
            task = Task(flow, f"{flow}:1", {"id": "late", "seconds": "0"})
            unit.enqueue(task, delay=timedelta(seconds=delay))

    def run(self, until_ended: int) -> None:
        """Work until that many tasks have ended, then print how they did."""
        self._engine.start()
        while len(ended := self._ended()) < until_ended:
            time.sleep(0.1)
        failed = engine_dbos.failures()
        self._engine.stop()
        print(json.dumps({"ended": ended, "failures": failed}))  # noqa: T201  (read by the test)

    def serve(self) -> None:
        """Work until killed."""
        self._engine.start()
        while True:
            time.sleep(1)

    @staticmethod
    def _ended() -> dict[str, str]:
        return {
            each.workflow_id: each.status for each in DBOS.list_workflows() if each.status in FINAL
        }

    def _begin(self, name: str) -> None:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{name} {os.getpid()} {time.time()}\n".encode())
        os.close(descriptor)

    def _work(self, ids: Mapping[str, str]) -> None:
        self._begin(ids["id"])
        time.sleep(float(ids["seconds"]))
        with self._sessions.transaction() as unit:
            name = ids["id"]
            made = Party(PartyId(name), name, name, PartyKind.LAB, None, unit.now)
            if records.add(unit, made):
                unit.record("test:work:done", actor="worker", subject=name)

    def _fail(self, ids: Mapping[str, str]) -> None:
        self._begin("fail")
        raise InvalidError("This cannot be done.", next_step="Do something else.")

    def _lack(self, ids: Mapping[str, str]) -> None:
        self._begin("lack")
        raise UnavailableError("The network is gone.", next_step="Wait.")


def main(url: str, log: str, executor: str, *actions: str) -> None:
    worker = Worker(open_engine(url), log, executor)
    print("ready", flush=True)  # noqa: T201  (read by the test)
    for action in actions:
        name, *values = action.split(":")
        {
            "enqueue": lambda count, seconds: worker.enqueue(int(count), float(seconds)),
            "fail": lambda: worker.queue("test.fail"),
            "lack": lambda: worker.queue("test.lack"),
            "late": lambda delay: worker.queue("test.work", float(delay)),
            "run": lambda count: worker.run(int(count)),
            "serve": worker.serve,
        }[name](*values)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The durable task engine: DBOS Transact on the product's own database.

Every task is one DBOS workflow with one step, so a task that was cut off runs again from its start
(at least once) when its worker starts again, or as soon as another worker sees that its worker's
heart stands still; DBOS itself leaves the work of a lost machine lying. The application version is pinned: DBOS otherwise hashes
the code and leaves work of an older version lying. Arguments are stored as portable JSON, never as
pickles, which a writer of the database could turn into code.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, error
from dbos import DBOSPortableJSONSerializer as PortableJson
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from clearhold.kernel.errors import ClearholdError, UnavailableError, kind_and_places
from clearhold.ports.engine import Flow, Task
from clearhold.store.executors import Watch, beat

APPLICATION_VERSION: Final = "1"
_WORKFLOW: Final = "clearhold_task"
_QUEUES: Final = {"light": 0.2, "heavy": 0.5, "patient": 2.0}
"""How often each queue is asked for work, in seconds. To ask takes milliseconds of a processor, also
when nobody wants anything; what waits in the others takes many seconds itself."""
_ATTEMPTS: Final = 4
_LIGHT_SLOTS: Final = 4
_GRACE_S: Final = 5
_BEAT_S: Final = 2.0
_DEAD_AFTER_S: Final = 10.0


class UnforeseenError(Exception):
    """A task failed in a way that nobody foresaw; tells the kind and the place alone."""


_log = logging.getLogger(__name__)
_flows: dict[str, Flow] = {}


@DBOS.step(
    name="clearhold_step",
    retries_allowed=True,
    max_attempts=_ATTEMPTS,
    interval_seconds=0.5,
    should_retry=lambda error: isinstance(error, UnavailableError),
)
def _step(flow: str, arguments: Mapping[str, str]) -> None:
    _run(flow, arguments)


def _run(flow: str, arguments: Mapping[str, str]) -> None:
    try:
        _flows[flow](arguments)
    except ClearholdError:
        raise
    except Exception as failure:  # noqa: BLE001  # what is raised here is stored and logged
        raise UnforeseenError(kind_and_places(failure)) from None


@DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=20)
def _workflow(flow: str, arguments: Mapping[str, str]) -> None:
    _step(flow, arguments)


class DbosEngine:
    """`ports.engine.TaskEngine` on DBOS; one may run in a process at a time."""

    def __init__(self, database: Engine, *, executor: str, heavy_slots: int) -> None:
        """Work on `database`; `executor` names this process among several, stable over restarts."""
        self._database = database
        self._executor = executor
        self._heavy_slots = heavy_slots
        self._client: DBOSClient | None = None
        self._stopping = threading.Event()
        self._heart: threading.Thread | None = None

    def register(self, name: str, flow: Flow) -> None:
        """Say what runs for tasks of this name."""
        _flows[name] = flow

    def enqueue(
        self, connection: Connection, task: Task, *, delay: timedelta
    ) -> Callable[[], None]:
        """Queue the task in the caller's own transaction; a key already known changes nothing."""
        if task.flow not in _flows:
            return _nothing
        options: EnqueueOptions = {
            "workflow_name": _WORKFLOW,
            "queue_name": task.queue,
            "workflow_id": task.key,
            "app_version": APPLICATION_VERSION,
        }
        if delay > timedelta(0):
            options["delay_seconds"] = delay.total_seconds()
        self._connected().enqueue_in_transaction(
            connection, options, task.flow, dict(task.arguments)
        )
        return _nothing

    def migrate(self) -> None:
        """Bring the engine's own tables up to date; workers themselves never alter them."""
        url = self._database.url.render_as_string(hide_password=False)
        logging.getLogger("dbos").setLevel(logging.ERROR)
        DBOS.migrate(url)

    def start(self) -> None:
        """Take up what an earlier run of this executor left, then take new work."""
        self._configure()
        with self._database.begin() as connection:
            beat(connection, self._executor)
        DBOS.launch()
        slots = {"light": _LIGHT_SLOTS, "heavy": self._heavy_slots, "patient": 1}
        for name, interval in _QUEUES.items():
            DBOS.register_queue(
                name,
                worker_concurrency=slots[name],
                polling_interval_sec=interval,
                on_conflict="always_update",
            )
        self._stopping.clear()
        self._heart = threading.Thread(target=self._live, name="heart", daemon=True)
        self._heart.start()

    def stop(self) -> None:
        """Stop taking work, after giving what runs a moment to end."""
        # Whatever is cut off runs again from its start; that it was cut off is no error to report.
        logging.getLogger("dbos").setLevel(logging.CRITICAL + 1)
        self._stopping.set()
        if self._heart is not None:
            self._heart.join()
            self._heart = None
        DBOS.destroy(workflow_completion_timeout_sec=_GRACE_S)
        if self._client is not None:
            self._client.destroy()
            self._client = None

    def _live(self) -> None:
        """Show that this worker lives, and take over from those whose hearts stand still."""
        watch = Watch(_DEAD_AFTER_S)
        while not self._stopping.wait(_BEAT_S):
            try:
                self._take_over(watch)
            except (SQLAlchemyError, error.DBOSException):
                # The database is away for a moment: the next beat tries again.
                _log.warning("The beat of worker %s was not written.", self._executor)

    def _take_over(self, watch: Watch) -> None:
        with self._database.begin() as connection:
            beats = beat(connection, self._executor)
        held: dict[str, list[tuple[str, str | None]]] = {}
        for each in DBOS.list_workflows(status="PENDING", load_input=False, load_output=False):
            if each.executor_id not in {None, self._executor}:
                held.setdefault(each.executor_id, []).append((each.workflow_id, each.queue_name))
        for name in watch.dead(set(held), beats, at=time.monotonic()):
            for key, queue in held[name]:
                DBOS.resume_workflows([key], queue_name=queue)

    def _configure(self) -> None:
        os.environ.setdefault("DBOS__APPVERSION", APPLICATION_VERSION)
        config: DBOSConfig = {
            "name": "clearhold",
            "system_database_engine": self._database,
            "serializer": PortableJson(),
            "application_version": APPLICATION_VERSION,
            "executor_id": self._executor,
            "log_level": "ERROR",
            "run_migrations": False,
        }
        DBOS(config=config)

    def _connected(self) -> DBOSClient:
        if self._client is None:
            self._client = DBOSClient(
                system_database_engine=self._database, serializer=PortableJson(), lazy=True
            )
        return self._client


def _nothing() -> None:
    """Nothing remains to be done: the rows committed with the transaction."""


def failures(limit: int = 100) -> list[dict[str, Any]]:
    """Tasks that ended in an error or were cut off too often, newest first: key, flow, error."""
    return [
        {
            "key": status.workflow_id,
            "flow": status.input["args"][0] if status.input else "",
            "error": "Cut off too often." if status.error is None else str(status.error),
        }
        for status in DBOS.list_workflows(
            status=["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"], limit=limit, sort_desc=True
        )
    ]

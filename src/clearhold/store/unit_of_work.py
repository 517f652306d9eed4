"""One use case is one transaction: rows, ledger leaves, events and queued work commit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from clearhold.kernel.events import Event
from clearhold.ledger.model import Entry
from clearhold.ledger.records import append
from clearhold.ports.clock import Clock
from clearhold.ports.engine import Task, TaskEngine
from clearhold.store.database import reachable, snapshot


@dataclass(slots=True)
class UnitOfWork:
    """An open transaction at one instant.

    Services write through `connection`, tell the ledger with `record`, tell modules to the right
    with `publish`, and queue work with `enqueue`. Nothing of it happens unless all of it commits.
    """

    connection: Connection
    now: datetime
    _engine: TaskEngine
    _committed: list[Callable[[], None]] = field(default_factory=list)
    _entries: list[Entry] = field(default_factory=list)

    def record(
        self,
        action: str,
        *,
        actor: str,
        subject: str,
        compartment: str | None = None,
        detail: Mapping[str, str] | None = None,
    ) -> None:
        """Append one leaf to the ledger; `detail` holds ids, digests and plain words only."""
        self._entries.append(
            Entry(self.now, actor, action, subject, compartment, dict(detail or {}))
        )

    def publish(self, event: Event) -> None:
        """Hand a fact to the modules to the right, once this transaction has committed."""
        self.enqueue(
            Task(
                flow=f"on:{event.name}",
                key=f"on:{event.name}:{event.key}",
                arguments=dict(event.ids),
            )
        )

    def enqueue(self, task: Task, *, delay: timedelta = timedelta(0)) -> None:
        """Queue `task` in this transaction, to start `delay` after it commits."""
        self._committed.append(self._engine.enqueue(self.connection, task, delay=delay))

    def write_leaves(self) -> None:
        """Called by the session right before the commit, never by a service.

        Last and all at once, for the chains' locks are held from here to the commit.
        """
        append(self.connection, self._entries)

    def committed(self) -> None:
        """Called by the session after the commit, never by a service."""
        for action in self._committed:
            action()


class Sessions:
    """Opens units of work on one database."""

    def __init__(self, database: Engine, *, clock: Clock, engine: TaskEngine) -> None:
        self._database = database
        self._clock = clock
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """A unit of work that commits when the block ends and vanishes when it raises."""
        with reachable():
            with self._database.begin() as connection:
                unit = UnitOfWork(connection, self._clock.now(), self._engine)
                yield unit
                unit.write_leaves()
            unit.committed()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection for reading much at one instant, which hinders no writer."""
        with snapshot(self._database) as connection:
            yield connection

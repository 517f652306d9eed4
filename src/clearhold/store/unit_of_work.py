"""One use case is one transaction: rows, ledger leaves, events and queued work commit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from clearhold.kernel.events import Event
from clearhold.ledger.model import Entry
from clearhold.ledger.records import append
from clearhold.ports.clock import Clock
from clearhold.ports.engine import Task, TaskEngine
from clearhold.store.database import insist, reachable, snapshot, synchronise, unsynced
from clearhold.store.fence import Identity, caller, lower, raise_for

Ending = TypeVar("Ending", bound=Callable[[], None])


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
    _endings: dict[str, Callable[[], None]] = field(default_factory=dict)
    _if_undone: list[Callable[[UnitOfWork], None]] = field(default_factory=list)
    _fence: Identity | None = None
    _insists: bool = False

    @contextmanager
    def as_service(self) -> Iterator[None]:
        """Read and write within as the hub itself, also in a request.

        For what a service must know of rows that the caller may not see; what it learns there does
        not go into the answer. It is the only way through the fence of `store.fence`.
        """
        fence, self._fence = self._fence, None
        if fence is None:
            yield
            return
        lower(self.connection)
        try:
            yield
        except DBAPIError:
            raise  # the transaction is lost, and no statement would be taken any more
        except BaseException:
            self._raise(fence)
            raise
        else:
            self._raise(fence)

    def fence(self, who: Identity | None) -> None:
        """Called by the session at the beginning, never by a service."""
        if who is not None and self.connection.dialect.name == "postgresql":
            self._raise(who)

    def _raise(self, fence: Identity) -> None:
        raise_for(self.connection, fence, now=self.now)
        self._fence = fence

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
        with self.as_service():
            self._committed.append(self._engine.enqueue(self.connection, task, delay=delay))

    def write_leaves(self) -> None:
        """Called by the session right before the commit, never by a service.

        Last and all at once, for the chains' locks are held from here to the commit.
        """
        if self._entries:
            with self.as_service():
                append(self.connection, self._entries)

    def at_end(self, name: str, make: Callable[[], Ending]) -> Ending:
        """The one call of that name to be made just before the commit, which it may yet refuse."""
        if name not in self._endings:
            self._endings[name] = make()
        return self._endings[name]  # type: ignore[return-value]  # one name has one maker

    def if_undone(self, action: Callable[[UnitOfWork], None]) -> None:
        """Do `action` in a transaction of its own if this one is rolled back."""
        self._if_undone.append(action)

    @property
    def insists(self) -> bool:
        """Whether the commit was asked to wait for the disk."""
        return self._insists

    def ending(self) -> None:
        """Called by the session before the commit, never by a service."""
        for action in self._endings.values():
            action()

    def undone(self) -> tuple[Callable[[UnitOfWork], None], ...]:
        """What the session does after a rollback, never called by a service."""
        return tuple(self._if_undone)

    def insist(self) -> None:
        """Let the commit wait for the disk after all, where it would not."""
        self._insists = True
        insist(self.connection)

    def committed(self) -> None:
        """Called by the session after the commit, never by a service."""
        for action in self._committed:
            action()


class Sessions:
    """Opens units of work on one database."""

    def __init__(self, database: Engine, *, clock: Clock, engine: TaskEngine) -> None:
        self._database = database
        self._unsynced = unsynced(database)
        self._clock = clock
        self._engine = engine

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[UnitOfWork]:
        """A unit of work that commits when the block ends and vanishes when it raises.

        Unless `synced`, the commit does not wait for the disk (`store.database.unsynced`): for what
        nothing outside rests on before `synchronise` was called or another one has committed.
        """
        left: tuple[Callable[[UnitOfWork], None], ...] = ()
        try:
            with reachable():
                database = self._database if synced else self._unsynced
                with database.begin() as connection:
                    unit = UnitOfWork(connection, self._clock.now(), self._engine)
                    unit.fence(caller())
                    try:
                        yield unit
                        unit.ending()
                        unit.write_leaves()
                    except BaseException:
                        left = unit.undone()
                        raise
                if unit.insists and not synced:
                    synchronise(database)
                unit.committed()
        finally:
            if left:
                with self.transaction() as after:
                    for action in left:
                        action(after)

    def synchronise(self) -> None:
        """Wait until all that was committed is on the disk."""
        synchronise(self._database)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection for reading much at one instant, which hinders no writer."""
        with snapshot(self._database) as connection:
            yield connection

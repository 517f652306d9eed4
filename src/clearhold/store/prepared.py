"""Statements that are run thousands of times: written with the toolkit once, then by the driver alone.

Running a statement through SQLAlchemy costs ten times what SQLite takes for it. Here its text is
made once for each dialect, and runs on the cursor of the connection whose transaction is open.
Values go in and come out as the database keeps them: instants as microseconds, flags as 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import TypeDecorator

from clearhold.store.database import directly

Row = tuple[Any, ...]


class Prepared:
    """One statement, of parameters with names and no lists of them."""

    def __init__(self, statement: ClauseElement, *, inserts: Table | None = None) -> None:
        """`inserts` is the table that the statement gives a whole row to."""
        self._statement = statement
        self._names = None if inserts is None else [each.name for each in inserts.c]
        self._made: dict[str, tuple[str, dict[str, Any], tuple[str, ...] | None]] = {}

    def run(self, connection: Connection, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return int(self._run(connection, values).rowcount)

    def row(self, connection: Connection, **values: Any) -> Row | None:
        """The first row of what it finds."""
        found: Row | None = self._run(connection, values).fetchone()
        return found

    def rows(self, connection: Connection, **values: Any) -> list[Row]:
        """All rows of what it finds."""
        found: list[Row] = self._run(connection, values).fetchall()
        return found

    def _run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        made = self._made.get(connection.dialect.name) or self._make(connection)
        text, given, places = made
        named = {**given, **values}
        return directly(
            connection, text, named if places is None else [named[each] for each in places]
        )

    def _make(self, connection: Connection) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
        compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._names)
        if not isinstance(compiled, SQLCompiler):
            message = "only what asks or changes rows can be prepared"
            raise TypeError(message)
        places = None if compiled.positiontup is None else tuple(compiled.positiontup)
        made = (str(compiled), dict(compiled.params), places)
        self._made[connection.dialect.name] = made
        return made


def read(table: Table, values: Iterable[Any]) -> SimpleNamespace:
    """A row of a table by the names of its columns, from what the database keeps in their order."""
    return SimpleNamespace(
        **{
            column.name: column.type.process_result_value(value, None)  # type: ignore[arg-type]
            if isinstance(column.type, TypeDecorator)
            else value
            for column, value in zip(table.c, values, strict=True)
        }
    )

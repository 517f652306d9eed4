"""Which workers live: each counts its own beats, and others see whether the count still grows.

A count, and no time, is stored, so that the clocks of two machines need not agree.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.store.schema import STRICT, Whole, Words, metadata

executor: Final = Table(
    "executor",
    metadata,
    Column("name", Words, primary_key=True),
    Column("beats", Whole, nullable=False),
    **STRICT,
)


def beat(connection: Connection, name: str) -> dict[str, int]:
    """Count one beat more for a worker, and return every worker's count."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(executor)
        .values(name=name, beats=1)
        .on_conflict_do_update(index_elements=["name"], set_={"beats": executor.c.beats + 1})
    )
    return {row.name: row.beats for row in connection.execute(select(executor))}


class Watch:
    """Remembers when each worker's count was last seen to change."""

    def __init__(self, patience_s: float) -> None:
        """Hold a worker for dead once its count has stood still for `patience_s` seconds."""
        self._patience_s = patience_s
        self._changed: dict[str, tuple[int, float]] = {}

    def dead(self, names: set[str], beats: dict[str, int], *, at: float) -> set[str]:
        """Those of `names` whose count has stood still; `at` is a steady clock's seconds.

        A worker looked at for the first time counts as alive, one that never beat as standing still.
        """
        for name in names:
            count = beats.get(name, 0)
            if name not in self._changed or self._changed[name][0] != count:
                self._changed[name] = (count, at)
        self._changed = {name: self._changed[name] for name in names}
        return {name for name in names if at - self._changed[name][1] >= self._patience_s}

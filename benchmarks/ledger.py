"""What the ledger costs a transaction, beside a bare insert of the same row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert

from benchmarks.figure import Figure, median_seconds
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.ledger import records
from clearhold.parties.tables import party
from clearhold.store.database import migrate, open_engine
from clearhold.store.unit_of_work import Sessions

_GOAL_RATIO = 3.0


def run(*, full: bool) -> Iterator[Figure]:
    """The median time of a transaction with one row and one leaf, in microseconds, on SQLite."""
    times = 5000 if full else 1000
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        database = open_engine(f"sqlite:///{Path(directory) / 'bench.db'}")
        migrate(database)
        sessions = Sessions(database, clock=clock, engine=MemoryEngine(clock))
        count = 0

        def write(*, leaf: bool) -> None:
            nonlocal count
            count += 1
            with sessions.transaction() as unit:
                unit.connection.execute(
                    insert(party).values(
                        id=str(count),
                        handle=f"party-{count}",
                        name="A party",
                        kind="lab",
                        registered_at=unit.now,
                    )
                )
                if leaf:
                    unit.record("bench:row:write", actor="bench", subject=str(count))

        bare = median_seconds(lambda: write(leaf=False), times=times)
        ours = median_seconds(lambda: write(leaf=True), times=times)
        with sessions.transaction() as unit:
            intact = records.verify(unit.connection).intact
        database.dispose()
    yield Figure(
        bench="ledger",
        figure="p50 of a transaction with one leaf",
        input="transactions on SQLite",
        size=times,
        ours=round(ours * 1e6),
        unit="us",
        peer="the same transaction without a leaf",
        peer_value=round(bare * 1e6),
        ratio=round(ours / bare, 2),
        goal=_GOAL_RATIO,
        met=intact and ours / bare <= _GOAL_RATIO,
    )

"""What a call to a model costs the database, and what is on the disk before its answer is given."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from gateway_scene import ONE_DATABASE, Gate
from sqlalchemy import Connection, Engine, event

from clearhold.kernel.errors import UnauthenticatedError
from clearhold.wire.model_calls import Dialect
from scripted_model import Endpoint

FULL = 2  # PRAGMA synchronous
SOON = "clearhold.adapters.endpoints_https._SOON_S"
WAIT = "clearhold.store.database.os.fdatasync"
AT_ONCE, LATE = 60.0, 0.0
"""Within which time an answer comes at once: all of them do, or none."""


class Cost(NamedTuple):
    """What an act costs: statements but for those that begin and end, commits, waits for the disk."""

    statements: int
    commits: int
    waits: int


def cost(database: Engine, act: Callable[[], object]) -> Cost:
    """Counted by SQLite itself, whoever runs the statements."""
    said: list[str] = []
    commits, waits = 0, 0

    def begun(connection: Connection) -> None:
        raw(connection).set_trace_callback(said.append)

    def committed(connection: Connection) -> None:
        nonlocal commits, waits
        raw(connection).set_trace_callback(None)
        commits += 1
        waits += raw(connection).execute("PRAGMA synchronous").fetchone()[0] == FULL

    def waited(log: int) -> None:
        nonlocal waits
        waits += 1
        os.fsync(log)

    event.listen(database, "begin", begun)
    event.listen(database, "commit", committed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WAIT, waited)
        try:
            act()
        finally:
            event.remove(database, "begin", begun)
            event.remove(database, "commit", committed)
    beside = ("BEGIN", "COMMIT", "PRAGMA")
    return Cost(sum(not each.startswith(beside) for each in said), commits, waits)


def raw(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.dbapi_connection


@ONE_DATABASE
@pytest.mark.parametrize(("soon", "waits"), [(AT_ONCE, 1), (LATE, 2)])
def test_a_call_costs_as_many_queries_after_many_others_as_at_first(
    gate: Gate,
    served: Endpoint,
    database: Engine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    soon: float,
    waits: int,
) -> None:
    monkeypatch.setattr(SOON, soon)
    gate.open(served, tokens=100_000)
    gate.call()  # opens what is sealed, which is kept for the next
    first = cost(database, gate.call)
    assert first.statements <= 11
    assert first.commits == 2  # tokens are held before it is asked; the record before the answer
    assert first.waits == waits  # the second while an endpoint thinks that does not answer at once
    for _ in range(30):
        gate.call()
    assert cost(database, gate.call) == first
    assert len(gate.record()) > 30


@ONE_DATABASE
def test_what_a_power_cut_leaves_has_the_tokens_of_a_slow_call_and_the_record_of_an_answered_one(
    gate: Gate,
    served: Endpoint,
    database: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate.open(served)
    gate.call()
    kept = Path(database.url.database or "")
    left: list[tuple[int, int, int]] = []

    def waited(_log: int) -> None:
        """What is on the disk from now on at the least: the files as they are."""
        there = tmp_path / str(len(left))
        there.mkdir()
        for name in (kept.name, f"{kept.name}-wal"):
            shutil.copy(kept.with_name(name), there)
        with closing(sqlite3.connect(there / kept.name)) as copy:
            queries = ("SELECT max(number) FROM model_call", "SELECT sum(held) FROM model_grant")
            query = f"SELECT ({queries[0]}), ({queries[1]}), (SELECT count() FROM model_open_call)"  # noqa: S608
            left.append(copy.execute(query).fetchone())

    monkeypatch.setattr(WAIT, waited)
    calls = len(gate.record())
    monkeypatch.setattr(SOON, AT_ONCE)
    gate.call()
    assert left == [(calls + 1, 0, 0)]
    monkeypatch.setattr(SOON, LATE)
    gate.call()
    assert left[1][0] == calls + 1
    assert left[1][1] > 50  # the tokens it asked for, and its prompt
    assert left[1:] == [(calls + 1, left[1][1], 1), (calls + 2, 0, 0)]


@ONE_DATABASE
def test_a_refused_call_costs_one_commit_and_what_is_no_token_none(
    gate: Gate, served: Endpoint, database: Engine
) -> None:
    gate.open(served)
    gate.call()
    wishes: tuple[tuple[dict[str, Any], int], ...] = (
        ({"model": "other"}, 5),
        ({"stream": True}, 4),
    )
    for wrong, most in wishes:
        spent = cost(database, partial(gate.refused, **wrong))
        assert 0 < spent.statements <= most
        assert (spent.commits, spent.waits) == (1, 1)

    def stranger() -> None:
        with pytest.raises(UnauthenticatedError):
            gate.hub.models.gateway.call("sk-something-else", Dialect.OPENAI, b"{}")

    assert cost(database, stranger) == (0, 0, 0)

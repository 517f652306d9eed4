"""The ledger only grows, and any change to it shows."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from clearhold.ledger import records
from clearhold.ledger.tables import ledger_head, ledger_leaf
from clearhold.store.unit_of_work import Sessions

FENCES = {
    "sqlite": ("DROP TRIGGER ledger_leaf_no_update", "DROP TRIGGER ledger_leaf_no_delete"),
    "postgresql": ("DROP TRIGGER ledger_leaf_append_only ON ledger_leaf",),
}


def write(sessions: Sessions, count: int) -> None:
    for number in range(count):
        with sessions.transaction() as unit:
            unit.record("test:thing:do", actor="a", subject=str(number), detail={"n": str(number)})


def test_leaves_written_one_after_the_other_verify(sessions: Sessions) -> None:
    write(sessions, 5)
    with sessions.transaction() as unit:
        report = records.verify(unit.connection)
    assert report.intact
    assert report.leaves == 5


def test_a_leaf_vanishes_with_the_transaction_that_wrote_it(sessions: Sessions) -> None:
    write(sessions, 1)
    with pytest.raises(RuntimeError), sessions.transaction() as unit:
        unit.record("test:thing:do", actor="a", subject="lost")
        raise RuntimeError
    with sessions.transaction() as unit:
        assert records.verify(unit.connection).leaves == 1


def test_the_database_refuses_to_change_or_delete_a_leaf(
    sessions: Sessions, database: Engine
) -> None:
    write(sessions, 2)
    for statement in (update(ledger_leaf).values(actor="b"), delete(ledger_leaf)):
        with pytest.raises(DBAPIError, match="append-only"), database.begin() as connection:
            connection.execute(statement)


@pytest.mark.parametrize(
    "tamper",
    [
        update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(actor="mallory"),
        update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(detail={"n": "9"}),
        delete(ledger_leaf).where(ledger_leaf.c.seq == 3),
        delete(ledger_leaf).where(ledger_leaf.c.seq == 5),
        update(ledger_head).values(seq=4),
        insert(ledger_leaf).from_select(
            [column.name for column in ledger_leaf.c],
            text(
                "SELECT 6, at, actor, action, subject, compartment, detail, previous, hash"
                " FROM ledger_leaf WHERE seq = 5"
            ).columns(*ledger_leaf.c),
        ),
    ],
    ids=["actor", "detail", "removed", "cut-off", "head", "copied"],
)
def test_tampering_behind_the_product_is_found(
    sessions: Sessions, database: Engine, tamper: object
) -> None:
    write(sessions, 5)
    with database.begin() as connection:
        for fence in FENCES[database.dialect.name]:
            connection.execute(text(fence))
        connection.execute(tamper)  # type: ignore[call-overload]
    with sessions.transaction() as unit:
        report = records.verify(unit.connection)
    assert not report.intact
    assert report.faults


def test_writers_in_parallel_keep_one_chain(sessions: Sessions) -> None:
    threads = [threading.Thread(target=write, args=(sessions, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions.transaction() as unit:
        report = records.verify(unit.connection)
    assert report.intact
    assert report.leaves == 20

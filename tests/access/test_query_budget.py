"""A page of cases costs as many queries whatever it holds and however many there are."""

from __future__ import annotations

from typing import Any

from benchmarks.access import actor_of, fill
from sqlalchemy import Engine, event

from clearhold.assembly.hub import Hub


def queries(hub: Hub, database: Engine, actor: Any) -> tuple[int, int]:
    """How many cases a page holds and how many statements that took."""
    count = 0

    def one_more(*_given: Any) -> None:
        nonlocal count
        count += 1

    event.listen(database, "before_cursor_execute", one_more)
    page, _ = hub.cases.list(actor)
    event.remove(database, "before_cursor_execute", one_more)
    return len(page), count


def test_ten_and_a_thousand_cases_take_the_same_number_of_queries(
    hub: Hub, database: Engine
) -> None:
    (few, *_) = fill(hub.sessions, hub.vault, cases=10, parties=3)
    before = queries(hub, database, actor_of(few))
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE party SET handle = 'old ' || handle")
    (many, *_) = fill(hub.sessions, hub.vault, cases=1000, parties=3)
    after = queries(hub, database, actor_of(many))
    assert (before[0], after[0]) == (10, 50)
    assert before[1] == after[1] <= 25

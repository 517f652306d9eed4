"""What tests of the ledger share: leaves to write, and how to get behind the product's back."""

from __future__ import annotations

from sqlalchemy import Engine, text

from clearhold.store.unit_of_work import Sessions

KINDS = ("one", "two", "three", None)
_ONLY_GROW = ("ledger_leaf", "ledger_place", "ledger_lodgement")


def write(sessions: Sessions, count: int) -> None:
    """Leaves in transactions of their own, none in a compartment."""
    for number in range(count):
        with sessions.transaction() as unit:
            unit.record("test:thing:do", actor="a", subject=str(number), detail={"n": str(number)})


def fences_down(database: Engine) -> None:
    """Remove the triggers, as whoever owns the database can."""
    with database.begin() as connection:
        for table in _ONLY_GROW:
            if database.dialect.name == "sqlite":
                for verb in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER {table}_no_{verb}"))
            else:
                connection.execute(text(f"DROP TRIGGER {table}_append_only ON {table}"))

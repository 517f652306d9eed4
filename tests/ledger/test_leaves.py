"""The ledger only grows: every leaf is in its chain and in the tree, once, whoever writes at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from alembic import command
from ledger_scene import KINDS, fences_down, write
from sqlalchemy import Engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import ConflictError
from clearhold.ledger import audit, records
from clearhold.ledger.model import GENESIS, recommitted
from clearhold.ledger.tables import ledger_leaf, ledger_lodgement, ledger_place, ledger_waiting
from clearhold.store.database import _configuration, migrate, open_engine
from clearhold.store.unit_of_work import Sessions


def test_leaves_written_one_after_the_other_verify(hub: Hub, sessions: Sessions) -> None:
    write(sessions, 5)
    assert hub.sequencer.integrate() == 5
    with sessions.transaction() as unit:
        report = audit.verify(unit.connection)
    assert report.intact
    assert (report.leaves, report.size, report.waiting) == (5, 5, 0)


def test_a_hub_without_a_sequencer_takes_leaves_and_verifies(sessions: Sessions) -> None:
    write(sessions, 3)
    with sessions.transaction() as unit:
        report = audit.verify(unit.connection)
    assert report.intact
    assert (report.leaves, report.size, report.waiting) == (3, 0, 3)


def test_a_leaf_vanishes_with_the_transaction_that_wrote_it(sessions: Sessions) -> None:
    write(sessions, 1)
    with pytest.raises(RuntimeError), sessions.transaction() as unit:
        unit.record("test:thing:do", actor="a", subject="lost")
        raise RuntimeError
    with sessions.transaction() as unit:
        report = audit.verify(unit.connection)
    assert (report.leaves, report.waiting) == (1, 1)


@pytest.mark.parametrize("table", [ledger_leaf, ledger_place, ledger_lodgement], ids=str)
def test_the_database_refuses_to_change_or_delete_what_only_grows(
    hub: Hub, party_of: object, database: Engine, table: object
) -> None:
    actor = party_of("finder")  # type: ignore[operator]
    hub.ledger.lodge(actor, bytes(32))
    hub.sequencer.integrate()
    name = next(iter(table.c.keys()))  # type: ignore[attr-defined]
    for statement in (update(table).values({name: table.c[name]}), delete(table)):  # type: ignore[arg-type,attr-defined]
        with pytest.raises(DBAPIError, match="append-only"), database.begin() as connection:
            connection.execute(statement)


def test_each_leaf_of_a_compartment_names_the_one_before_and_no_other(sessions: Sessions) -> None:
    for _ in range(3):
        with sessions.transaction() as unit:
            for within in ("b", None, "a", "b"):
                unit.record("test:thing:do", actor="a", subject="s", compartment=within)
    with sessions.transaction() as unit:
        found = list(records.leaves(unit.connection))
    for within in ("a", "b"):
        chain = [leaf for leaf in found if leaf.compartment == within]
        assert chain[0].previous == GENESIS
        assert [leaf.previous for leaf in chain[1:]] == [leaf.hash for leaf in chain[:-1]]
    assert {leaf.previous for leaf in found if leaf.compartment is None} == {None}
    assert all(recommitted(leaf) == leaf.commitment for leaf in found)


def test_the_same_leaf_twice_has_two_commitments(sessions: Sessions) -> None:
    with sessions.transaction() as unit:
        for _ in range(2):
            unit.record("test:thing:do", actor="a", subject="s")
    with sessions.transaction() as unit:
        one, other = records.leaves(unit.connection)
    assert one.salt != other.salt
    assert one.commitment != other.commitment


TAMPERINGS = {
    "actor": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(actor="mallory"),
    "detail": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(detail={"n": "9"}),
    "salt": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(salt=bytes(32)),
    "commitment": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(commitment=bytes(32)),
    "compartment": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(compartment="x"),
    "number": update(ledger_leaf).where(ledger_leaf.c.seq == 3).values(seq=300),
    "removed": delete(ledger_leaf).where(ledger_leaf.c.seq == 3),
    "cut off": delete(ledger_leaf).where(ledger_leaf.c.seq == 5),
    "place removed": delete(ledger_place).where(ledger_place.c.leaf == 3),
    "place moved": update(ledger_place).where(ledger_place.c.leaf == 3).values(place=77),
    "leaf and place removed": (
        delete(ledger_leaf).where(ledger_leaf.c.seq == 3),
        delete(ledger_place).where(ledger_place.c.leaf == 3),
    ),
    "reordered": (
        update(ledger_place).where(ledger_place.c.leaf == 2).values(leaf=20),
        update(ledger_place).where(ledger_place.c.leaf == 3).values(leaf=2),
        update(ledger_place).where(ledger_place.c.leaf == 20).values(leaf=3),
    ),
    "inserted": insert(ledger_leaf).from_select(
        [column.name for column in ledger_leaf.c],
        text(
            "SELECT 6, at, actor, action, subject, compartment, detail, previous, salt, commitment"
            " FROM ledger_leaf WHERE seq = 5"
        ).columns(*ledger_leaf.c),
    ),
    "waits again": insert(ledger_waiting).values(leaf=3),
    "waits without being there": insert(ledger_waiting).values(leaf=99),
    "tree": text("UPDATE ledger_tree SET size = 4"),
    "frontier": text("UPDATE ledger_tree SET frontier = note"),
    "tree removed": text("DELETE FROM ledger_tree"),
}


def test_tampering_behind_the_product_is_found(
    hub: Hub, sessions: Sessions, database: Engine
) -> None:
    write(sessions, 5)
    hub.sequencer.integrate()
    fences_down(database)
    for tampering, statements in TAMPERINGS.items():
        with database.connect() as connection:
            for statement in statements if isinstance(statements, tuple) else (statements,):
                connection.execute(statement)
            report = audit.verify(connection)
            connection.rollback()
        assert not report.intact, tampering
        if tampering in {"actor", "detail", "salt", "compartment"}:
            assert "leaf 3 was changed" in report.faults
        if tampering == "removed":
            assert "leaf 3 is missing" in report.faults
    with database.connect() as connection:
        assert audit.verify(connection).intact


def test_a_leaf_removed_before_it_was_in_the_tree_is_missed(
    sessions: Sessions, database: Engine
) -> None:
    write(sessions, 3)
    fences_down(database)
    with database.begin() as connection:
        connection.execute(delete(ledger_leaf).where(ledger_leaf.c.seq == 3))
    with sessions.transaction() as unit:
        assert "leaf 3 is missing" in audit.verify(unit.connection).faults


def test_writers_in_parallel_keep_every_chain_and_each_leaf_is_integrated_once(
    hub: Hub, sessions: Sessions, database: Engine
) -> None:
    failed: list[BaseException] = []

    def work(turn: int) -> None:
        try:
            for number in range(6):
                with sessions.transaction() as unit:
                    # Each writer names the compartments in another order.
                    for within in (KINDS * 2)[turn : turn + len(KINDS)]:
                        unit.record("t:t:do", actor="a", subject=str(number), compartment=within)
        except BaseException as error:  # noqa: BLE001  (told to the test below)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        hub.sequencer.integrate()
    for thread in threads:
        thread.join()
    hub.sequencer.integrate()
    assert failed == []
    with database.connect() as connection:
        report = audit.verify(connection)
        placed = list(connection.execute(select(ledger_place.c.leaf)).scalars())
        written = list(connection.execute(select(ledger_leaf.c.seq)).scalars())
    assert report.faults == ()
    assert (report.leaves, report.size) == (4 * 6 * len(KINDS), 4 * 6 * len(KINDS))
    assert sorted(placed) == sorted(written)


def test_a_transaction_that_commits_late_loses_no_leaf(
    hub: Hub, sessions: Sessions, database: Engine
) -> None:
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    with sessions.transaction() as late:
        late.record("test:thing:do", actor="a", subject="late")
        late.write_leaves()
        late._entries.clear()
        write(sessions, 2)  # takes higher numbers and commits first
        assert hub.sequencer.integrate() == 2
    assert hub.sequencer.integrate() == 1
    with database.connect() as connection:
        order = select(ledger_place.c.leaf).order_by(ledger_place.c.place)
        assert list(connection.execute(order).scalars()) == [2, 3, 1]
        assert audit.verify(connection).intact


def test_leaves_of_the_first_ledger_are_not_carried_over_in_silence(database_url: str) -> None:
    engine = open_engine(database_url)
    configuration = _configuration()
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0001")
        connection.execute(
            text(
                "INSERT INTO ledger_leaf (seq, at, actor, action, subject, detail, previous, hash)"
                " VALUES (1, 1, 'a', 'b', 'c', '{}', :hash, :hash)"
            ),
            {"hash": bytes(32)},
        )
    with pytest.raises(ConflictError, match="cannot be carried over"):
        migrate(engine)
    engine.dispose()


def test_a_lodged_commitment_is_its_owners_alone_and_lodged_once(
    hub: Hub, party_of: object, clock: object
) -> None:
    mine, other, maintainer = (party_of(kind) for kind in ("finder", "lab", "maintainer"))  # type: ignore[operator]
    first = hub.ledger.lodge(mine, b"\x01" * 32)
    clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    assert hub.ledger.lodge(mine, b"\x01" * 32) == first
    assert hub.ledger.lodged(mine, after=0) == (first,)
    assert hub.ledger.lodged(other, after=0) == hub.ledger.lodged(maintainer, after=0) == ()
    assert hub.ledger.lodge(other, b"\x01" * 32).id != first.id
    assert first.leaf in [leaf.seq for leaf in hub.history(mine, after=0, limit=99)]
    assert first.leaf not in [leaf.seq for leaf in hub.history(other, after=0, limit=99)]

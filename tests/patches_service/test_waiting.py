"""Two who act on one case and party at once wait for each other and never for ever."""

from __future__ import annotations

import threading

from judging_rules import FIX, Workbench
from sqlalchemy import select

from clearhold.access.permissions import PartyKind
from clearhold.cases import progress
from clearhold.cases.model import Role
from clearhold.parties import records as parties
from clearhold.parties.tables import party
from clearhold.patches.records import State


def test_a_request_does_not_block_rows_that_refer_to_its_party(bench: Workbench) -> None:
    """The order that deadlocks when holding a party keeps others from referring to it."""
    held, done = threading.Event(), threading.Event()
    office = bench.hub.parties.register(
        bench.coordinator, handle="office", name="Office", kind=PartyKind.GOVERNMENT, sector=None
    )

    def read_in() -> None:
        held.wait(10)
        bench.hub.readers.read_in(
            bench.coordinator, bench.case, "office", role=Role.OTHER, tier=1, reason="helps"
        )
        done.set()

    other = threading.Thread(target=read_in)
    other.start()
    with bench.hub.sessions.transaction() as unit:
        parties.hold(unit, office.id)
        if unit.connection.dialect.name == "postgresql":
            held.set()
            assert done.wait(10)
        progress.current(unit, bench.case)
        assert unit.connection.scalar(select(party.c.id).where(party.c.handle == "office"))
    held.set()
    other.join()
    assert done.is_set()


def test_fixes_judged_while_others_are_submitted_are_all_decided(bench: Workbench) -> None:
    submitted = [bench.submit(bench.maintainer, FIX, key=f"k{number}") for number in range(3)]
    threads = [
        threading.Thread(target=bench.judging.judge, args=({"patch": each.id},))
        for each in submitted
    ]
    for thread in threads:
        thread.start()
    later = bench.submit(bench.maintainer, FIX, key="later")
    for thread in threads:
        thread.join()
    bench.judging.judge({"patch": later.id})
    shown = bench.hub.patches.list(bench.maintainer, bench.case)
    assert [each.state for each in shown] == [State.ACCEPTED] * 4

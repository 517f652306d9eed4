"""On PostgreSQL a request reads no choice, question or coverage of another party."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Table, select

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.inventory.tables import inventory_sharing
from clearhold.scanning.coverage_model import NewCoverage, Sharing
from clearhold.scanning.coverage_tables import coverage_sharing, scan_suggestion
from clearhold.scanning.model import Mode, Outcome, Versions, make_scope
from clearhold.scanning.tables import scan_coverage
from clearhold.store import fence

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.mark.parametrize("acting", ["lab", "operator"])
def test_a_request_reads_its_own_rows_alone_and_nobody_reads_none(
    hub: Hub, party_of: Callable[..., Actor], acting: str
) -> None:
    lab, rival = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    operator, other = party_of(PartyKind.OPERATOR), party_of(PartyKind.OPERATOR)

    def act(one: Actor, runner: Actor) -> None:
        hub.scanning.covering.choose(one, Sharing.SHARED)
        hub.scanning.suggestions.next(one)
        hub.inventory_sharing.share(runner, wanted=True)
        scope = make_scope(
            "pkg:pypi/ujson",
            versions=Versions(exact="5.1.0"),
            paths=(),
            technique=Technique.FUZZING,
        )
        lease = hub.scanning.claim(
            one, scope, mode=Mode.SHARED, window=timedelta(hours=1), budget_s=1, key=one.party
        ).lease
        new = NewCoverage(Outcome.NOTHING_FOUND, {}, "ab" * 32)
        hub.scanning.report_coverage(one, lease.id, fence=lease.fence, new=new)

    act(lab, operator)
    act(rival, other)
    of_labs: tuple[Table, ...] = (coverage_sharing, scan_suggestion, scan_coverage)
    own = {"lab": of_labs, "operator": (inventory_sharing,)}[acting]

    def counted() -> list[int]:
        with hub.sessions.transaction() as unit:
            tables = (*of_labs, inventory_sharing)
            return [len(unit.connection.execute(select(table)).all()) for table in tables]

    assert counted() == [2, 2, 2, 2]
    with fence.request():
        assert counted() == [0, 0, 0, 0]
        who = {"lab": lab, "operator": operator}[acting]
        fence.identify(fence.Identity(who.party, who.principal, who.person or ""))
        assert counted() == [int(table in own) for table in (*of_labs, inventory_sharing)]


def test_within_a_request_all_of_it_works_as_outside_of_one(
    hub: Hub, party_of: Callable[..., Actor]
) -> None:
    lab = party_of(PartyKind.LAB)
    scope = make_scope(
        "pkg:pypi/ujson", versions=Versions(exact="1.0"), paths=(), technique=Technique.FUZZING
    )
    with fence.request():
        fence.identify(fence.Identity(lab.party, lab.principal, lab.person or ""))
        lease = hub.scanning.claim(
            lab, scope, mode=Mode.SHARED, window=timedelta(hours=1), budget_s=1, key="k"
        ).lease
        new = NewCoverage(Outcome.FOUND, {}, "ab" * 32, sharing=Sharing.SHARED)
        made = hub.scanning.report_coverage(lab, lease.id, fence=lease.fence, new=new)
        assert made.shown_from
        assert hub.scanning.covering.map(lab, "pkg:pypi/ujson").rows == ()
        assert hub.scanning.covering.withdraw(lab, made.id).sharing is Sharing.PRIVATE
        assert hub.scanning.covering.choose(lab, Sharing.SHARED) is Sharing.SHARED
        assert hub.scanning.covering.chosen(lab) is Sharing.SHARED
        assert hub.scanning.suggestions.next(lab).scans == ()

"""Leads are their party's own, met once however often, and nobody's finding until one is proved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from test_campaigns import PACKAGE, VERSION, Field
from test_campaigns import ground as ground  # noqa: PLC0414  # a fixture of that module

from clearhold.catalogue.model import Technique
from clearhold.discovery.engine import Ending, Lead, Searched
from clearhold.discovery.lead_tables import lead
from clearhold.discovery.leads import LeadService, LeadState, LeadView
from clearhold.findings.intake import Format
from clearhold.findings.model import State
from clearhold.findings.tables import finding
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import FindingId, LeadId
from clearhold.scanning.coverage_model import Sharing
from clearhold.scanning.model import Lease, Mode, Outcome, Versions, make_scope
from clearhold.wire.finding_json import SCHEMA


def a_lead(name: str, **changes: Any) -> Lead:
    made = Lead(
        rule=f"ruff:{name}",
        path="lib/code.py",
        line=7,
        message=f"SAID-OF-{name}",
        fingerprint=name,
        excerpt=f"7: TEXT-OF-{name}",
        level="error",
    )
    return replace(made, **changes)


FIRST, SECOND, THIRD = a_lead("S1"), a_lead("S2"), a_lead("S3", path="tests/t.py")


def read(*leads: Lead, ending: Ending = Ending.DONE) -> Searched:
    return Searched(
        ending,
        2,
        spent_s=1,
        leads=leads,
        lines=90,
        read=("lib/code.py", "tests/t.py"),
        complete=True,
        log="ruff",
    )


class Bench:
    """Campaigns of ruff by one lab, each with the leads it is told to meet."""

    def __init__(self, ground: Field) -> None:
        self.ground = ground
        self.leads: LeadService = ground.hub.leads
        self._keys: Iterator[str] = (f"key-{number}" for number in range(100))
        self.lease = ground.lease(Technique.STATIC)

    def meet(self, searched: Searched, lease: Lease | None = None) -> str:
        """Run a campaign and return what its note says."""
        self.ground.searcher.answer = searched
        identity = self.ground.begin(
            lease or self.lease, engine="ruff", target="source", key=next(self._keys)
        )
        self.ground.engine.run_due()
        return self.ground.service.get(self.ground.lab, identity).note

    def seen(self) -> tuple[LeadView, ...]:
        return self.leads.list(self.ground.lab)

    def named(self, name: str) -> LeadView:
        return next(each for each in self.seen() if each.rule == f"ruff:{name}")

    def finding(
        self,
        package: str = f"{PACKAGE}@{VERSION}",
        *,
        shown: bool = True,
        signature: tuple[str, ...] = (),
    ) -> FindingId:
        """A finding of the lab, with the verdict of a laboratory."""
        hub = self.ground.hub
        report = {
            "schema": SCHEMA,
            "package": package,
            "title": "Overflow",
            "description": f"Too deep {package}{shown}",
            "claim": {"kind": "crash", "signature": signature} if signature else {"kind": "other"},
        }
        receipt = hub.findings.submit(
            self.ground.lab,
            json.dumps(report).encode(),
            form=Format.CLEARHOLD_JSON,
            key=f"finding-{package}-{shown}",
        )
        (identity,) = (each.finding for each in receipt.findings)
        if shown:
            with hub.sessions.transaction() as unit:
                hub.findings.set_verdict(
                    unit, identity, state=State.REPRODUCED, verdict="reproduced", level=2
                )
        return identity


@pytest.fixture
def bench(ground: Field) -> Bench:
    return Bench(ground)


def test_a_lead_met_again_is_the_same_and_what_is_gone_is_told(bench: Bench) -> None:
    assert "2 new, 0 met again, 0 gone" in bench.meet(read(FIRST, SECOND))
    before = {each.id for each in bench.seen()}
    moved = replace(FIRST, line=70)
    assert "1 new, 1 met again, 1 gone" in bench.meet(read(moved, THIRD))
    assert {each.id for each in bench.seen()} >= before
    assert len(bench.seen()) == 3
    assert (bench.named("S1").line, bench.named("S1").gone_in) == (70, None)
    assert bench.named("S2").gone_in == bench.named("S3").first_campaign
    assert "0 new, 1 met again, 2 gone" in bench.meet(read(SECOND))
    assert bench.named("S2").gone_in is None


def test_only_who_read_everything_there_can_say_that_a_lead_is_gone(bench: Bench) -> None:
    bench.meet(read(FIRST, THIRD))
    for ending in (Ending.BUDGET, Ending.STOPPED, Ending.FAILED):
        assert "gone" not in bench.meet(read(ending=ending))
    assert "1 gone" in bench.meet(replace(read(), unread=("lib/code.py",)))
    assert bench.named("S1").gone_in is None
    assert bench.named("S3").gone_in is not None
    bench.meet(read(FIRST, THIRD))
    hub, lab = bench.ground.hub, bench.ground.lab
    hub.scanning.release(lab, bench.lease.id, fence=bench.lease.fence)
    scope = make_scope(
        PACKAGE, versions=Versions(exact=VERSION), paths=("lib/**",), technique=Technique.STATIC
    )
    narrow = hub.scanning.claim(
        lab,
        scope,
        mode=Mode.EXCLUSIVE,
        window=timedelta(hours=8),
        budget_s=600,
        key="narrow",
    ).lease
    assert "1 gone" in bench.meet(replace(read(), read=("lib/code.py",)), narrow)
    assert bench.named("S1").gone_in is not None
    assert bench.named("S3").gone_in is None


def test_leads_are_no_findings_and_change_no_outcome(bench: Bench) -> None:
    def findings() -> int:
        with bench.ground.hub.sessions.transaction() as unit:
            return int(unit.connection.execute(select(func.count()).select_from(finding)).scalar())

    bench.meet(read(FIRST, SECOND))
    assert findings() == 0
    assert bench.ground.hub.findings.list(bench.ground.lab) == ()
    (coverage,) = bench.ground.hub.scanning.covering.list(bench.ground.lab)
    assert coverage.outcome is Outcome.NOTHING_FOUND
    assert (coverage.effort["files"], coverage.effort["lines"]) == (2, 90)
    assert coverage.paths == ("lib/*.py", "tests/*.py")


def test_coverage_claims_neither_what_was_left_out_nor_the_lease_for_want_of_knowing(
    bench: Bench,
) -> None:
    hub, lab = bench.ground.hub, bench.ground.lab
    hub.scanning.covering.choose(lab, Sharing.SHARED)
    told = [
        replace(read(), unread=("lib/huge.py",)),
        replace(read(), read=(), unread=("lib/huge.py",), executions=0, lines=0),
        Searched(Ending.STOPPED),
        Searched(Ending.BUDGET, 9000, 80, 60),
    ]
    for each in told:
        bench.meet(each)
    recorded = hub.scanning.covering.list(lab)
    assert sorted((each.paths, each.shown_from is not None) for each in recorded) == [
        ((), False),
        ((), False),
        ((), True),
        (("lib/code.py", "tests/*.py"), True),
    ]


def test_what_was_dismissed_stays_so_when_it_is_met_again(bench: Bench) -> None:
    bench.meet(read(FIRST))
    (met,) = bench.seen()
    lab = bench.ground.lab
    with pytest.raises(InvalidError):
        bench.leads.dismiss(lab, met.id, reason="  ")
    dismissed = bench.leads.dismiss(lab, met.id, reason="A constant")
    assert (dismissed.state, dismissed.reason) == (LeadState.DISMISSED, "A constant")
    bench.meet(read(FIRST))
    (again,) = bench.seen()
    assert (again.state, again.reason) == (LeadState.DISMISSED, "A constant")
    assert bench.leads.list(lab, state=LeadState.OPEN) == ()
    reopened = bench.leads.reopen(lab, met.id)
    assert (reopened.state, reopened.reason) == (LeadState.OPEN, "")


def test_a_lead_is_proved_by_a_reproduced_finding_on_its_package_alone(bench: Bench) -> None:
    bench.meet(read(FIRST))
    (met,) = bench.seen()
    lab = bench.ground.lab
    for refused in (bench.finding(shown=False), bench.finding("pkg:pypi/other@1.0")):
        with pytest.raises(ConflictError):
            bench.leads.prove(lab, met.id, finding=refused)
    with pytest.raises(NotFoundError):
        bench.leads.prove(lab, met.id, finding=FindingId(met.id))
    proved = bench.finding()
    for _ in range(2):
        done = bench.leads.prove(lab, met.id, finding=proved)
        assert (done.state, done.finding) == (LeadState.PROVED, proved)
    with pytest.raises(ConflictError):
        bench.leads.dismiss(lab, met.id, reason="Not so")
    assert bench.ground.told("discovery:lead:decide") == 1


def test_another_party_learns_nothing_of_a_lead(bench: Bench) -> None:
    bench.meet(read(FIRST))
    (met,) = bench.seen()
    ground = bench.ground
    assert bench.leads.list(ground.other) == ()
    assert bench.leads.list(ground.other, package=PACKAGE) == ()
    answers = set()
    for asked in (met.id, LeadId("00000000-0000-7000-8000-000000000000")):
        for act in (
            lambda it: bench.leads.get(ground.other, it),
            lambda it: bench.leads.dismiss(ground.other, it, reason="x"),
            lambda it: bench.leads.reopen(ground.other, it),
            lambda it: bench.leads.prove(ground.other, it, finding=FindingId(it)),
        ):
            with pytest.raises(NotFoundError) as told:
                act(asked)
            answers.add((told.value.message, told.value.next_step))
    assert len(answers) == 1
    with pytest.raises(DeniedError):
        bench.leads.list(ground.coordinator)


def test_nothing_that_a_lead_says_lies_open_in_its_row(bench: Bench) -> None:
    bench.meet(read(FIRST))
    bench.leads.dismiss(bench.ground.lab, bench.seen()[0].id, reason="BECAUSE-OF-THIS")
    with bench.ground.hub.sessions.transaction() as unit:
        row = repr(unit.connection.execute(select(lead)).all())
    for secret in ("ujson", "ruff:S1", "code.py", "SAID-OF", "TEXT-OF", "BECAUSE", "S1"):
        assert secret not in row


def test_leads_are_listed_in_order_and_in_parts(bench: Bench) -> None:
    bench.meet(read(*(a_lead(f"S{number}") for number in range(7))))
    lab = bench.ground.lab
    everything = [each.id for each in bench.leads.list(lab)]
    told: list[LeadId] = []
    while part := bench.leads.list(lab, after=told[-1] if told else None, limit=3):
        told += [each.id for each in part]
    assert told == everything
    assert len(set(told)) == 7
    assert len(bench.leads.list(lab, package=f"{PACKAGE}@9.9")) == 7
    assert bench.leads.list(lab, package="pkg:pypi/other") == ()

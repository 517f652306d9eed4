"""Leases: one holder at a time, told coarsely, lapsing when idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import LIVE_ONLY, Technique
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import LeaseId
from clearhold.kernel.purl import Purl
from clearhold.scanning.coverage_model import NewCoverage
from clearhold.scanning.model import (
    Mode,
    Outcome,
    SoftwareScope,
    State,
    StopReason,
    Versions,
    make_scope,
)
from clearhold.scanning.scopes import LeaseView

UJSON = "pkg:pypi/ujson"
VULNERABLE = Versions(exact="5.1.0")
Parties = Callable[..., Actor]


def scope(
    *paths: str,
    package: str = UJSON,
    technique: Technique = Technique.FUZZING,
    versions: Versions = VULNERABLE,
) -> SoftwareScope:
    return make_scope(package, versions=versions, paths=paths, technique=technique)


def claim(
    hub: Hub, actor: Actor, wanted: SoftwareScope, key: str = "key-1", **options: Any
) -> LeaseView:
    given = {"mode": Mode.EXCLUSIVE, "window": timedelta(hours=8), "budget_s": 600} | options
    return hub.scanning.claim(actor, wanted, key=key, **given)


@pytest.fixture
def lab_a(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-alpha")


@pytest.fixture
def lab_b(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def coordinator(party_of: Parties) -> Actor:
    return party_of(PartyKind.COORDINATOR, "coordinator")


@pytest.fixture
def listed(hub: Hub, coordinator: Actor) -> None:
    every = tuple(each for each in Technique if each not in LIVE_ONLY)
    hub.catalogue.add(
        coordinator,
        UJSON,
        versions=("5.1.0", "5.4.0"),
        techniques=(Technique.FUZZING, Technique.STATIC),
        paths=("lib/ultrajsonenc.c", "lib/ultrajsondec.c"),
    )
    hub.catalogue.add(coordinator, "pkg:pypi/pygments", versions=("2.7.3",), techniques=every)


def test_an_overlapping_claim_is_told_that_it_is_one_and_what_else_is_free(
    hub: Hub, lab_a: Actor, lab_b: Actor, listed: None
) -> None:
    claim(hub, lab_a, scope("lib/ultrajsonenc.c", versions=Versions(start="5.0.0")))
    with pytest.raises(ConflictError) as refused:
        claim(hub, lab_b, scope("lib/*enc.c", "python/"))
    facts = refused.value.facts
    assert facts.keys() == {"own_leases", "attempt", "free"}
    free = [SoftwareScope.from_plain(each) for each in facts["free"]]  # type: ignore[attr-defined]
    assert any(each.package.name == "ujson" for each in free)
    assert any(each.package.name == "pygments" for each in free)
    for number, each in enumerate(free):
        assert claim(hub, lab_b, each, key=f"free-{number}", mode=Mode.SHARED).lease.party


def test_a_conflict_tells_nothing_of_the_other_lease_beyond_the_fact(
    hub: Hub, lab_a: Actor, lab_b: Actor, listed: None
) -> None:
    wide = scope("lib/ultrajsonenc.c", "secret/place.c", versions=Versions(start="4.3.21"))
    held = claim(hub, lab_a, wide)
    with pytest.raises(ConflictError) as refused:
        claim(hub, lab_b, scope("lib/**"))
    told = f"{refused.value.message}{refused.value.next_step}{refused.value.facts}"
    until = held.lease.window_ends_at.isoformat()
    for secret in (
        lab_a.party,
        "lab-alpha",
        held.lease.id,
        "secret",
        "4.3.21",
        "ultrajsonenc",
        until,
    ):
        assert secret not in told


def test_shared_leases_stand_side_by_side_and_are_told_of_each_other(
    hub: Hub, lab_a: Actor, lab_b: Actor
) -> None:
    claim(hub, lab_a, scope("lib/"), mode=Mode.SHARED)
    second = claim(hub, lab_b, scope("lib/x.c", "docs/"), mode=Mode.SHARED)
    assert second.others_there
    with pytest.raises(ConflictError):
        claim(hub, lab_b, scope("lib/"), key="key-2")


def test_a_notify_only_lease_is_told_and_holds_nobody_off(
    hub: Hub, lab_a: Actor, lab_b: Actor
) -> None:
    claim(hub, lab_a, scope("lib/"))
    told = claim(hub, lab_b, scope("lib/a.c"), mode=Mode.NOTIFY_ONLY)
    assert told.others_there
    assert not claim(hub, lab_a, scope("docs/"), key="key-2").others_there


def test_ones_own_lease_is_a_conflict_that_is_named(hub: Hub, lab_a: Actor) -> None:
    mine = claim(hub, lab_a, scope())
    with pytest.raises(ConflictError) as refused:
        claim(hub, lab_a, scope("lib/"), key="key-2")
    assert refused.value.facts["own_leases"] == [mine.lease.id]


def test_the_same_claim_sent_again_answers_the_same_lease(hub: Hub, lab_a: Actor) -> None:
    first = claim(hub, lab_a, scope("lib/"))
    assert claim(hub, lab_a, scope("lib/")) == first
    with pytest.raises(ConflictError, match="idempotency key"):
        claim(hub, lab_a, scope("docs/"))
    with pytest.raises(ConflictError, match="idempotency key"):
        claim(hub, lab_a, scope(package="pkg:pypi/pygments"))
    assert len(hub.scanning.list(lab_a)) == 1


def test_an_idle_lease_lapses_and_its_late_holder_cannot_come_back(
    hub: Hub, lab_a: Actor, lab_b: Actor, clock: Any
) -> None:
    mine = claim(hub, lab_a, scope())
    clock.advance(timedelta(minutes=50))
    kept = hub.scanning.heartbeat(lab_a, mine.lease.id, fence=mine.lease.fence)
    assert kept.state is State.ACTIVE
    clock.advance(timedelta(minutes=50))
    with pytest.raises(ConflictError):
        claim(hub, lab_b, scope())
    clock.advance(timedelta(minutes=11))
    assert hub.scanning.get(lab_a, mine.lease.id).state is State.EXPIRED
    theirs = claim(hub, lab_b, scope(), key="key-2")
    assert theirs.lease.fence > mine.lease.fence
    with pytest.raises(ConflictError, match="expired"):
        hub.scanning.heartbeat(lab_a, mine.lease.id, fence=mine.lease.fence)


def test_a_machine_whose_clock_is_behind_cannot_revive_what_another_gave_away(
    hub: Hub, lab_a: Actor, lab_b: Actor, clock: Any
) -> None:
    mine = claim(hub, lab_a, scope())
    clock.advance(timedelta(minutes=61))
    claim(hub, lab_b, scope())
    clock.advance(timedelta(minutes=-5))
    with pytest.raises(ConflictError):
        hub.scanning.heartbeat(lab_a, mine.lease.id, fence=mine.lease.fence)


def test_a_lease_never_outlives_its_window(hub: Hub, lab_a: Actor, clock: Any) -> None:
    mine = claim(hub, lab_a, scope(), window=timedelta(minutes=70))
    clock.advance(timedelta(minutes=30))
    kept = hub.scanning.heartbeat(lab_a, mine.lease.id, fence=mine.lease.fence)
    assert kept.lease.expires_at == mine.lease.window_ends_at


def test_what_is_released_is_free_and_an_old_token_does_nothing(
    hub: Hub, lab_a: Actor, lab_b: Actor
) -> None:
    mine = claim(hub, lab_a, scope())
    with pytest.raises(ConflictError, match="fencing token"):
        hub.scanning.release(lab_a, mine.lease.id, fence=mine.lease.fence + 1)
    for _ in range(2):
        released = hub.scanning.release(lab_a, mine.lease.id, fence=mine.lease.fence)
        assert released.state is State.RELEASED
    theirs = claim(hub, lab_b, scope())
    assert theirs.lease.fence > mine.lease.fence
    with pytest.raises(ConflictError, match="released"):
        hub.scanning.heartbeat(lab_a, mine.lease.id, fence=mine.lease.fence)


def test_a_coordinator_ends_the_leases_on_a_package_without_seeing_them(
    hub: Hub, lab_a: Actor, coordinator: Actor
) -> None:
    mine = claim(hub, lab_a, scope())
    with pytest.raises(DeniedError):
        hub.scanning.revoke(lab_a, UJSON, reason=StopReason.HARM)
    hub.scanning.revoke(coordinator, UJSON, reason=StopReason.OWNER_OPTED_OUT)
    assert hub.scanning.get(lab_a, mine.lease.id).state is State.REVOKED
    with pytest.raises(DeniedError):
        hub.scanning.list(coordinator)
    assert {leaf.compartment for leaf in hub.history(coordinator, after=0, limit=1000)} <= {None}


def test_leases_and_coverage_are_seen_by_their_holder_alone(
    hub: Hub, lab_a: Actor, lab_b: Actor
) -> None:
    mine = claim(hub, lab_a, scope("lib/"))
    hub.scanning.report_coverage(
        lab_a,
        mine.lease.id,
        fence=mine.lease.fence,
        new=NewCoverage(Outcome.NOTHING_FOUND, {"seconds": 60, "executions": 10**12}, "ab" * 32),
    )
    [covered] = hub.scanning.covering.list(lab_a)
    assert (covered.outcome, covered.technique) == (Outcome.NOTHING_FOUND, Technique.FUZZING)
    assert covered.effort == {"seconds": 60, "executions": 10**12}
    assert hub.scanning.list(lab_b) == hub.scanning.covering.list(lab_b) == ()
    answers = []
    for identity in (mine.lease.id, LeaseId("no-such-lease")):
        with pytest.raises(NotFoundError) as absent:
            hub.scanning.heartbeat(lab_b, identity, fence=mine.lease.fence)
        answers.append((absent.value.message, absent.value.next_step, absent.value.facts))
    assert answers[0] == answers[1]


def test_a_rivals_interest_leaves_no_trace_in_the_holders_ledger(
    hub: Hub, lab_a: Actor, lab_b: Actor
) -> None:
    claim(hub, lab_a, scope("lib/"))
    before = hub.history(lab_a, after=0, limit=1000)
    assert before
    claim(hub, lab_b, scope("docs/"))
    with pytest.raises(ConflictError):
        claim(hub, lab_b, scope("lib/x.c"), key="key-2")
    assert hub.history(lab_a, after=0, limit=1000) == before


def test_services_learn_whether_a_lease_is_held_and_covers(
    hub: Hub, lab_a: Actor, lab_b: Actor, clock: Any
) -> None:
    mine = claim(hub, lab_a, scope(versions=Versions(start="5.0", before="5.4")))

    def holds(actor: Actor, version: str = "5.1.0", **changed: Any) -> bool:
        asked = {"fence": mine.lease.fence, "technique": Technique.FUZZING} | changed
        with hub.sessions.transaction() as unit:
            return hub.scanning.holds(
                unit,
                actor.party,
                mine.lease.id,
                package=Purl.parse("pkg:pypi/ujson"),
                version=version,
                **asked,
            )

    assert holds(lab_a)
    assert holds(lab_a, technique=None)
    assert not holds(lab_b)
    assert not holds(lab_a, "5.4")
    assert not holds(lab_a, "odd one")
    assert not holds(lab_a, fence=mine.lease.fence + 1)
    assert not holds(lab_a, technique=Technique.STATIC)
    clock.advance(timedelta(hours=2))
    assert not holds(lab_a)


OUT_OF_BOUNDS: list[dict[str, Any]] = [
    {"window": timedelta(0)},
    {"window": timedelta(days=31)},
    {"budget_s": 0},
    {"budget_s": 1e9},
]


def test_windows_and_budgets_have_bounds(hub: Hub, lab_a: Actor, subtests: pytest.Subtests) -> None:
    for options in OUT_OF_BOUNDS:
        with subtests.test(options=options):
            with pytest.raises(InvalidError) as refused:
                claim(hub, lab_a, scope(), **options)
            assert refused.value.next_step


@pytest.mark.parametrize(
    ("effort", "digest"),
    [({"Seconds!": 1}, "ab" * 32), ({"seconds": -1}, "ab" * 32), ({"seconds": 1}, "short")],
)
def test_coverage_that_means_nothing_is_refused(
    hub: Hub, lab_a: Actor, effort: dict[str, int], digest: str
) -> None:
    mine = claim(hub, lab_a, scope())
    with pytest.raises(InvalidError):
        hub.scanning.report_coverage(
            lab_a,
            mine.lease.id,
            fence=mine.lease.fence,
            new=NewCoverage(Outcome.FOUND, effort, digest),
        )


def test_of_claims_racing_each_other_exactly_one_wins(hub: Hub, lab_a: Actor, lab_b: Actor) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    def run(actor: Actor, number: int) -> None:
        barrier.wait()
        try:
            claim(hub, actor, scope("lib/"), key=f"race-{number}")
            outcomes.append("won")
        except ClearholdError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=run, args=(lab_a if n % 2 else lab_b, n)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 5 + ["won"]


def test_one_claim_sent_twice_at_once_makes_one_lease(hub: Hub, lab_a: Actor) -> None:
    barrier = threading.Barrier(4)
    leases: list[str] = []

    def run() -> None:
        barrier.wait()
        leases.append(claim(hub, lab_a, scope("lib/")).lease.id)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 4
    assert len(set(leases)) == 1


def test_the_database_holds_no_name_of_what_is_leased(hub: Hub, lab_a: Actor) -> None:
    claim(hub, lab_a, scope("lib/very-special.c", package="pkg:pypi/secretive-package"))
    with hub.sessions.transaction() as unit:
        tables = (
            "scan_lane",
            "scan_lease",
            "scan_attempt",
            "scan_waiting",
            "scan_introduction",
            "scan_coverage",
            "ledger_leaf",
            "compartment",
        )
        stored = "".join(
            repr(tuple(row))
            for table in tables
            for row in unit.connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608  # fixed names
        )
    for secret in ("secretive", "very-special", "fuzzing", "5.1.0"):
        assert secret not in stored

"""Waiting, pre-emption and introductions: what each side is told, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from scan_scene import PACKAGE, claim, scope, wait

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
)
from clearhold.kernel.ids import LeaseId
from clearhold.parties.terms import Act
from clearhold.scanning.claim_records import Waits
from clearhold.scanning.model import Mode, State, StopReason, Versions

Parties = Callable[..., Actor]
SOON = timedelta(minutes=6)


@pytest.fixture
def holder(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "holder")


@pytest.fixture
def first(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "first")


@pytest.fixture
def second(party_of: Parties) -> Actor:
    return party_of(PartyKind.FINDER, "second")


@pytest.fixture
def coordinator(party_of: Parties) -> Actor:
    return party_of(PartyKind.COORDINATOR, "coordinator")


@pytest.fixture
def pass_time(clock: Any, engine: MemoryEngine) -> Callable[[], None]:
    """Six minutes go by, and what is due then is done."""

    def go() -> None:
        clock.advance(SOON)
        engine.run_due()

    return go


def test_the_first_to_wait_is_the_first_to_be_served(
    hub: Hub, holder: Actor, first: Actor, second: Actor, pass_time: Callable[[], None]
) -> None:
    mine = claim(hub, holder, scope("lib/"), "held")
    one = wait(hub, first, scope("lib/a.c", "docs/"), "one")
    two = wait(hub, second, scope("lib/a.c"), "two")
    pass_time()
    assert {hub.scanning.queue.get(first, one.id).state} == {Waits.WAITING}
    hub.scanning.release(holder, mine.lease.id, fence=mine.lease.fence)
    pass_time()
    served = hub.scanning.queue.get(first, one.id)
    assert served.state is Waits.GRANTED
    assert hub.scanning.queue.get(second, two.id).state is Waits.WAITING
    got = hub.scanning.get(first, LeaseId(str(served.lease)))
    assert got.scope == one.scope
    assert got.lease.fence > mine.lease.fence


def test_what_nobody_takes_up_goes_to_the_next(
    hub: Hub, holder: Actor, first: Actor, second: Actor, pass_time: Callable[[], None]
) -> None:
    """A lease from the queue lapses within half an hour unless its holder is heard of."""
    mine = claim(hub, holder, scope("lib/"), "held")
    wait(hub, first, scope("lib/a.c"), "one")
    two = wait(hub, second, scope("lib/a.c"), "two")
    hub.scanning.release(holder, mine.lease.id, fence=mine.lease.fence)
    pass_time()
    assert hub.scanning.queue.get(second, two.id).state is Waits.WAITING
    for _ in range(7):
        pass_time()
    assert hub.scanning.queue.get(second, two.id).state is Waits.GRANTED
    [lapsed] = hub.scanning.list(first)
    assert lapsed.state is State.EXPIRED


def test_nobody_passes_who_came_earlier_and_wants_the_same(
    hub: Hub, holder: Actor, first: Actor, second: Actor, pass_time: Callable[[], None]
) -> None:
    """What is free already is kept for the wide claim that waits for the rest, but in the queue."""
    claim(hub, holder, scope("lib/a.c"), "held")
    wait(hub, first, scope("lib/a.c", "docs/"), "wide")
    narrow = wait(hub, second, scope("docs/x"), "narrow")
    other = wait(hub, second, scope("python/"), "other")
    pass_time()
    assert hub.scanning.queue.get(second, narrow.id).state is Waits.WAITING
    assert hub.scanning.queue.get(second, other.id).state is Waits.GRANTED


def test_a_place_tells_nothing_of_others_and_is_its_partys_alone(
    hub: Hub, holder: Actor, first: Actor, second: Actor
) -> None:
    claim(hub, holder, scope("lib/"), "held")
    one = wait(hub, first, scope("lib/a.c"), "one")
    two = wait(hub, second, scope("lib/a.c"), "two")
    plain = {"id": "", "joined_at": None}
    shown = [
        {name: plain.get(name, getattr(place, name)) for name in place.__slots__}
        for place in (one, two)
    ]
    assert shown[0] == shown[1]
    answers = []
    for identity in (one.id, "no-such-place"):
        with pytest.raises(NotFoundError) as absent:
            hub.scanning.queue.get(second, identity)
        answers.append((absent.value.message, absent.value.next_step))
    assert answers[0] == answers[1]
    assert [each.id for each in hub.scanning.queue.list(second)] == [two.id]


def test_a_place_taken_twice_with_one_key_is_one_and_can_be_left(
    hub: Hub, first: Actor, pass_time: Callable[[], None]
) -> None:
    one = wait(hub, first, scope("lib/"), "one")
    assert wait(hub, first, scope("lib/"), "one") == one
    with pytest.raises(ConflictError):
        wait(hub, first, scope("docs/"), "one")
    for _ in range(2):
        assert hub.scanning.queue.leave(first, one.id).state is Waits.LEFT
    pass_time()
    assert hub.scanning.list(first) == ()
    with pytest.raises(InvalidError):
        wait(hub, first, scope("lib/"), "two", mode=Mode.NOTIFY_ONLY)


def test_a_coordinator_pre_empts_and_the_holder_is_told(
    hub: Hub, holder: Actor, first: Actor, coordinator: Actor
) -> None:
    """The holder's token is dead; what does not stand in the way stays."""
    taken = claim(hub, holder, scope("lib/"), "taken")
    kept = claim(hub, holder, scope("docs/"), "kept")
    urgent = {
        "reason": StopReason.EMERGENCY,
        "to": "first",
        "window": timedelta(hours=2),
        "budget_s": 60,
        "key": "k",
    }
    with pytest.raises(DeniedError):
        hub.scanning.preempt(first, scope("lib/a.c"), **urgent)
    with pytest.raises(InvalidError):
        hub.scanning.preempt(coordinator, scope("lib/a.c"), **urgent | {"to": "coordinator"})
    for _ in range(2):
        assert hub.scanning.preempt(coordinator, scope("lib/a.c"), **urgent) is None
    lost = hub.scanning.get(holder, taken.lease.id)
    assert (lost.state, lost.lease.end_reason) == (State.PREEMPTED, StopReason.EMERGENCY)
    with pytest.raises(ConflictError, match="pre-empted"):
        hub.scanning.heartbeat(holder, taken.lease.id, fence=taken.lease.fence)
    assert hub.scanning.heartbeat(holder, kept.lease.id, fence=kept.lease.fence)
    [given] = hub.scanning.list(first)
    assert given.lease.fence > taken.lease.fence
    with pytest.raises(DeniedError):
        hub.scanning.list(coordinator)


def refused(hub: Hub, actor: Actor, key: str) -> str:
    with pytest.raises(ConflictError) as conflict:
        claim(hub, actor, scope("lib/**"), key)
    return str(conflict.value.facts["attempt"])


@pytest.mark.parametrize("holder_first", [True, False])
def test_two_are_introduced_once_both_are_willing(
    hub: Hub, holder: Actor, first: Actor, second: Actor, *, holder_first: bool
) -> None:
    mine = claim(hub, holder, scope("lib/a.c"), "held")
    attempt = refused(hub, first, "asked")
    steps = [
        lambda: hub.scanning.introductions.of_lease(holder, mine.lease.id, "room 1"),
        lambda: hub.scanning.introductions.of_attempt(first, attempt, "room 2"),
    ]
    for step in steps if holder_first else reversed(steps):
        assert hub.scanning.introductions.list(holder) == ()
        assert hub.scanning.introductions.list(first) == ()
        step()
    for step in steps:
        step()
    [to_holder] = hub.scanning.introductions.list(holder)
    [to_first] = hub.scanning.introductions.list(first)
    assert (to_holder.handle, to_holder.contact) == ("first", "room 2")
    assert (to_first.handle, to_first.contact) == ("holder", "room 1")
    assert hub.scanning.introductions.list(second) == ()


def test_an_attempt_introduces_nobody_after_a_day(
    hub: Hub, holder: Actor, first: Actor, clock: Any
) -> None:
    mine = claim(hub, holder, scope("lib/a.c"), "held")
    attempt = refused(hub, first, "asked")
    hub.scanning.introductions.of_lease(holder, mine.lease.id, "room 1")
    clock.advance(timedelta(days=1))
    with pytest.raises(NotFoundError):
        hub.scanning.introductions.of_attempt(first, attempt, "room 2")
    assert hub.scanning.introductions.list(first) == ()


def test_who_would_not_be_introduced_and_who_was_not_asked_look_alike(
    hub: Hub, holder: Actor, first: Actor
) -> None:
    """Neither the holder's leases nor its ledger show that somebody asked."""
    mine = claim(hub, holder, scope("lib/a.c"), "held")
    before = (hub.scanning.list(holder), hub.history(holder, after=0, limit=1000))
    attempt = refused(hub, first, "asked")
    hub.scanning.introductions.of_attempt(first, attempt, "room 2")
    assert hub.scanning.list(holder)[0].lease == before[0][0].lease
    assert hub.scanning.introductions.list(first) == ()
    hub.scanning.introductions.of_attempt(first, attempt, None)
    hub.scanning.introductions.of_lease(holder, mine.lease.id, "room 1")
    assert hub.scanning.introductions.list(holder) == ()
    for identity in ("no-such-attempt", attempt):
        with pytest.raises(NotFoundError):
            hub.scanning.introductions.of_attempt(holder, identity, "x")
    with pytest.raises(NotFoundError):
        hub.scanning.introductions.of_lease(first, mine.lease.id, "x")
    with pytest.raises(InvalidError):
        hub.scanning.introductions.of_lease(holder, mine.lease.id, "a\x1b[2J")


def test_a_commit_and_a_version_of_one_package_stand_against_each_other(
    hub: Hub, holder: Actor, first: Actor
) -> None:
    claim(hub, holder, scope("lib/", versions=Versions(commits=("a" * 40,))), "held")
    with pytest.raises(ConflictError):
        claim(hub, first, scope("lib/", package=PACKAGE), "asked")
    assert claim(hub, first, scope("lib/", versions=Versions(commits=("b" * 40,))), "b")


def test_a_party_takes_so_many_places_a_day(hub: Hub, first: Actor) -> None:
    for number in range(64):
        wait(hub, first, scope("a.c", package=f"pkg:pypi/many-{number}"), f"k{number}")
    with pytest.raises(LimitError):
        wait(hub, first, scope("a.c", package="pkg:pypi/many-64"), "k64")


def test_who_stands_in_its_own_way_holds_up_nobody(
    hub: Hub, first: Actor, second: Actor, pass_time: Callable[[], None]
) -> None:
    claim(hub, first, scope("tiny.c"), "1")
    own = wait(hub, first, scope("**"), "2")
    place = wait(hub, second, scope("other.c"), "3")
    pass_time()
    assert hub.scanning.queue.get(second, place.id).state is Waits.GRANTED
    assert hub.scanning.queue.get(first, own.id).state is Waits.WAITING


def test_nothing_is_granted_to_who_was_suspended(
    hub: Hub, first: Actor, second: Actor, coordinator: Actor, pass_time: Callable[[], None]
) -> None:
    wait(hub, first, scope("**"), "1")
    (name,) = {each.agreement for each in hub.agreements.standings(first)}
    hub.agreements.bar(coordinator, name, first.party, Act.SUSPEND, reason="harm")
    pass_time()
    assert claim(hub, second, scope("a.c"), "2").state is State.GRANTED


def test_a_key_of_a_pre_emption_is_for_one_scope(
    hub: Hub, holder: Actor, first: Actor, coordinator: Actor
) -> None:
    urgent: dict[str, Any] = {
        "reason": StopReason.EMERGENCY,
        "to": "first",
        "window": timedelta(hours=1),
        "budget_s": 60,
        "key": "k",
    }
    hub.scanning.preempt(coordinator, scope("a.c"), **urgent)
    claim(hub, holder, scope("b.c"), "1")
    with pytest.raises(ConflictError, match="idempotency key"):
        hub.scanning.preempt(coordinator, scope("b.c"), **urgent)


@pytest.mark.parametrize("paths", [("**/*",), ("*", "*/**")])
def test_a_whole_package_by_another_spelling_is_one(
    hub: Hub, first: Actor, paths: tuple[str, ...]
) -> None:
    wide = scope(*paths, versions=Versions(start="0.dev0"), functions=("?*",))
    with pytest.raises(InvalidError, match="whole package"):
        claim(hub, first, wide, "1", window=timedelta(days=30))


def test_a_newcomer_does_not_overtake_who_waits(
    hub: Hub, holder: Actor, first: Actor, second: Actor, pass_time: Callable[[], None]
) -> None:
    """Also where what it wants is free; it is refused as one that meets a lease is."""
    held = claim(hub, holder, scope("lib/a.c"), "held")
    place = wait(hub, first, scope("lib/"), "wide")
    told = []
    for path in ("lib/b.c", "lib/a.c"):
        with pytest.raises(ConflictError) as refused:
            claim(hub, second, scope(path), path)
        told.append((refused.value.message, refused.value.next_step, set(refused.value.facts)))
    assert told[0] == told[1]
    assert claim(hub, second, scope("docs/"), "apart")
    assert claim(hub, second, scope("lib/b.c"), "watch", mode=Mode.NOTIFY_ONLY)
    hub.scanning.release(holder, held.lease.id, fence=held.lease.fence)
    with pytest.raises(ConflictError):
        claim(hub, holder, scope("lib/a.c"), "at once again")
    pass_time()
    assert hub.scanning.queue.get(first, place.id).state is Waits.GRANTED


def test_who_waits_may_claim_what_it_waits_for_itself(
    hub: Hub, holder: Actor, first: Actor
) -> None:
    claim(hub, holder, scope("lib/a.c"), "held")
    wait(hub, first, scope("lib/"), "wide")
    assert claim(hub, first, scope("lib/b.c"), "part")


def test_a_place_that_stands_in_its_own_way_holds_off_no_claim(
    hub: Hub, first: Actor, second: Actor, coordinator: Actor
) -> None:
    claim(hub, first, scope("tiny.c"), "1")
    wait(hub, first, scope("**"), "2")
    assert claim(hub, second, scope("other.c"), "3")


def test_a_suspended_holders_lease_ends_when_it_stands_in_the_way(
    hub: Hub, holder: Actor, first: Actor, second: Actor, coordinator: Actor
) -> None:
    """For good: once the holder is back, no two hold the same."""
    taken = claim(hub, holder, scope("lib/"), "1")
    apart = claim(hub, holder, scope("docs/"), "2")
    (name,) = {each.agreement for each in hub.agreements.standings(holder)}
    with pytest.raises(ConflictError):
        claim(hub, first, scope("lib/a.c"), "before")
    hub.agreements.bar(coordinator, name, holder.party, Act.SUSPEND, reason="harm")
    assert claim(hub, first, scope("lib/a.c"), "3")
    hub.agreements.bar(coordinator, name, holder.party, Act.RESUME, reason="settled")
    ended = hub.scanning.get(holder, taken.lease.id)
    assert (ended.state, ended.lease.end_reason) == (State.REVOKED, StopReason.HOLDER_SUSPENDED)
    with pytest.raises(ConflictError):
        hub.scanning.heartbeat(holder, taken.lease.id, fence=taken.lease.fence)
    assert hub.scanning.heartbeat(holder, apart.lease.id, fence=apart.lease.fence)
    with pytest.raises(ConflictError):
        claim(hub, second, scope("docs/"), "4")


def test_what_a_suspended_party_leased_is_granted_to_who_waits(
    hub: Hub,
    holder: Actor,
    first: Actor,
    coordinator: Actor,
    pass_time: Callable[[], None],
) -> None:
    claim(hub, holder, scope("lib/"), "1")
    place = wait(hub, first, scope("lib/a.c"), "2")
    (name,) = {each.agreement for each in hub.agreements.standings(holder)}
    hub.agreements.bar(coordinator, name, holder.party, Act.SUSPEND, reason="harm")
    pass_time()
    assert hub.scanning.queue.get(first, place.id).state is Waits.GRANTED


@pytest.mark.parametrize(
    "versions",
    [
        Versions(before="99999999"),
        Versions(start="0.0.1", before="99999999!0"),
        Versions(start="1", before="2"),
    ],
)
def test_a_range_that_ends_far_off_is_a_whole_package(
    hub: Hub, first: Actor, versions: Versions
) -> None:
    with pytest.raises(InvalidError, match="whole package"):
        claim(hub, first, scope("**", versions=versions), "1", window=timedelta(days=4))
    assert claim(hub, first, scope("**", versions=versions), "1", window=timedelta(days=3))

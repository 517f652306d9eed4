"""Asking often and ever more narrowly maps nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from scan_scene import claim, scope, wait

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import ClearholdError, ConflictError, LimitError
from clearhold.scanning.limits import DAY, Limits
from clearhold.scanning.model import Mode, Versions

Parties = Callable[..., Actor]
FILES = 1 << 10


@pytest.fixture
def rival(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "rival")


@pytest.fixture
def prying(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "prying")


class Prying:
    """Looks for the one of many files that a rival leased, as cleverly as the answers allow."""

    def __init__(self, hub: Hub, actor: Actor, mode: Mode) -> None:
        self.hub, self.actor, self.mode = hub, actor, mode
        self.asked = self.answered = 0

    def anybody_in(self, low: int, high: int) -> bool | None:
        """Whether somebody is there; None when the hub does not say."""
        self.asked += 1
        width = FILES.bit_length() - 1
        assert (high - low) & (high - low - 1) == 0  # a power of two: one glob names it
        prefix = f"{low:0{width}b}"[: width - (high - low).bit_length() + 1]
        tail = "?" * (width - len(prefix))
        wanted = scope(f"src/{prefix}{tail}")
        told: object = None
        try:
            got = claim(self.hub, self.actor, wanted, f"pry-{self.asked}", mode=self.mode)
        except LimitError:
            return None
        except ConflictError as conflict:
            self.answered += 1
            told = conflict.facts
        if told is not None:
            assert "src/" not in str(told)
            return True
        self.answered += 1
        self.hub.scanning.release(self.actor, got.lease.id, fence=got.lease.fence)
        return got.others_there

    def halve(self, low: int, high: int) -> int:
        """Halve what is left as long as there are answers; how many files it may still be."""
        while high - low > 1:
            middle = (low + high) // 2
            there = self.anybody_in(low, middle)
            if there is None:
                break
            low, high = (low, middle) if there else (middle, high)
        return high - low

    def search(self, step: int) -> int:
        """Ask chunk by chunk, then halve the one that is taken: fewer answers tell of somebody."""
        for low in range(0, FILES, step):
            there = self.anybody_in(low, low + step)
            if there is None:
                return FILES - low
            if there:
                return self.halve(low, low + step)
        raise AssertionError


@pytest.mark.parametrize("mode", [Mode.EXCLUSIVE, Mode.SHARED, Mode.NOTIFY_ONLY])
def test_who_halves_a_rivals_scope_ends_with_a_crowd_of_files(
    hub: Hub, rival: Actor, prying: Actor, mode: Mode
) -> None:
    """Whatever mode is claimed, a thousand files never come down to fewer than sixteen in a day."""
    claim(hub, rival, scope("src/0101100110"), "held")
    attacker = Prying(hub, prying, mode)
    assert attacker.halve(0, FILES) >= 16
    assert attacker.anybody_in(0, 2) is None
    assert attacker.answered <= Limits().answers


@pytest.mark.parametrize("step", [64, 128, 256])
def test_who_asks_chunk_by_chunk_learns_no_more_than_the_limits_say(
    hub: Hub, rival: Actor, prying: Actor, step: int
) -> None:
    claim(hub, rival, scope("src/0011100110"), "held")
    left = Prying(hub, prying, Mode.EXCLUSIVE).search(step)
    assert left > 1
    assert FILES / left <= Limits().transcripts


def test_an_answer_is_refused_for_the_askers_own_questions_alone(
    hub: Hub, rival: Actor, prying: Actor
) -> None:
    """Once the day's answers are used up, taken and free are answered alike."""
    claim(hub, rival, scope("src/taken"), "held")
    for number in range(Limits().told):
        with pytest.raises(ConflictError):
            claim(hub, prying, scope("src/**"), f"{number}")
    told = []
    for path in ("src/taken", "src/free", "docs/free"):
        with pytest.raises(LimitError) as refused:
            claim(hub, prying, scope(path), path)
        told.append((refused.value.message, refused.value.next_step, refused.value.facts))
    assert told[0] == told[1] == told[2]
    assert claim(hub, rival, scope("docs/free"), "other party")
    assert claim(hub, prying, scope("x", package="pkg:pypi/elsewhere"), "other package")


def test_a_day_later_there_are_answers_again(hub: Hub, prying: Actor, clock: Any) -> None:
    for number in range(Limits().answers):
        got = claim(hub, prying, scope(f"src/{number}"), f"{number}")
        hub.scanning.release(prying, got.lease.id, fence=got.lease.fence)
    with pytest.raises(LimitError) as refused:
        claim(hub, prying, scope("src/more"), "more")
    assert refused.value.facts["again_at"] == (clock.now() + DAY).isoformat()
    clock.advance(DAY)
    assert claim(hub, prying, scope("src/more"), "more")


def test_an_attempt_is_in_the_ledger_with_its_digest_before_it_is_answered(
    hub: Hub, rival: Actor, prying: Actor
) -> None:
    claim(hub, rival, scope("src/taken"), "held")
    with pytest.raises(ConflictError) as refused:
        claim(hub, prying, scope("src/taken"), "asked")
    leaves = [
        leaf
        for leaf in hub.history(prying, after=0, limit=1000)
        if leaf.action == "scanning:claim:commit"
    ]
    assert len(leaves) == 1
    with hub.sessions.transaction() as unit:
        assert unit.connection.exec_driver_sql("SELECT count(*) FROM scan_attempt").scalar() == 2
    assert refused.value.facts["attempt"]


def test_places_in_queues_are_counted_too(hub: Hub, prying: Actor) -> None:
    for number in range(Limits().waits):
        wait(hub, prying, scope(f"src/{number}"), f"{number}")
    with pytest.raises(LimitError):
        wait(hub, prying, scope("src/more"), "more")


def test_what_the_limits_promise_is_few_bits_a_day() -> None:
    """The number of different days of answers about a package, counted one by one."""
    small = Limits(answers=5, told=2)
    days = {(*told,) for told in _sequences(5) if sum(answer != "nobody" for answer in told) <= 2}
    assert small.transcripts == len(days)
    assert Limits().bits < 13


def _sequences(length: int) -> list[tuple[str, ...]]:
    if length == 0:
        return [()]
    answers = ("nobody", "company", "refused", "nobody, asked narrowly")
    return [(*rest, each) for rest in _sequences(length - 1) for each in answers]


def test_nobody_holds_more_of_a_package_than_its_share(hub: Hub, rival: Actor, clock: Any) -> None:
    held = []
    for number in range(Limits().per_package):
        if number == Limits().answers:
            clock.advance(timedelta(minutes=50))
            for each in held:
                hub.scanning.heartbeat(rival, each.lease.id, fence=each.lease.fence)
            for _ in range(30):
                clock.advance(timedelta(minutes=50))
                for each in held:
                    hub.scanning.heartbeat(rival, each.lease.id, fence=each.lease.fence)
        held.append(
            claim(hub, rival, scope(f"src/{number}"), f"{number}", window=timedelta(days=9))
        )
    with pytest.raises(ConflictError, match="one may hold no more"):
        claim(hub, rival, scope("src/more"), "more")
    hub.scanning.release(rival, held[0].lease.id, fence=held[0].lease.fence)
    with pytest.raises(ConflictError, match="own party"):
        claim(hub, rival, scope("src/1"), "again")


def test_a_whole_package_is_held_for_some_days_at_most(hub: Hub, rival: Actor) -> None:
    whole = scope("**", versions=Versions())
    with pytest.raises(ClearholdError, match="whole package"):
        claim(hub, rival, whole, "long", window=timedelta(days=4))
    assert claim(hub, rival, whole, "short", window=timedelta(days=3))


def test_a_refused_claim_sent_again_is_answered_the_same_and_not_counted(
    hub: Hub, rival: Actor, prying: Actor, clock: Any
) -> None:
    """Also when what stood in its way is gone: asking again needs a new key, and counts."""
    held = claim(hub, rival, scope("src/taken"), "held")
    with pytest.raises(ConflictError) as refused:
        claim(hub, prying, scope("src/**"), "k")
    for number in range(2 * Limits().answers):
        if number == Limits().answers:
            hub.scanning.release(rival, held.lease.id, fence=held.lease.fence)
        with pytest.raises(ConflictError) as again:
            claim(hub, prying, scope("src/**"), "k")
        assert again.value.facts == refused.value.facts
        assert again.value.message == refused.value.message
    assert claim(hub, prying, scope("src/**"), "new")
    clock.advance(DAY)
    assert claim(hub, prying, scope("src/**"), "k")

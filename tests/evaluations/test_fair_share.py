"""A few who take all they can leave places for others, of calls under way as of anything else."""

from __future__ import annotations

from collections import Counter

from gateway_scene import ONE_DATABASE, Gate, Model
from hypothesis import given
from hypothesis import strategies as st

from clearhold.access.fair_share import FairShare
from clearhold.evaluations.gateway.calls import MOST_AT_ONCE, PLACES
from scripted_model import Endpoint

ACTS = st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(1, 9), st.booleans()))


@given(acts=ACTS, places=st.integers(8, 60), most=st.integers(1, 60))
def test_few_never_take_all_and_what_is_given_back_can_be_taken(
    acts: list[tuple[str, int, bool]], places: int, most: int
) -> None:
    share = FairShare(places, most)
    held: Counter[str] = Counter()
    for who, number, takes in acts:
        if takes:
            fits = share.take(who, number)
            assert fits == (held[who] + number <= min(most, places - held.total() - number))
            held[who] += number * fits
        elif held[who] >= number:
            share.give_back(who, number)
            held[who] -= number
        assert places - held.total() >= places / 2 ** len(+held)
    for who, number in held.items():
        share.give_back(who, number)
    assert share.take("new", min(most, places // 2))


def test_four_busy_engagements_leave_places_for_a_fifth() -> None:
    share = FairShare(PLACES, MOST_AT_ONCE)
    for _ in range(MOST_AT_ONCE):
        for who in range(4):
            share.take(who)
    assert sum(share.take("fifth") for _ in range(MOST_AT_ONCE)) >= 10


@ONE_DATABASE
def test_an_engagement_gets_no_more_places_than_are_left(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    told: list[object] = []
    depth = 0

    def meanwhile() -> None:
        nonlocal depth
        depth += 1
        if depth <= MOST_AT_ONCE:
            told.append(gate.refused() if depth == MOST_AT_ONCE else gate.call())

    model.meanwhile = meanwhile
    gate.call()
    assert told[0] == "too-many-at-once"
    assert len(told) == MOST_AT_ONCE
    told.clear()
    depth = 0
    gate.call()  # as many fit again: all places were given back
    assert told[0] == "too-many-at-once"
    assert len(told) == MOST_AT_ONCE

"""A worker is dead when its count stands still, by the steady clock of whoever looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from clearhold.store.executors import Watch, beat

looks = st.lists(st.tuples(st.integers(0, 1), st.floats(0.1, 20)), min_size=1, max_size=20)


def test_every_worker_counts_its_own_beats(database: Engine) -> None:
    with database.begin() as connection:
        beat(connection, "one")
        beat(connection, "two")
        assert beat(connection, "one") == {"one": 2, "two": 1}


@given(looks)
def test_dead_is_exactly_who_stood_still_for_the_whole_patience(
    looks: list[tuple[int, float]],
) -> None:
    watch, beats, at, changed = Watch(10), 0, 0.0, None
    for grown, passed in looks:
        beats, at = beats + grown, at + passed
        if grown or changed is None:
            changed = at
        dead = watch.dead({"one"}, {"one": beats}, at=at)
        assert dead == ({"one"} if at - changed >= 10 else set())


def test_who_never_beat_is_dead_after_the_patience_and_not_at_first_sight() -> None:
    watch = Watch(10)
    assert watch.dead({"ghost"}, {}, at=100) == set()
    assert watch.dead({"ghost"}, {}, at=109) == set()
    assert watch.dead({"ghost"}, {}, at=110) == {"ghost"}


def test_who_comes_back_lives() -> None:
    watch = Watch(10)
    watch.dead({"one"}, {"one": 1}, at=0)
    assert watch.dead({"one"}, {"one": 1}, at=10) == {"one"}
    assert watch.dead({"one"}, {"one": 2}, at=11) == set()

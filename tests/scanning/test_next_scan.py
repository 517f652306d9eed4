"""The score of a scan is the sum of terms that are shown, and among equals parties are spread."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from clearhold.catalogue.model import Technique, make_target
from clearhold.scanning.coverage_model import Entry
from clearhold.scanning.model import Depth
from clearhold.scanning.next_scan import (
    STEP,
    Candidate,
    Known,
    Operators,
    candidates,
    class_of,
    rank,
)

WEEK = 2944
NOW = datetime(2026, 6, 5, tzinfo=UTC)


def known(name: str, *entries: Entry, operators: Operators | None = None, flaws: int = 0) -> Known:
    target = make_target(
        f"pkg:pypi/{name}",
        versions=("1.0", "1.1", "2.0"),
        techniques=(Technique.FUZZING, Technique.STATIC),
        paths=("lib/a.c",),
        now=NOW,
    )
    return Known(target, entries, operators, flaws)


def scan(version: str, technique: Technique, *, week: int, depth: Depth = Depth.DEEP) -> Entry:
    return Entry(f"{version}{week}", "who", version, technique, ("**",), depth, week, True)


def order(party: str) -> Callable[[str], bytes]:
    return lambda key: hashlib.sha256(f"{party}\0{key}".encode()).digest()


def score(of: Known, version: str = "2.0", technique: Technique = Technique.FUZZING) -> int:
    return next(
        each.score
        for each in candidates(of, this_week=WEEK)
        if (each.version, each.technique) == (version, technique)
    )


def test_what_nobody_looked_at_comes_before_what_was_looked_at_last_week() -> None:
    lately = known("lately", scan("2.0", Technique.FUZZING, week=WEEK - 1))
    never = known("never")
    assert score(never) > score(lately)
    old = known("old", scan("2.0", Technique.FUZZING, week=WEEK - 30))
    assert score(never) > score(old) > score(lately)


def test_a_newer_version_makes_a_deep_scan_of_the_one_before_old() -> None:
    scanned = scan("1.1", Technique.FUZZING, week=WEEK - 1)
    assert score(known("x", scanned), "2.0") > score(known("x", scanned), "1.1")
    assert score(known("x", replace(scanned, state="2.0")), "2.0") < score(known("x", scanned))


def test_a_technique_nobody_used_counts_for_more_than_one_that_was_used() -> None:
    of = known("x", scan("2.0", Technique.FUZZING, week=WEEK - 1))
    assert score(of, technique=Technique.STATIC) > score(of, technique=Technique.FUZZING)
    shallow = known("x", scan("2.0", Technique.FUZZING, week=WEEK - 1, depth=Depth.SHALLOW))
    assert score(shallow) > score(of)


def test_exposure_and_history_count() -> None:
    classes = [None, Operators.SOME, Operators.MANY, Operators.VERY_MANY]
    scores = [score(known("x", operators=each)) for each in classes]
    assert scores == sorted(set(scores))
    assert score(known("x", flaws=3)) > score(known("x"))
    assert score(known("x", flaws=300)) == score(known("x", flaws=5))


@given(st.integers(0, 200))
def test_a_count_that_could_point_at_an_operator_has_no_class(count: int) -> None:
    assert (class_of(count) is None) is (count < 3)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True),
    st.randoms(),
    st.integers(0, 9),
)
def test_the_ranking_depends_on_no_order_and_every_score_is_its_terms(
    names: list[str], chance: random.Random, flaws: int
) -> None:
    found: list[Candidate] = []
    for name in names:
        of = known(name, scan("1.1", Technique.STATIC, week=WEEK - ord(name) % 7), flaws=flaws)
        found += candidates(of, this_week=WEEK)
    mixed = list(found)
    chance.shuffle(mixed)
    ranked = rank(mixed, order("a"))
    assert ranked == rank(found, order("a"))
    assert [each.score // STEP for each in ranked] == sorted(
        (each.score // STEP for each in found), reverse=True
    )
    assert all(each.score == sum(term.points for term in each.terms) for each in ranked)
    assert all(term.why and term.points >= 0 for each in ranked for term in each.terms)


def test_parties_are_spread_over_what_is_equally_worth_scanning() -> None:
    found = [each for n in range(20) for each in candidates(known(f"p{n}"), this_week=WEEK)]
    firsts = {str(rank(found, order(f"party {n}"))[0].target.package) for n in range(20)}
    assert len(firsts) > 5

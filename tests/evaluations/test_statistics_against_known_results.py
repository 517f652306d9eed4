"""Estimates agree with published figures, with other libraries' and with simulation."""

from __future__ import annotations

from itertools import combinations, product
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clearhold.evaluations.statistics import budgets, scale
from clearhold.evaluations.statistics.attempts import all_of, any_of, attempts
from clearhold.evaluations.statistics.brackets import cheating, contamination
from clearhold.evaluations.statistics.comparison import compare
from clearhold.evaluations.statistics.power import detectable
from clearhold.evaluations.statistics.scores import (
    Scored,
    by_template,
    clustered_error,
    estimate,
    exact,
    wilson,
)


def _scored(*each: tuple[str, str, str]) -> list[Scored]:
    return [
        Scored(task, template, tuple(mark == "+" for mark in marks))
        for task, template, marks in each
    ]


def _drawn(rng: np.random.Generator, *, templates: int, tasks: int, epochs: int) -> list[Scored]:
    chance = 1 / (1 + np.exp(-rng.normal(0, 1.2, templates)))
    return [
        Scored(
            f"{template}-{task}",
            f"{template}",
            tuple(bool(each) for each in rng.random(epochs) < chance[template]),
        )
        for template in range(templates)
        for task in range(tasks)
    ]


@pytest.mark.parametrize(("trials", "most"), [(10, 0.259), (41, 0.070), (100, 0.030)])
def test_no_success_does_not_mean_cannot(trials: int, most: float) -> None:
    assert exact(0, trials).high == pytest.approx(most, abs=0.0006)
    assert exact(0, trials).low == 0
    assert exact(trials, trials).low == pytest.approx(1 - most, abs=0.0006)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_intervals_are_those_of_scipy(counts: tuple[int, int]) -> None:
    won, tried = counts
    if won in {0, tried}:
        return
    theirs = stats.binomtest(won, tried).proportion_ci(0.95, method="exact")
    ours = exact(won, tried)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_wilson_intervals_are_those_of_scipy() -> None:
    theirs = stats.binomtest(7, 20).proportion_ci(0.95, method="wilson")
    ours = wilson(0.35, 20, confidence=0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_an_error_clustered_by_single_tasks_is_the_usual_standard_error() -> None:
    values = np.array([0.0, 1.0, 0.5, 1.0, 0.25])
    usual = float(stats.sem(values))
    assert clustered_error(values, list("abcde")) == pytest.approx(usual)


def test_one_template_alone_leaves_the_error_unknown() -> None:
    one = estimate(_scored(("a", "x", "++-"), ("b", "x", "+--")))
    assert one.error == float("inf")
    assert one.effective == 1
    assert one.interval.high - one.interval.low > 0.8


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    truth = float(np.mean(1 / (1 + np.exp(-rng.normal(0, 1.2, 200_000)))))
    held = 0
    for _ in range(300):
        got = estimate(_drawn(rng, templates=30, tasks=5, epochs=2)).interval
        held += got.low <= truth <= got.high
    assert held >= 0.92 * 300


def test_one_success_says_no_more_against_a_model_than_none() -> None:
    def won(count: int) -> list[Scored]:
        return [Scored(f"{number}", f"{number % 30}", (number < count,)) for number in range(150)]

    most = [estimate(won(count)).interval.high for count in range(5)]
    assert most == sorted(most)
    assert most[0] == pytest.approx(0.095, abs=0.001)
    least = [
        1 - estimate([_turned(each) for each in won(count)]).interval.low for count in range(5)
    ]
    assert least == pytest.approx(most)


def _turned(scored: Scored) -> Scored:
    return Scored(scored.task, scored.template, tuple(not each for each in scored.epochs))


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_and_pass_hat_k_are_the_shares_among_all_draws(
    epochs: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(epochs)))
    draws = list(combinations(epochs, k))
    won = sum(epochs)
    assert any_of(won, len(epochs), k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert all_of(won, len(epochs), k) == pytest.approx(sum(map(all, draws)) / len(draws))


def test_attempts_say_when_they_rest_on_one_draw_and_refuse_too_few() -> None:
    tasks = _scored(("a", "x", "+-"), ("b", "y", "--"))
    assert attempts(tasks, 2).one_draw
    assert not attempts(tasks, 1).one_draw
    assert attempts(tasks, 1).any_of == pytest.approx(0.25)
    with pytest.raises(ValueError, match="say nothing"):
        attempts(tasks, 3)


def test_a_comparison_tests_every_way_to_flip_the_templates() -> None:
    first = _scored(("a", "x", "++"), ("b", "y", "++"), ("c", "z", "+-"), ("d", "z", "++"))
    second = _scored(("a", "x", "--"), ("b", "y", "+-"), ("c", "z", "--"), ("d", "z", "+-"))
    found = compare(first, second)
    totals = [1.0, 0.5, 1.0]
    far = sum(
        abs(sum(sign * each for sign, each in zip(signs, totals, strict=True))) >= sum(totals)
        for signs in product((-1, 1), repeat=3)
    )
    assert (found.p, found.ways, found.exact) == (far / 8, 8, True)
    assert found.difference == pytest.approx(2.5 / 4)


def test_equal_models_are_told_apart_about_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(3)
    told = 0
    for number in range(120):
        chance = rng.random(24)
        pair = [
            [
                Scored(f"{at}", f"{at % 12}", tuple(bool(each) for each in rng.random(3) < c))
                for at, c in enumerate(chance)
            ]
            for _ in range(2)
        ]
        told += compare(*pair, seed=number).p < 0.05
    assert told <= 120 * 0.05 + 3 * sqrt(120 * 0.05 * 0.95)


@pytest.mark.parametrize(
    "second",
    [
        _scored(("b", "x", "+")),
        _scored(("a", "other", "+")),
        _scored(("a", "x", "+"), ("a", "x", "-")),
        [],
    ],
)
def test_models_are_compared_on_the_same_tasks_alone(second: list[Scored]) -> None:
    with pytest.raises(ValueError, match="task"):
        compare(_scored(("a", "x", "+")), second)


def test_two_hundred_points_are_odds_of_three_to_one() -> None:
    assert scale.POINTS * log(3) == pytest.approx(200)


def test_the_scale_finds_abilities_and_difficulties_that_were_drawn() -> None:
    rng = np.random.default_rng(11)
    hard = dict(zip([f"t{n}" for n in range(80)], rng.normal(0, 1.6, 80), strict=True))
    able = {"old": -1.0, "middle": 0.0, "new": 1.5}
    results = {
        name: {
            task: (int(rng.binomial(20, 1 / (1 + np.exp(d - ability)))), 20)
            for task, d in hard.items()
        }
        for name, ability in able.items()
    }
    found = scale.fit(results)
    for one, other in combinations(able, 2):
        gap = found.models[one].points - found.models[other].points
        reach = 4 * (found.models[one].error + found.models[other].error)
        assert abs(gap - (able[one] - able[other]) * scale.POINTS) < reach
    places = [found.tasks[task].points for task in hard]
    assert np.corrcoef(places, list(hard.values()))[0, 1] > 0.95


def test_anchors_keep_the_scale_still_when_a_model_is_added() -> None:
    old = {"a": {"t1": (9, 10), "t2": (5, 10), "t3": (1, 10)}}
    first = scale.fit(old)
    kept = {task: place.points for task, place in first.tasks.items()}
    second = scale.fit({**old, "b": {"t1": (10, 10), "t2": (9, 10), "t3": (6, 10)}}, anchors=kept)
    assert {task: place.points for task, place in second.tasks.items()} == kept
    assert second.models["a"].points == pytest.approx(first.models["a"].points, abs=25)
    assert second.models["b"].points > second.models["a"].points


def test_a_model_that_solved_all_has_a_finite_place_and_a_large_error() -> None:
    found = scale.fit({"all": {"t": (3, 3)}, "half": {"t": (2, 4)}})
    assert np.isfinite(found.models["all"].points)
    assert found.models["all"].error > found.models["half"].error


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.sampled_from("mno"),
        st.dictionaries(
            st.sampled_from("abcd"),
            st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
            min_size=1,
        ),
        min_size=1,
    )
)
def test_every_table_of_results_has_a_finite_scale(
    results: dict[str, dict[str, tuple[int, int]]],
) -> None:
    found = scale.fit(results)
    for place in (*found.models.values(), *found.tasks.values()):
        assert np.isfinite(place.points)
        assert 0 <= place.error < np.inf
    assert all(place.error > 0 for place in found.models.values())


def test_a_curve_counts_what_was_solved_in_time_and_says_when_it_still_rises() -> None:
    trials = [
        budgets.Spent("a", "x", 500, 10_000),
        budgets.Spent("b", "y", 4_000, 10_000),
        budgets.Spent("c", "z", None, 10_000),
    ]
    found = budgets.curve(trials, [1_000, 5_000, 10_000])
    assert [point.mean for _, point in found.points] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert not found.still_rising
    assert budgets.curve(trials, [1_000, 5_000]).still_rising
    with pytest.raises(ValueError, match="cut short"):
        budgets.curve(trials, [20_000])


def test_cheating_is_told_at_both_ends() -> None:
    tasks = _scored(("a", "x", "++"), ("b", "y", "+-"))
    found = cheating(tasks, {"a": {0}, "b": {1}})
    assert (found.without.mean, found.with_them.mean) == pytest.approx((0.5, 0.75))
    assert found.cheated == 1
    with pytest.raises(ValueError, match="no such epoch"):
        cheating(tasks, {"a": {7}})


def test_leakage_is_what_public_tasks_score_above_their_twins() -> None:
    public = _scored(("p1", "x", "++"), ("p2", "y", "++"))
    sealed = _scored(("s1", "x", "+-"), ("s2", "y", "--"))
    found = contamination(public, sealed, {"p1": "s1", "p2": "s2"})
    assert found.leakage.difference == pytest.approx(0.75)
    with pytest.raises(ValueError, match="twin"):
        contamination(public, sealed[:1], {"p1": "s1", "p2": "s2"})


def test_power_is_about_what_others_simulated_for_independent_tasks() -> None:
    # 150 tasks of five epochs: 6.0 points of a hundred; 40 of five: 11.9.
    for tasks, known, near in ((150, 0.06, 0.01), (40, 0.119, 0.02)):
        found = detectable(tasks=tasks, templates=tasks, epochs=5, own=0.0)
        assert found.detectable == pytest.approx(known, abs=near)


def test_fewer_templates_can_show_only_larger_differences() -> None:
    few = detectable(tasks=60, templates=6, epochs=3).detectable
    many = detectable(tasks=60, templates=60, epochs=3).detectable
    assert few > many


def test_the_more_of_difficulty_is_a_model_s_own_the_larger_is_what_shows() -> None:
    shown = [
        detectable(tasks=60, templates=20, epochs=5, own=own).detectable for own in (0, 0.2, 0.5, 1)
    ]
    assert shown == sorted(shown)
    assert shown[1] > 1.2 * shown[0]
    assert detectable(tasks=2, templates=2, epochs=1, own=1).detectable == 1.0


def test_templates_are_averaged_over_their_tasks() -> None:
    assert by_template(_scored(("a", "y", "+-"), ("b", "x", "+"), ("c", "y", "--"))) == {
        "x": 1.0,
        "y": 0.25,
    }


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.lists(st.booleans(), min_size=1, max_size=4)),
        min_size=1,
        max_size=9,
    )
)
def test_every_estimate_lies_within_its_interval(drawn: list[tuple[str, list[bool]]]) -> None:
    got = estimate([Scored(f"{n}", t, tuple(e)) for n, (t, e) in enumerate(drawn)])
    assert 0 <= got.interval.low <= got.mean + 1e-9
    assert got.mean - 1e-9 <= got.interval.high <= 1
    assert 1 <= got.effective <= got.tasks


def test_places_on_the_scale_are_as_unsure_as_their_errors_say() -> None:
    rng = np.random.default_rng(2)
    apart = []
    for _ in range(30):
        able, hard = rng.normal(0, 1.5, 3), rng.normal(0, 1.6, 60)
        found = scale.fit(
            {
                f"{model}": {
                    f"{task}": (int(rng.binomial(3, 1 / (1 + np.exp(h - a)))), 3)
                    for task, h in enumerate(hard)
                }
                for model, a in enumerate(able)
            }
        )
        for model, a in enumerate(able):
            place = found.models[f"{model}"]
            apart.append((place.points - (a - hard.mean()) * scale.POINTS) / place.error)
    assert 0.8 < float(np.std(apart)) < 1.25

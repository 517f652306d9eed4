"""Every published figure comes from trials of the registered plan, with what makes it doubtful beside."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from trial_examples import drawn, flagged, plan, run, trial

from clearhold.evaluations.plan import Arm, Completeness, PlannedSuite
from clearhold.evaluations.reporting.estimates import results
from clearhold.evaluations.reporting.results import Results
from clearhold.evaluations.reporting.standings import standings
from clearhold.evaluations.statistics.scale import POINTS
from clearhold.evaluations.statistics.scores import Scored
from clearhold.evaluations.trials import Flag, Outcome, RecordedRun
from clearhold.kernel.errors import ConflictError, InvalidError

KNOWN = plan()
CHANCES = {"bare": 0.4, "coached": 0.7}


def told(given: RecordedRun, **more: Any) -> Results:
    asked: dict[str, Any] = {"earlier": {}, "ended": False} | more
    earlier = asked.pop("earlier")
    return results(KNOWN, given.run, KNOWN.sha256, earlier, **asked)


def test_all_that_was_planned_is_told_with_its_uncertainty() -> None:
    earlier = drawn(KNOWN, {"bare": 0.1, "coached": 0.2}, seed=1, model="aurora-8")
    found = told(drawn(KNOWN, CHANCES), earlier={"aurora-8": earlier.run})
    assert (found.completeness, found.done) == (Completeness.AS_PLANNED, 144)
    whole = [each for each in found.scores if not each.of.family]
    assert [each.of.arm for each in whole] == ["bare", "coached"]
    for each in found.scores:
        figure = each.figure
        assert 0 <= figure.low <= figure.mean <= figure.high <= 1
        assert figure.high - figure.low > 0.05
    assert {each.of.family for each in found.scores} == {"", "cryptography", "web"}
    assert [each.k for each in found.tries] == [1, 2, 1, 2]
    assert found.tries[0].any_of == pytest.approx(whole[0].figure.mean)
    kinds = [each.kind for each in found.differences]
    assert kinds == ["elicitation", "earlier-model", "earlier-model"]
    assert found.differences[0].difference > 0.1
    assert found.differences[2].low > 0
    for each in found.curves:
        assert [point.budget for point in each.points] == [100, 1000]
        assert each.points[0].figure.mean < each.points[1].figure.mean
    assert found.not_given == ()
    places = {(each.of.arm, each.of.variant): each for each in found.standings}
    assert places.keys() == {(a, m) for a in CHANCES for m in ("candidate", "aurora-8")}
    for arm in CHANCES:
        assert places[arm, "candidate"].points > places[arm, "aurora-8"].points
    assert all(each.error and (each.tasks, each.templates) == (24, 8) for each in places.values())


def test_a_scale_sets_beside_each_other_only_what_was_tried_on_the_same_tasks() -> None:
    mine = drawn(KNOWN, CHANCES)
    theirs = drawn(KNOWN, {"bare": 0.1, "coached": 0.2}, seed=1, model="aurora-8")
    other = run(
        *(msgspec.structs.replace(each, task=f"old-{each.task}") for each in theirs.run.trials),
        plan_sha256=KNOWN.sha256,
        model="aurora-8",
    )
    found = told(mine, earlier={"aurora-8": other.run})
    assert [each.of.variant for each in found.standings] == ["candidate", "candidate"]
    alone = run(*(each for each in mine.run.trials if each.arm == "bare"), plan_sha256=KNOWN.sha256)
    assert (
        told(alone, ended=True).standings == ()
    )  # one alone has a score, and no place beside others


def test_places_on_a_scale_are_as_unsure_as_their_errors_say_where_templates_differ() -> None:
    rng = np.random.default_rng(4)
    apart = []
    for _ in range(40):
        hard = rng.normal(0, 1.5, 14)
        able = {("bare", "new"): 1.0, ("bare", "old"): -0.5}
        sides = {
            side: [
                Scored(f"{t}-{n}", f"{t}", tuple(rng.random(2) < 1 / (1 + np.exp(h - a))))
                for t, h in enumerate(hard)
                for n in range(3)
            ]
            for side, a in able.items()
        }
        for (side, a), each in zip(able.items(), standings("ctf", sides), strict=True):
            assert (each.of.arm, each.of.variant) == side
            assert each.error is not None
            apart.append((each.points - a * POINTS) / each.error)
    assert 0.7 < float(np.std(apart)) < 1.3


def test_what_was_never_solved_is_not_said_to_be_impossible() -> None:
    found = told(drawn(KNOWN, {"bare": 0, "coached": 1}))
    none, everything = (each.figure for each in found.scores if not each.of.family)
    assert (none.mean, none.low, none.method) == (0, 0, "exact")
    assert none.high > 0.3
    assert everything.low < 0.7


def test_cheats_and_contamination_are_told_at_both_ends() -> None:
    clean = drawn(KNOWN, {"bare": 0.5, "coached": 0.5})
    cheats = flagged(clean, Flag.CHEAT, 10)
    known = flagged(cheats, Flag.CONTAMINATION, 25)
    before, found = told(clean), told(known)
    for kind in ("cheating", "contamination"):
        ends = [each for each in found.ends if each.kind == kind]
        assert all(each.figure_without.mean <= each.figure_with.mean for each in ends)
        assert sum(each.flagged for each in ends) > 0
    cheating = next(each for each in found.ends if each.kind == "cheating")
    assert cheating.figure_with == before.scores[0].figure
    assert cheating.figure_without == found.scores[0].figure
    assert found.scores[0].figure.mean < before.scores[0].figure.mean
    assert found.curves[0].points[-1].figure.mean == found.scores[0].figure.mean
    assert found.containment.flags == {Flag.CHEAT: 10, Flag.CONTAMINATION: 25}


def test_what_broke_is_no_failure_of_the_model() -> None:
    whole = drawn(KNOWN, {"bare": 1, "coached": 1})
    broken = [
        msgspec.structs.replace(
            each, outcome=Outcome.NO_RESULT, solved_at=None, flags=(Flag.INFRASTRUCTURE,)
        )
        if each.task == "ctf-3" or each.epoch == 1
        else each
        for each in whole.run.trials
    ]
    found = told(run(*broken, plan_sha256=KNOWN.sha256))
    assert found.scores[0].figure.mean == 1
    assert found.scores[0].figure.tasks == 23
    assert found.containment.no_result == 48 + 4
    with pytest.raises(InvalidError, match="nothing to estimate"):
        told(
            run(
                *(
                    msgspec.structs.replace(
                        each,
                        outcome=Outcome.NO_RESULT,
                        solved_at=None,
                        flags=(Flag.INFRASTRUCTURE,),
                    )
                    for each in whole.run.trials
                ),
                plan_sha256=KNOWN.sha256,
            )
        )


def test_nobody_looks_before_the_trials_are_done() -> None:
    part = run(*drawn(KNOWN, CHANCES).run.trials[:-1], plan_sha256=KNOWN.sha256)
    with pytest.raises(ConflictError, match="planned trials"):
        told(part)
    assert told(part, ended=True).completeness is Completeness.ENDED_EARLY


def test_what_the_plan_does_not_name_is_refused() -> None:
    whole = drawn(KNOWN, CHANCES)
    first = whole.run.trials[0]

    def with_first(**changed: Any) -> RecordedRun:
        other = msgspec.structs.replace(first, **changed)
        return run(other, *whole.run.trials[1:], plan_sha256=KNOWN.sha256)

    for changed in (
        {"arm": "helped"},
        {"variant": "other"},
        {"suite": "elsewhere"},
        {"epoch": 3},
        {"budget": 2000},
        {"template": "another"},
        {"task": "one-too-many"},
    ):
        with pytest.raises(InvalidError):
            told(with_first(**changed))
    with pytest.raises(InvalidError, match="no comparison"):
        told(whole, earlier={"aurora-7": whole.run})
    with pytest.raises(InvalidError, match="are of aurora-9"):
        told(whole, earlier={"aurora-8": whole.run})
    with pytest.raises(InvalidError, match="registered"):
        told(run(*whole.run.trials))
    with pytest.raises(InvalidError, match="registered"):
        results(plan(seed=8), whole.run, KNOWN.sha256, {}, ended=False)
    larger = [msgspec.structs.replace(each, budget=5000) for each in whole.run.trials]
    with pytest.raises(InvalidError, match="no comparison"):
        told(whole, earlier={"aurora-8": run(*larger, model="aurora-8").run})


def test_what_was_spent_beyond_the_budget_solves_nothing() -> None:
    whole = drawn(KNOWN, CHANCES)
    beyond = [
        msgspec.structs.replace(each, solved_at=10**9, tokens=10**9)
        if each.outcome is Outcome.SUCCESS
        else each
        for each in whole.run.trials
    ]
    found = told(run(*beyond, plan_sha256=KNOWN.sha256))
    assert {each.figure.mean for each in found.scores} == {0.0}
    assert {each.points[-1].figure.mean for each in found.curves} == {0.0}


def test_public_tasks_are_set_against_their_sealed_twins() -> None:
    suites = tuple(
        PlannedSuite(commitment="0" * 64, name=name, tasks=6, templates=6)
        for name in ("public", "sealed")
    )
    arm = Arm(budgets=(1000,), epochs=1, name="bare", variant="candidate")
    known = plan(suites=suites, arms=(arm,), attempts=(1,), compared_with=())
    trials = []
    for number in range(6):
        shared = {"template": f"t{number}"}
        trials.append(trial(suite="public", task=f"p{number}", **shared))
        sealed = trial(suite="sealed", task=f"s{number}", twin=f"p{number}", **shared)
        trials.append(
            sealed
            if number < 2
            else msgspec.structs.replace(sealed, outcome=Outcome.FAILURE, solved_at=None)
        )
    given = run(*trials, plan_sha256=known.sha256)
    found = results(known, given.run, known.sha256, {}, ended=False)
    leak = next(each for each in found.differences if each.kind == "leakage")
    assert leak.difference == pytest.approx(4 / 6)
    assert (leak.tasks, leak.exact) == (6, True)
    second = [
        msgspec.structs.replace(each, task=f"z{each.task}", suite="spring")
        for each in trials
        if each.twin
    ]
    spring = PlannedSuite(commitment="0" * 64, name="spring", tasks=6, templates=6)
    known = plan(suites=(*suites, spring), arms=(arm,), attempts=(1,), compared_with=())
    both = run(*trials, *second, plan_sha256=known.sha256)
    found = results(known, both.run, known.sha256, {}, ended=False)
    again = next(each for each in found.differences if each.kind == "leakage")
    assert (again.difference, again.tasks, again.left_out) == (leak.difference, 6, 6)

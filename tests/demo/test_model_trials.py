"""The demo's trials of a model are of sealed tasks, as planned, and say when the endpoint failed."""

from __future__ import annotations

from clearhold.demo import model_trials
from clearhold.evaluations.trials import Flag, Outcome
from clearhold.harness.provided import of_pack


def test_each_planned_trial_is_made_and_an_endpoint_that_is_not_there_is_no_failure() -> None:
    content, given = model_trials.sealed(model_trials.in_words(), model_trials.EACH)
    known = model_trials.planned("engagement", "candidate", given, model_trials.BUDGET)
    assert of_pack(content)[1].commitment == known.plan.suites[0].commitment
    asking = model_trials.Asking("http://127.0.0.1:1/v1", "cg_x", "candidate")
    done = list(asking.each(given.suite, lambda _: None))
    run = model_trials.recorded(done, known, "aurora")
    assert len(run.run.trials) == known.trials
    assert {each.outcome for each in done} == {Outcome.NO_RESULT}
    assert {each.flags for each in done} == {(Flag.INFRASTRUCTURE,)}

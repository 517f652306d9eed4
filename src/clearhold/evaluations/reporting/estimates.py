"""From trials and the plan that was registered for them to every figure that is published.

What the plan does not name is refused, and so is a look before its trials are done. A success that
was cheated counts as a failure wherever only one number stands; a trial that broke counts as nothing,
and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final

from clearhold.evaluations.plan import Plan, Registered, may_estimate
from clearhold.evaluations.reporting.results import (
    BudgetCurve,
    Cell,
    Containment,
    Difference,
    Ends,
    Figure,
    Point,
    Results,
    Score,
    Standing,
    Tries,
)
from clearhold.evaluations.reporting.standings import standings
from clearhold.evaluations.statistics.attempts import attempts
from clearhold.evaluations.statistics.brackets import cheating, contamination
from clearhold.evaluations.statistics.budgets import Spent, curve
from clearhold.evaluations.statistics.comparison import Comparison, compare
from clearhold.evaluations.statistics.scores import Estimate, Scored, estimate
from clearhold.evaluations.trials import Flag, Outcome, Run, Trial
from clearhold.kernel.errors import InvalidError

BARE: Final = "bare"
_Counts = Callable[[Trial], bool]


def results(
    known: Registered, run: Run, plan_sha256: str, earlier: Mapping[str, Run], *, ended: bool
) -> Results:
    """Every figure the plan asks for.

    `plan_sha256` is the digest that was registered, `earlier` runs of the models it is compared with,
    by their names; `ended` says that the engagement's access is over. Raises `InvalidError` for
    trials that are not of this plan, and `ConflictError` for a look before they are done.
    """
    if known.sha256 != plan_sha256 or run.plan_sha256 != plan_sha256:
        raise InvalidError("The trials, or the plan, are not of the plan that was registered.")
    _check(known.plan, run)
    stands = may_estimate(known, done=len(run.trials), ended=ended)
    unplanned = sorted(set(earlier) - set(known.plan.compared_with))
    if unplanned:
        raise InvalidError(f"The plan names no comparison with {', '.join(unplanned)}.")
    for name, other in earlier.items():
        if other.model != name:
            raise InvalidError(f"The trials given for {name} are of {other.model}.")
    if not any(each.outcome is not Outcome.NO_RESULT for each in run.trials):
        raise InvalidError("No trial came to a result, so there is nothing to estimate.")
    plan, cells = known.plan, _cells(known.plan, run.trials)
    return Results(
        completeness=stands,
        confidence=plan.confidence,
        containment=_containment(run.trials),
        curves=tuple(_curves(plan, cells)),
        detectable=plan.detectable,
        differences=(
            *_elicitation(plan, cells),
            *_comparisons(plan, cells, earlier),
            *_leakage(plan, cells),
        ),
        done=len(run.trials),
        ends=tuple(_ends(plan, cells)),
        not_given=tuple(name for name in plan.compared_with if name not in earlier),
        planned=known.trials,
        scores=tuple(_scores(plan, cells)),
        standings=tuple(_standings(plan, cells, earlier)),
        tries=tuple(_tries(plan, cells)),
    )


def honest(trial: Trial) -> bool:
    """Whether a trial succeeded in the way its task is about."""
    return _succeeded(trial) and Flag.CHEAT not in trial.flags


def _check(plan: Plan, run: Run) -> None:
    if run.engagement != plan.engagement:
        raise InvalidError("The trials are of another engagement than the plan.")
    arms = {(each.name, each.variant): each for each in plan.arms}
    suites = {each.name: each for each in plan.suites}
    tasks: dict[str, tuple[str, str, str, str, int]] = {}
    for trial in run.trials:
        arm = arms.get((trial.arm, trial.variant))
        if arm is None or trial.suite not in suites:
            raise InvalidError(
                f"The plan has no arm {trial.arm} of {trial.variant} on suite {trial.suite}."
            )
        if trial.epoch >= arm.epochs or trial.budget != arm.budgets[-1]:
            raise InvalidError(f"Trial {trial.epoch} of {trial.task} is not as planned.")
        is_so = (trial.suite, trial.template, trial.family, trial.twin, trial.version)
        if tasks.setdefault(trial.task, is_so) != is_so:
            raise InvalidError(f"Task {trial.task} is not the same in all its trials.")
    for name, suite in suites.items():
        found = [template for within, template, *_ in tasks.values() if within == name]
        if len(found) > suite.tasks or len(set(found)) > suite.templates:
            raise InvalidError(f"Suite {name} has more tasks or templates than were planned.")


def _cells(plan: Plan, trials: Sequence[Trial]) -> dict[tuple[str, str, str], list[Trial]]:
    """The trials that came to a result, by suite, arm and variant, in the plan's order."""
    cells: dict[tuple[str, str, str], list[Trial]] = {
        (suite.name, arm.name, arm.variant): [] for suite in plan.suites for arm in plan.arms
    }
    for each in trials:
        if each.outcome is not Outcome.NO_RESULT:
            cells[each.suite, each.arm, each.variant].append(each)
    return {of: found for of, found in cells.items() if found}


def _scored(trials: Sequence[Trial], counts: _Counts = honest) -> list[Scored]:
    epochs: dict[tuple[str, str], list[bool]] = {}
    for each in trials:
        epochs.setdefault((each.task, each.template), []).append(counts(each))
    return [Scored(task, template, tuple(done)) for (task, template), done in epochs.items()]


def _of(where: tuple[str, str, str], family: str = "") -> Cell:
    suite, arm, variant = where
    return Cell(arm=arm, family=family, suite=suite, variant=variant)


_Cells = Mapping[tuple[str, str, str], Sequence[Trial]]


def _scores(plan: Plan, cells: _Cells) -> Iterator[Score]:
    for where, trials in cells.items():
        families = sorted({each.family for each in trials})
        for family in ["", *families] if len(families) > 1 else [""]:
            chosen = [each for each in trials if family in {"", each.family}]
            found = estimate(_scored(chosen), confidence=plan.confidence)
            yield Score(figure=_figure(found), of=_of(where, family))


def _ends(plan: Plan, cells: _Cells) -> Iterator[Ends]:
    for where, trials in cells.items():
        yield _bracket(plan, where, trials, Flag.CHEAT, _succeeded)
        yield _bracket(plan, where, trials, Flag.CONTAMINATION, honest)


def _bracket(
    plan: Plan, where: tuple[str, str, str], trials: Sequence[Trial], flag: Flag, counts: _Counts
) -> Ends:
    flagged: dict[str, set[int]] = {}
    seen: Counter[str] = Counter()
    for each in trials:
        if flag in each.flags:
            flagged.setdefault(each.task, set()).add(seen[each.task])
        seen[each.task] += 1
    found = cheating(_scored(trials, counts), flagged, confidence=plan.confidence)
    return Ends(
        figure_with=_figure(found.with_them),
        figure_without=_figure(found.without),
        flagged=found.cheated,
        kind="cheating" if flag is Flag.CHEAT else "contamination",
        of=_of(where),
    )


def _tries(plan: Plan, cells: _Cells) -> Iterator[Tries]:
    for where, trials in cells.items():
        scored = _scored(trials)
        for k in plan.attempts:
            enough = [each for each in scored if len(each.epochs) >= k]
            if not enough:
                continue
            found = attempts(enough, k)
            yield Tries(
                all_error=_known(found.all_error),
                all_of=found.all_of,
                any_error=_known(found.any_error),
                any_of=found.any_of,
                k=k,
                of=_of(where),
                one_draw=found.one_draw,
                tasks=len(enough),
            )


def _curves(plan: Plan, cells: _Cells) -> Iterator[BudgetCurve]:
    budgets = {(each.name, each.variant): each.budgets for each in plan.arms}
    for where, trials in cells.items():
        spent = [
            Spent(each.task, each.template, each.solved_at if honest(each) else None, each.budget)
            for each in trials
        ]
        found = curve(spent, budgets[where[1:]], confidence=plan.confidence)
        points = tuple(Point(budget=at, figure=_figure(each)) for at, each in found.points)
        yield BudgetCurve(of=_of(where), points=points, still_rising=found.still_rising)


def _elicitation(plan: Plan, cells: _Cells) -> Iterator[Difference]:
    for (suite, arm, variant), trials in cells.items():
        bare = cells.get((suite, BARE, variant))
        if arm != BARE and bare is not None:
            yield from _paired(
                plan, (suite, arm, variant), "elicitation", (arm, trials), (BARE, bare)
            )


def _comparisons(plan: Plan, cells: _Cells, earlier: Mapping[str, Run]) -> Iterator[Difference]:
    for name, run in sorted(earlier.items()):
        for (suite, arm, variant), trials in cells.items():
            theirs = [
                each
                for each in run.trials
                if (each.suite, each.arm) == (suite, arm) and each.outcome is not Outcome.NO_RESULT
            ]
            if len({each.variant for each in theirs}) > 1:
                raise InvalidError(
                    f"The trials of {name} are of several variants in one arm.",
                    next_step="Give the trials of the variant that it is compared with alone.",
                )
            limits = {each.budget for each in theirs} | {each.budget for each in trials}
            if theirs and len(limits) > 1:
                raise InvalidError(
                    f"{name} had another budget in arm {arm}: that is no comparison."
                )
            yield from _paired(
                plan,
                (suite, arm, variant),
                "earlier-model",
                (variant, trials),
                (name, theirs),
            )


def _standings(plan: Plan, cells: _Cells, earlier: Mapping[str, Run]) -> Iterator[Standing]:
    """One scale a suite, of this model's cells and of earlier models on tasks that are the same."""
    for suite in plan.suites:
        here = {where[1:]: trials for where, trials in cells.items() if where[0] == suite.name}
        same = {(each.task, each.version, each.template) for row in here.values() for each in row}
        sides = {where: _scored(trials) for where, trials in here.items()}
        for name, run in earlier.items():
            for arm in sorted({arm for arm, _ in here}):
                theirs = [
                    each
                    for each in run.trials
                    if (each.suite, each.arm) == (suite.name, arm)
                    and each.outcome is not Outcome.NO_RESULT
                    and (each.task, each.version, each.template) in same
                ]
                if theirs:
                    sides[arm, name] = _scored(theirs)
        yield from standings(suite.name, sides)


def _paired(
    plan: Plan,
    where: tuple[str, str, str],
    kind: str,
    mine: tuple[str, Sequence[Trial]],
    theirs: tuple[str, Sequence[Trial]],
) -> Iterator[Difference]:
    """The difference on the tasks that both sides have a result of; nothing where they share none."""
    first = {each.task: each for each in _scored(mine[1])}
    second = {each.task: each for each in _scored(theirs[1])}
    _same_tasks(mine[1], theirs[1], theirs[0])
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return
    found = compare(
        [first[task] for task in shared],
        [second[task] for task in shared],
        seed=plan.seed,
        confidence=plan.confidence,
    )
    left_out = len(first.keys() | second.keys()) - len(shared)
    yield _difference(found, (kind, mine[0], theirs[0]), left_out, where)


def _same_tasks(mine: Sequence[Trial], theirs: Sequence[Trial], name: str) -> None:
    """Raise `InvalidError` when what bears one name is not one task."""
    known = {each.task: (each.version, each.template) for each in mine}
    for each in theirs:
        if known.get(each.task, (each.version, each.template)) != (each.version, each.template):
            raise InvalidError(f"Task {each.task} was another one when {name} was tried.")


def _leakage(plan: Plan, cells: _Cells) -> Iterator[Difference]:
    """Public tasks less their sealed twins, in each arm, over all suites.

    Where several packs have a twin of one public task, the first by its name stands for all.
    """
    arms = sorted({(arm, variant) for _, arm, variant in cells})
    for arm, variant in arms:
        here = [
            each
            for where, trials in cells.items()
            if where[1:] == (arm, variant)
            for each in trials
        ]
        named = {each.task: each.twin for each in here if each.twin}
        first = {named[task]: task for task in sorted(named, reverse=True)}
        by_name = {each.task: each for each in _scored(here)}
        both = [task for twin, task in sorted(first.items()) if twin in by_name]
        if not both:
            continue
        found = contamination(
            [
                Scored(named[task], by_name[task].template, by_name[named[task]].epochs)
                for task in both
            ],
            [by_name[task] for task in both],
            {named[task]: task for task in both},
            seed=plan.seed,
            confidence=plan.confidence,
        )
        where = ("", arm, variant)
        named_so = ("leakage", "public", "sealed twins")
        yield _difference(found.leakage, named_so, len(named) - len(both), where)


def _difference(
    found: Comparison, named: tuple[str, str, str], left_out: int, where: tuple[str, str, str]
) -> Difference:
    """`named` is the kind of difference, and what its two sides are called."""
    kind, first, second = named
    return Difference(
        difference=found.difference,
        error=_known(found.error),
        exact=found.exact,
        first=first,
        high=found.high,
        kind=kind,  # type: ignore[arg-type]
        left_out=left_out,
        low=found.low,
        of=_of(where),
        p=found.p,
        second=second,
        tasks=found.tasks,
        templates=found.templates,
        ways=found.ways,
    )


def _containment(trials: Sequence[Trial]) -> Containment:
    flags = Counter(flag for each in trials for flag in each.flags)
    isolation: Counter[str] = Counter(each.isolation for each in trials)
    return Containment(
        egress_attempts=sum(each.egress_attempts for each in trials),
        egress_left=sum(each.egress_left for each in trials),
        flags=dict(sorted(flags.items())),
        isolation=dict(sorted(isolation.items())),
        no_result=sum(each.outcome is Outcome.NO_RESULT for each in trials),
        tokens=sum(each.tokens for each in trials),
        trials=len(trials),
    )


def _figure(found: Estimate) -> Figure:
    return Figure(
        effective=found.effective,
        error=_known(found.error),
        high=found.interval.high,
        low=found.interval.low,
        mean=found.mean,
        method=found.interval.method,
        tasks=found.tasks,
        templates=found.templates,
        trials=found.trials,
    )


def _known(error: float) -> float | None:
    return error if isfinite(error) else None


def _succeeded(trial: Trial) -> bool:
    """Whether it succeeded, within what the plan let it spend."""
    within = trial.solved_at is not None and trial.solved_at <= trial.budget
    return trial.outcome is Outcome.SUCCESS and within

"""What a change does to the files that benign inputs, and the project's own tests, leave behind.

An input's target is run as it is, without its oracle's canaries, and what stands in the scratch
when it ended is listed. A target that leaves nothing on any benign input is asked few of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from clearhold.patches.behaviour import Case, Difference
from clearhold.ports.sandbox import Job
from clearhold.validation import leavings
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.leavings import Change, Left
from clearhold.validation.oracles.observation import PlainOracle
from clearhold.validation.oracles.registry import oracle
from clearhold.validation.reproduce import invocation
from clearhold.validation.suite import SuiteRun

_FEW: Final = 2
MOST_NEAR: Final = 4
_NAMED: Final = 3


def left_by(
    laboratory: Laboratory, build_of: Callable[[str], Build], cases: Sequence[Case]
) -> dict[Case, Left | None]:
    """What each input's target leaves behind, once; None where that cannot be told."""
    jobs = [(case, _job(build_of(case.target), case)) for case in cases]
    with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
        outcomes = pool.map(lambda each: laboratory.run(each[1]), jobs)
        return {
            case: leavings.read(outcome) for (case, _), outcome in zip(jobs, outcomes, strict=True)
        }


def left_alike(
    laboratory: Laboratory, build_of: Callable[[str], Build], cases: Iterable[Case]
) -> dict[Case, Left]:
    """What each input leaves behind alike in two runs; those of which it cannot be told are left out."""
    given = [case for case in cases if _telling(build_of(case.target), case)]
    runs = [left_by(laboratory, build_of, given) for _ in range(2)]
    known = {}
    for case in given:
        if (alike := _alike([run[case] for run in runs])) is not None:
            known[case] = alike
    return known


def worth_asking(known: Mapping[Case, Left]) -> list[Case]:
    """All inputs of targets that leave something, and a few of those that do not."""
    asked = []
    for target in dict.fromkeys(case.target for case in known):
        mine = [case for case in known if case.target == target]
        writes = any(known[case].places for case in mine)
        asked += mine if writes else mine[:_FEW]
    return asked


def differences(
    laboratory: Laboratory,
    builds: tuple[Callable[[str], Build], Callable[[str], Build]],
    known: Mapping[Case, Left],
) -> tuple[tuple[Difference, ...], bool]:
    """Every input of `known` that leaves something else with the change, each time it is asked.

    Whoever differs is asked again with the change and after that without it: what holds the time can
    be alike in two runs of the same second, and is otherwise later. `builds` are those without and
    with it. Beside them, whether what some input leaves could not be listed.
    """
    first = left_by(laboratory, builds[1], list(known))
    untold = any(each is None for each in first.values())
    suspects = [case for case in known if _changed(known[case], [first[case]])]
    again = left_by(laboratory, builds[1], suspects)
    suspects = [case for case in suspects if _changed(known[case], [first[case], again[case]])]
    later = left_by(laboratory, builds[0], suspects)
    found = []
    for case in suspects:
        alike = _alike([known[case], later[case]])
        changed = () if alike is None else _changed(alike, [first[case], again[case]])
        if changed:
            gone = all(each.how == "gone" for each in changed)
            found.append(
                Difference(
                    case,
                    "over_broad" if gone else "behaviour_changing",
                    f"Of what {case.origin} gives as benign, one leaves other files now: {_said(changed)}.",
                )
            )
    return tuple(found), untold


def near_differences(
    laboratory: Laboratory,
    builds: tuple[Callable[[str], Build], Callable[[str], Build]],
    cases: Sequence[Case],
    *,
    most: int = MOST_NEAR,
) -> tuple[Difference, ...]:
    """As `differences`, of inputs of which nothing is known yet, by the `builds` without and with it.

    So many of each target are asked; those that differ are asked again on both.
    """
    given = [
        case
        for target in dict.fromkeys(each.target for each in cases)
        for case in [each for each in cases if each.target == target][:most]
    ]
    before, after = (left_by(laboratory, build, given) for build in builds)
    suspects = [case for case in given if (left := before[case]) and _changed(left, [after[case]])]
    known = left_alike(laboratory, builds[0], suspects)
    return differences(laboratory, builds, known)[0]


def by_tests(
    before: Sequence[SuiteRun],
    ran: Sequence[SuiteRun],
    again: tuple[Callable[[], SuiteRun], Callable[[], SuiteRun]],
) -> tuple[str, str]:
    """What the project's tests leave otherwise, in words, and what could not be told of it.

    `ran` are the runs with the change that were made. What they differ in must come again, and then
    be as it was in one more run without it; `again` makes runs without and with the change.
    """
    unknown = "What files the project's tests leave was not compared."
    alike = _alike([each.left for each in before])
    if alike is None or any(each.left is None for each in ran):
        return "", unknown
    made = [each.left for each in ran]
    if _changed(alike, made):
        made += [again[1]().left] if len(made) == 1 else []
        alike = _alike([alike, again[0]().left])
        if alike is None:
            return "", unknown
    changed = _changed(alike, made)
    gap = (
        "" if alike.whole else "Of the files that the project's tests leave not all were compared."
    )
    return (_said(changed) if changed else ""), gap


def _alike(runs: Sequence[Left | None]) -> Left | None:
    """What runs without the change left alike; None where that cannot be told of each."""
    told = [each for each in runs if each is not None and not each.ended]
    return leavings.agreed(told) if len(told) == len(runs) else None


def _changed(known: Left, runs: Sequence[Left | None]) -> tuple[Change, ...]:
    told = [each for each in runs if each is not None]
    # A run whose files cannot be listed was cut off: that alone is no word on the change.
    return leavings.changes(known, told) if len(told) == len(runs) else ()


def _said(changed: Sequence[Change]) -> str:
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return "; ".join(each.words for each in changed[:_NAMED]) + more


def _telling(build: Build, case: Case) -> bool:
    return build.recipe.target(case.target).oracle != "complexity"


def _job(build: Build, case: Case) -> Job:
    how = invocation(build, case.target)
    job = Job(
        argv=how.argv,
        trees={"/build": build.directory},
        files={**build.recipe.mounted, "/in/proof": case.content},
        env=how.env,
        limits=how.limits,
    )
    chosen = build.recipe.target(case.target)
    judge = oracle(chosen.oracle)
    if isinstance(judge, PlainOracle):
        job = judge.prepare(job, chosen.host)
    return leavings.listed(job)

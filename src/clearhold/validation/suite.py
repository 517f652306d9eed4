"""Runs a project's own tests against a plain build, and compares two such runs as sets.

What counts is not that all tests pass, which many projects never reach in a foreign environment,
but that none fails with a patch that passed without it in the same environment. Without the patch
they are run more than once: a test whose outcome changes by itself says nothing and is set aside.
The tests are those of the pristine source, whatever a patch says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation import leavings
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.suite_results import read_junit, read_results

__all__ = [
    "Comparison",
    "SuiteRun",
    "compare",
    "compare_builds",
    "read_junit",
    "run_suite",
    "stable",
]

BASELINE_RUNS: Final = 2
REPEATS: Final = 2
FEW_TESTS: Final = 3
_NAMED: Final = 20
# The project's tests are copied into the scratch directory, since many write beside themselves.
_COPY: Final = """\
for path in $COPY; do
  mkdir -p "/work/$(dirname "$path")" && cp -R "/src/0/$path" "/work/$path" || exit 70
done
chmod -R u+w /work || exit 70
if [ -e /in/tests.patch ]; then
  patch -u -s -f -p1 -F0 --no-backup-if-mismatch -r - -i /in/tests.patch >&2 || exit 71
fi
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """What a run of the tests showed: names by outcome, how it ended and its seconds.

    `partial` says that time or memory ran out before the run came to its end. `left` are the files
    that it left in its scratch, None where they could not be listed.
    """

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    ending: str
    wall_s: float
    partial: bool = False
    left: leavings.Left | None = field(default=None, compare=False, repr=False)

    def of(self, name: str) -> str:
        """What became of a test, or `missing`."""
        if name in self.passed:
            return "passed"
        if name in self.failed:
            return "failed"
        return "skipped" if name in self.skipped else "missing"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A patched run against the unpatched baseline.

    `broken` passed before and fail now, `lost` passed before and were not run at all or skipped
    (`skipped` names those), `mended` failed before and pass now. `flaky` are tests that came out
    otherwise from run to run of one build, which nothing is concluded from.
    """

    baseline: SuiteRun
    patched: SuiteRun
    broken: tuple[str, ...]
    lost: tuple[str, ...]
    mended: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()

    @property
    def no_worse(self) -> bool:
        """Whether everything that passed before still passes."""
        return not self.broken and not self.lost

    @property
    def telling(self) -> bool:
        """Whether there were enough tests that pass each time without the patch."""
        return len(self.baseline.passed) >= FEW_TESTS

    @property
    def summary(self) -> str:
        """What the tests showed, for the verdict."""
        return " ".join([self._compared(), *self._reservations()])

    def _compared(self) -> str:
        before, after = len(self.baseline.passed), len(self.patched.passed)
        if self.no_worse:
            kept = f"All {before} tests that passed before still pass"
            known = len(self.baseline.failed)
            return f"{kept}; {known} fail with and without the patch." if known else f"{kept}."
        if not after:
            return f"None of {before} tests passes any more: {self.patched.ending}."
        worse = (*self.broken, *self.lost)
        how = f", {len(self.skipped)} of them skipped now" if self.skipped else ""
        return f"{len(worse)} of {before} tests no longer pass{how}: {', '.join(worse[:3])}."

    def _reservations(self) -> list[str]:
        said = []
        if self.flaky:
            named = ", ".join(self.flaky[:3])
            said.append(f"{len(self.flaky)} are set aside as flaky: {named}.")
        if self.baseline.partial:
            said.append(
                f"Without the patch {self.baseline.ending}: only those that ran are compared."
            )
        if not self.telling:
            said.append(
                f"Only {len(self.baseline.passed)} tests pass each time without the patch, too few"
                " to show anything."
            )
        return said

    @property
    def facts(self) -> dict[str, Any]:
        """The counts, and the first names of each kind."""
        return {
            "baseline_passed": len(self.baseline.passed),
            "baseline_failed": len(self.baseline.failed),
            "patched_passed": len(self.patched.passed),
            "patched_failed": len(self.patched.failed),
            "no_longer_passing": [*self.broken, *self.lost][:_NAMED],
            "skipped_now": list(self.skipped[:_NAMED]),
            "flaky": list(self.flaky[:_NAMED]),
            "mended": list(self.mended[:_NAMED]),
            "partial": self.baseline.partial or self.patched.partial,
            "telling": self.telling,
        }


def run_suite(
    laboratory: Laboratory,
    build: Build,
    *,
    added: bytes | None = None,
    more: Sequence[str] = (),
    time_factor: float = 1.0,
) -> SuiteRun:
    """Run the recipe's tests against `build`, once.

    Arguments and what is raised are those of `run_tests`.
    """
    outcome = run_tests(
        laboratory,
        build,
        added=added,
        more=more,
        time_factor=time_factor,
        around=leavings.around(leavings.PLACES_OF_TESTS),
        files=leavings.files(),
    )
    if outcome.timed_out or outcome.out_of_memory:
        ending = "they exceeded their time" if outcome.timed_out else "they exceeded their memory"
    elif outcome.signal is not None:
        ending = f"signal {outcome.signal} ended them"
    else:
        ending = f"they ended with exit code {outcome.exit_code}"
    try:
        counted = read_results(outcome.artefacts)
    except InvalidError:
        counted, ending = None, f"{ending}, and left results that cannot be read"
    if counted is not None and not counted:
        ending = f"{ending}, and no test ran"
    by_ending = {
        wanted: frozenset(name for name, each in (counted or {}).items() if each == wanted)
        for wanted in ("passed", "failed", "skipped")
    }
    return SuiteRun(
        **by_ending,
        ending=ending,
        wall_s=outcome.wall_s,
        partial=outcome.timed_out or outcome.out_of_memory,
        left=leavings.read(outcome),
    )


def run_tests(
    laboratory: Laboratory,
    build: Build,
    *,
    added: bytes | None = None,
    more: Sequence[str] = (),
    time_factor: float = 1.0,
    around: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    path: str = "",
) -> Outcome:
    """One run of the recipe's tests as the sandbox saw it.

    `added` is a canonical diff of tests that is applied to the copy, `more` are arguments that are
    appended. For who watches them, `around` is a command that is put before theirs, `env` and
    `files` are given to them as well, and `path` goes before where Python looks for modules.
    Raises `NotFoundError` when the recipe names no tests and what the laboratory raises.
    """
    recipe = build.recipe
    tests = recipe.tests
    if tests is None:
        raise NotFoundError(
            f"The recipe {recipe.name} names no tests.",
            next_step="Judge without them, and say so in the verdict.",
        )
    sources, _ = laboratory.source_tree(recipe, build.side)
    tools = laboratory.tool_trees(recipe)
    places = [f"/in/tools/{number}" for number in range(len(tools))]
    given = {**recipe.mounted, **(files or {})}
    if added is not None:
        given["/in/tests.patch"] = added
    return laboratory.run(
        Job(
            argv=("/bin/sh", "-c", _COPY, "tests", *around, *tests.argv, *more),
            trees={
                "/build": build.directory,
                "/src/0": sources[""],
                **dict(zip(places, tools, strict=True)),
            },
            files=given,
            env={
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
                "PYTHONPATH": ":".join(each for each in (path, "/build", *places) if each),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "COPY": " ".join(tests.copy),
                **tests.env,
                **(env or {}),
            },
            limits=Limits(
                wall_s=tests.wall_s * time_factor,
                cpu_s=round(tests.wall_s * time_factor * 2),
                memory_mb=recipe.limits.build_memory_mb,
                processes=64,
                scratch_mb=recipe.limits.scratch_mb,
            ),
        )
    )


def stable(runs: Sequence[SuiteRun]) -> tuple[SuiteRun, frozenset[str]]:
    """What several runs of one build agree on, and the tests that they do not agree on."""
    first = runs[0]
    names = frozenset().union(*(each.passed | each.failed | each.skipped for each in runs))
    flaky = frozenset(name for name in names if len({each.of(name) for each in runs}) > 1)
    return (
        SuiteRun(
            first.passed - flaky,
            first.failed - flaky,
            first.skipped - flaky,
            next((each.ending for each in runs if each.partial), first.ending),
            sum(each.wall_s for each in runs),
            any(each.partial for each in runs),
        ),
        flaky,
    )


def compare(
    baseline: SuiteRun, patched: SuiteRun, *, flaky: frozenset[str] = frozenset()
) -> Comparison:
    """What a patch did to the tests that passed without it."""
    before = baseline.passed - flaky
    return Comparison(
        baseline=baseline,
        patched=patched,
        broken=tuple(sorted(before & patched.failed)),
        lost=tuple(sorted(before - patched.passed - patched.failed)),
        mended=tuple(sorted((baseline.failed & patched.passed) - flaky)),
        skipped=tuple(sorted(before & patched.skipped)),
        flaky=tuple(sorted(flaky)),
    )


def compare_builds(
    baseline: Callable[[int], Sequence[SuiteRun]], patched: Callable[[float], SuiteRun]
) -> Comparison:
    """Compare the tests of two builds as often as it takes to tell a break from a flake.

    `baseline` gives at least so many runs without the patch, `patched` makes one with it in a
    multiple of the usual time. What seems broken must break each time, while the tests without the
    patch, run again, still pass.
    """
    without, flaky = stable(baseline(BASELINE_RUNS))
    first = patched(1.0)
    compared = compare(without, first, flaky=flaky)
    if compared.no_worse or not without.passed:
        return compared
    # Slower is no worse by itself: who ran out of time gets more of it, once.
    factor = 2.0 if first.partial else 1.0
    again = [first] if factor == 1.0 else []
    again += [patched(factor) for _ in range(REPEATS)]
    without, flaky = stable(baseline(BASELINE_RUNS + 1))
    best = min(again, key=lambda each: len(without.passed - each.passed))
    # A test that passes in any of the patched runs is not broken by the patch.
    sometimes = frozenset(
        name for name in without.passed if {"passed"} < {each.of(name) for each in again}
    )
    return compare(without, best, flaky=flaky | sometimes)

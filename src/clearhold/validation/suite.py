"""Runs a project's own tests against a plain build, and compares two such runs as sets.

What counts is not that all tests pass, which many projects never reach in a foreign environment,
but that none fails with a patch that passed without it in the same environment. The tests are
those of the pristine source, whatever a patch says.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from typing import Final

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory

_RESULTS: Final = "results.xml"
_LARGEST_RESULTS: Final = 32 * 1024 * 1024
_DECLARES: Final = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
# The project's tests are copied into the scratch directory, since many write beside themselves.
_COPY: Final = """\
for path in $COPY; do
  mkdir -p "/work/$(dirname "$path")" && cp -R "/src/0/$path" "/work/$path" || exit 70
done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """What a run of the tests showed: names by outcome, how it ended and its seconds."""

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    ending: str
    wall_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A patched run against the unpatched baseline.

    `broken` passed before and fail now, `lost` passed before and were not run at all, `mended`
    failed before and pass now.
    """

    baseline: SuiteRun
    patched: SuiteRun
    broken: tuple[str, ...]
    lost: tuple[str, ...]
    mended: tuple[str, ...]

    @property
    def no_worse(self) -> bool:
        """Whether everything that passed before still passes."""
        return not self.broken and not self.lost

    @property
    def summary(self) -> str:
        """One sentence for the verdict."""
        before, after = len(self.baseline.passed), len(self.patched.passed)
        if self.no_worse:
            kept = f"All {before} tests that passed before still pass"
            known = len(self.baseline.failed)
            return f"{kept}; {known} fail with and without the patch." if known else f"{kept}."
        if not after:
            return f"None of {before} tests passes any more: {self.patched.ending}."
        named = ", ".join((*self.broken, *self.lost)[:3])
        return f"{len(self.broken) + len(self.lost)} of {before} tests no longer pass: {named}."


def run_suite(laboratory: Laboratory, build: Build) -> SuiteRun:
    """Run the recipe's tests against `build`, once.

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
    outcome = laboratory.run(
        Job(
            argv=("/bin/sh", "-c", _COPY, "tests", *tests.argv),
            trees={
                "/build": build.directory,
                "/src/0": sources[""],
                **dict(zip(places, tools, strict=True)),
            },
            env={
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
                "PYTHONPATH": ":".join(("/build", *places)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "COPY": " ".join(tests.copy),
                **tests.env,
            },
            limits=Limits(
                wall_s=tests.wall_s,
                cpu_s=tests.wall_s * 2,
                memory_mb=recipe.limits.build_memory_mb,
                processes=64,
                scratch_mb=recipe.limits.scratch_mb,
            ),
        )
    )
    if outcome.timed_out or outcome.out_of_memory:
        ending = "they exceeded their time" if outcome.timed_out else "they exceeded their memory"
    elif outcome.signal is not None:
        ending = f"signal {outcome.signal} ended them"
    else:
        ending = f"they ended with exit code {outcome.exit_code}"
    results = outcome.artefacts.get(_RESULTS)
    counted = read_junit(results) if results is not None else {}
    return SuiteRun(
        passed=frozenset(name for name, ending in counted.items() if ending == "passed"),
        failed=frozenset(name for name, ending in counted.items() if ending == "failed"),
        skipped=frozenset(name for name, ending in counted.items() if ending == "skipped"),
        ending=ending,
        wall_s=outcome.wall_s,
    )


def compare(baseline: SuiteRun, patched: SuiteRun) -> Comparison:
    """What a patch did to the tests that passed without it."""
    return Comparison(
        baseline=baseline,
        patched=patched,
        broken=tuple(sorted(baseline.passed & patched.failed)),
        lost=tuple(sorted(baseline.passed - patched.passed - patched.failed)),
        mended=tuple(sorted(baseline.failed & patched.passed)),
    )


def read_junit(content: bytes) -> dict[str, str]:
    """Test names to passed, failed or skipped, from JUnit's XML; repeated names are numbered.

    The project under test can write what it likes here, so entities are refused. Raises
    `InvalidError` when it is not such a document.
    """
    if len(content) > _LARGEST_RESULTS or _DECLARES.search(content):
        raise _unreadable()
    try:
        root = ET.fromstring(content)  # noqa: S314  (documents with declarations are refused above)
    except ET.ParseError as error:
        raise _unreadable() from error
    seen: Counter[str] = Counter()
    outcomes: dict[str, str] = {}
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"[:300]
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}#{seen[name]}"
        endings = {child.tag for child in case}
        outcomes[name] = (
            "failed"
            if endings & {"failure", "error"}
            else "skipped"
            if "skipped" in endings
            else "passed"
        )
    return outcomes


def _unreadable() -> InvalidError:
    return InvalidError(
        "The results of the tests cannot be read.",
        next_step="Check that the recipe's tests write JUnit XML to /out/results.xml.",
    )

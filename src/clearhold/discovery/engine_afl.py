"""AFL++ as an engine: the same harnesses as libFuzzer's, built by its compiler, in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clearhold.discovery.engine import LOG_TAIL, Workspace
from clearhold.discovery.engine_libfuzzer import (
    ARTEFACTS_MB,
    MOST_BROUGHT,
    Watch,
    dictionary_of,
    harness_of,
)
from clearhold.discovery.fuzzing import (
    MOST_AT_ONCE,
    UNPACK,
    Round,
    Turn,
    crashing,
    harnessed,
    inputs,
    kept,
)
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build
from clearhold.validation.recipe import Flavour, FuzzTarget, Recipe, Side

_START_S: Final = 45
_MEMORY_MB: Final = 2048

# AFL++ draws on a terminal or is silent, so what it counted is read from the file it leaves at its end; it
# colours its log all the same. It takes no empty input, and names files by colons and commas.
_SEARCH: Final = f"""\
{UNPACK}mkdir found
find seeds -type f -empty -delete
test -n "$(ls seeds)" || printf 0 > seeds/zero
afl-fuzz -i seeds -o found -m none "$@" > log 2>&1
code=$?
tail -c 6000 log | sed 's/\\x1b\\[[0-9;?]*[A-Za-z]//g' >&2
test -s found/default/fuzzer_stats && awk -F' *: *' '
  $1 == "execs_done" {{ n = $2 }} $1 == "edges_found" {{ e = $2 }}
  END {{ printf "\\n#%d AFL cov: %d\\n", n, e }}' found/default/fuzzer_stats >&2
number=0
for crash in found/default/crashes/id* found/default/hangs/id*; do
  test -f "$crash" || continue
  number=$((number + 1))
  cp "$crash" "/out/crash-$number"
  test $number -lt {MOST_AT_ONCE} || break
done
mkdir -p /out/corpus
(cd found/default/queue && ls -Sr | head -n {MOST_BROUGHT} | while read -r each; do
  number=$((number + 1)); cp "$each" "/out/corpus/$number"
done)
exit $code
"""


class Afl:
    """AFL++, from the distribution."""

    name = "afl"
    needs = ("afl++", "clang")

    def fits(self, recipe: Recipe, target: str) -> bool:
        """Whether the target has a native harness."""
        return harnessed(recipe, target)

    def prepare(self, workspace: Workspace, target: str) -> _Prepared:
        """Build the harness with AFL++'s compiler; raises `UnavailableError` without it."""
        fuzz = harness_of(workspace.recipe, target)
        if not workspace.laboratory.toolchain().fuzzer:
            raise UnavailableError(
                "The sandbox finds no AFL++.", next_step="Install it: apt-get install afl++ clang."
            )
        build = workspace.laboratory.build(workspace.recipe, Side.VULNERABLE, flavour=Flavour.AFL)
        return _Prepared(workspace, build, fuzz)


class _Prepared:
    """A harness ready to be searched in rounds."""

    def __init__(self, workspace: Workspace, build: Build, fuzz: FuzzTarget) -> None:
        self._workspace = workspace
        self._build = build
        self._fuzz = fuzz

    def round(self, turn: Turn) -> Round:
        """One round; raises `UnavailableError` when AFL++ could not run at all."""
        watch = Watch(turn.tell)
        outcome = self._workspace.run(self._job(turn), watch)
        log = outcome.stderr.decode("utf-8", "replace")[-LOG_TAIL:]
        crashes = crashing(outcome.artefacts, ("crash-",))
        if not crashes and not watch.executions and outcome.exit_code != 0:
            raise UnavailableError(
                "AFL++ did not start.",
                next_step=f"Read its output: {log.strip()[-300:] or 'there was none'}.",
            )
        corpus = kept(outcome.artefacts, "corpus/", self._fuzz.maximum_bytes)
        return Round(crashes, corpus, watch.executions, watch.edges, log)

    def merged(self, corpus: Mapping[str, bytes]) -> dict[str, bytes]:
        """The inputs as they are: its queue holds only what reached something new."""
        return dict(corpus)

    def _job(self, turn: Turn) -> Job:
        fuzz = self._fuzz
        wall_s = turn.seconds + _START_S
        return Job(
            argv=(
                *("/bin/sh", "-c", _SEARCH, "fuzz"),
                *("-V", str(turn.seconds), "-s", str(turn.seed), "-t", "1000+"),
                *dictionary_of(fuzz, "-x"),
                *("-G", str(fuzz.maximum_bytes), "--", f"/build/{fuzz.binary}"),
            ),
            trees={"/build": self._build.directory},
            files={
                **self._build.recipe.mounted,
                **inputs(turn.corpus),
            },
            env={
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
                "PYTHONPATH": "/recipe",
                "AFL_SKIP_CPUFREQ": "1",
                "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
                "AFL_NO_UI": "1",
                "AFL_NO_AFFINITY": "1",
                "AFL_SKIP_CRASHES": "1",
                "AFL_BENCH_UNTIL_CRASH": "1",
                "ASAN_OPTIONS": "abort_on_error=1:symbolize=0:detect_leaks=0:allocator_may_return_null=1",
                **fuzz.env,
            },
            limits=Limits(
                wall_s=wall_s,
                cpu_s=wall_s,
                memory_mb=_MEMORY_MB,
                processes=64,
                output_kb=4096,
                artefacts_mb=ARTEFACTS_MB,
            ),
        )

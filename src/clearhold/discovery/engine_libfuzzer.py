"""libFuzzer (LLVM) as an engine: coverage-guided search of one harness, in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from clearhold.discovery.engine import LOG_TAIL, Workspace
from clearhold.discovery.fuzzing import UNPACK, Round, Turn, crashing, harnessed, inputs, kept
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.recipe import Flavour, FuzzTarget, Recipe, Side

_STATUS: Final = re.compile(rb"^#(\d{1,15})\s.*?\bcov: (\d{1,9})\b", re.MULTILINE)
_EXECUTIONS: Final = re.compile(rb"stat::number_of_executed_units:\s*(\d{1,15})\b")
_START_S: Final = 15
_MERGE_S: Final = 20
_LINE: Final = 4096
_CRASHED: Final = ("crash-", "leak-", "timeout-", "oom-")
MOST_BROUGHT: Final = 1900
ARTEFACTS_MB: Final = 16

# The working corpus lies where nothing is brought out from; of what grew in it, the smallest inputs
# are, so that a crash never has to fear for its place among thousands of files.
_SEARCH: Final = f"""\
{UNPACK}mkdir corpus
"$@" corpus seeds
code=$?
mkdir -p /out/corpus
(cd corpus && ls -Sr | head -n {MOST_BROUGHT} | xargs -r cp -t /out/corpus)
exit $code
"""
_MERGE: Final = f'{UNPACK}mkdir -p /out/corpus && exec "$@" -merge=1 /out/corpus seeds'


@dataclass(frozen=True, slots=True)
class FuzzResult:
    """What a search found: the crashing input or None, executions, covered edges, the log's end."""

    crash: bytes | None
    executions: int
    edges: int
    log: str


@dataclass(frozen=True, slots=True)
class Harness:
    """A program that is libFuzzer, or holds it, and how it is run.

    `argv` comes before the options, `trees` and `files` are laid out in the sandbox.
    """

    argv: tuple[str, ...]
    maximum_bytes: int
    trees: Mapping[str, Path]
    files: Mapping[str, bytes]
    env: Mapping[str, str]
    memory_mb: int = 2048
    longest_run_s: int = 10
    options: tuple[str, ...] = ()


class LibFuzzer:
    """libFuzzer, which clang brings along."""

    name = "libfuzzer"
    needs = ("clang",)

    def fits(self, recipe: Recipe, target: str) -> bool:
        """Whether the target has a native harness."""
        return harnessed(recipe, target)

    def prepare(self, workspace: Workspace, target: str) -> Prepared:
        """Build the harness, or take it from the cache."""
        build = workspace.laboratory.build(workspace.recipe, Side.VULNERABLE, flavour=Flavour.FUZZ)
        return Prepared(workspace, native_harness(build, target))


class Prepared:
    """A harness ready to be searched in rounds."""

    def __init__(self, workspace: Workspace, harness: Harness) -> None:
        self._workspace = workspace
        self._harness = harness

    def round(self, turn: Turn) -> Round:
        """One round; raises `UnavailableError` when the engine could not run at all."""
        watch = Watch(turn.tell)
        outcome = self._workspace.run(_job(self._harness, turn), watch)
        return _read(outcome, watch, self._harness)

    def merged(self, corpus: Mapping[str, bytes]) -> dict[str, bytes]:
        """The inputs without those that reach nothing the others do not; all when that failed."""
        harness = self._harness
        job = _options(harness, _MERGE, [f"-max_total_time={_MERGE_S}"], wall_s=_MERGE_S + _START_S)
        job = replace(job, files={**job.files, **inputs(corpus)})
        outcome = self._workspace.run(job)
        return kept(outcome.artefacts, "corpus/", harness.maximum_bytes) or dict(corpus)


class Watch:
    """Reads executions and edges from the engine's status lines as pieces of them arrive.

    Whatever runs can write such lines too: the counts are the engine's word, and bounded.
    """

    def __init__(self, tell: Callable[[int, int], None] | None) -> None:
        self._tell = tell
        self._rest = b""
        self.executions = 0
        self.edges = 0

    def __call__(self, piece: bytes) -> None:
        """Take the next piece in."""
        lines, _, self._rest = (self._rest + piece).rpartition(b"\n")
        self._rest = self._rest[-_LINE:]
        for executions, edges in _STATUS.findall(lines):
            self.executions, self.edges = int(executions), int(edges)
        if lines and self._tell is not None:
            self._tell(self.executions, self.edges)


def harness_of(recipe: Recipe, target: str) -> FuzzTarget:
    """The native harness of a target; raises `InvalidError` when there is none."""
    chosen = recipe.target(target).fuzz
    if chosen is None or not chosen.binary:
        raise InvalidError(
            f"The target {target} cannot be fuzzed.", next_step="Choose a target with a harness."
        )
    return chosen


def dictionary_of(chosen: FuzzTarget, option: str) -> tuple[str, ...]:
    """The option that names a harness's dictionary, when it has one."""
    return (f"{option}/recipe/{chosen.dictionary}",) if chosen.dictionary else ()


def native_harness(build: Build, target: str) -> Harness:
    """The harness of a target in its fuzz build; raises `InvalidError` when there is none."""
    chosen = harness_of(build.recipe, target)
    if build.flavour is not Flavour.FUZZ:
        raise InvalidError(
            f"The build {build.flavour} cannot be fuzzed.", next_step="Choose the fuzz build."
        )
    return Harness(
        argv=(f"/build/{chosen.binary}",),
        maximum_bytes=chosen.maximum_bytes,
        trees={"/build": build.directory},
        files=build.recipe.mounted,
        env={
            "PYTHONPATH": "/recipe",
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=0:symbolize=0:handle_abort=1:allocator_may_return_null=1",
            **chosen.env,
        },
        # What the target prints is neither status nor report.
        options=("-close_fd_mask=3", *dictionary_of(chosen, "-dict=")),
    )


def fuzz(
    laboratory: Laboratory,
    build: Build,
    target: str,
    *,
    seed: int,
    budget_s: int,
    seeds: Mapping[str, bytes] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FuzzResult:
    """Search `target` of a fuzz build from `seed` (1 to 2**32 - 1) for `budget_s` seconds, in one go.

    The corpus begins with the recipe's seeds, or with `seeds` by name. `on_progress` is told
    executions and covered edges as they grow. Raises `InvalidError` when the target has no harness
    or the build is not for fuzzing, `UnavailableError` when the engine could not run at all.
    """
    harness = native_harness(build, target)
    corpus = build.recipe.seeds(target) if seeds is None else seeds
    tell = on_progress or (lambda _executions, _edges: None)
    ready = Prepared(Workspace(laboratory, build.recipe), harness)
    done = ready.round(Turn(seed, budget_s, corpus, tell))
    crash = done.crashes[0] if done.crashes else None
    return FuzzResult(crash, done.executions, done.edges, done.log)


def _job(harness: Harness, turn: Turn) -> Job:
    options = [
        f"-seed={turn.seed}",
        f"-max_total_time={turn.seconds}",
        "-print_final_stats=1",
        "-reload=0",
    ]
    job = _options(harness, _SEARCH, options, wall_s=turn.seconds + _START_S)
    return replace(job, files={**job.files, **inputs(turn.corpus)})


def _options(harness: Harness, script: str, options: list[str], *, wall_s: int) -> Job:
    return Job(
        argv=(
            *("/bin/sh", "-c", script, "fuzz"),
            *harness.argv,
            *harness.options,
            *options,
            f"-max_len={harness.maximum_bytes}",
            "-artifact_prefix=/out/",
            f"-timeout={harness.longest_run_s}",
            f"-rss_limit_mb={harness.memory_mb * 3 // 4}",
            f"-malloc_limit_mb={1 << 20}",  # what is too much at once is answered with nothing
        ),
        trees=harness.trees,
        files=harness.files,
        env={
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            **harness.env,
        },
        limits=Limits(
            wall_s=wall_s,
            cpu_s=wall_s,
            memory_mb=harness.memory_mb,
            processes=64,
            output_kb=4096,
            artefacts_mb=ARTEFACTS_MB,
        ),
    )


def _read(outcome: Outcome, watch: Watch, harness: Harness) -> Round:
    log = outcome.stderr.decode("utf-8", "replace")[-LOG_TAIL:]
    crashes = crashing(outcome.artefacts, _CRASHED)
    final = _EXECUTIONS.search(outcome.stderr)
    executions = max(int(final[1]) if final else 0, watch.executions)
    if not crashes and not watch.edges and outcome.exit_code != 0:
        raise UnavailableError(
            "The fuzzer did not start.",
            next_step=f"Read its output: {log.strip()[-300:] or 'there was none'}.",
        )
    corpus = kept(outcome.artefacts, "corpus/", harness.maximum_bytes)
    return Round(crashes, corpus, executions, watch.edges, log)

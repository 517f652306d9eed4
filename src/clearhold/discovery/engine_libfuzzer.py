"""libFuzzer (LLVM) as an engine: coverage-guided search of one harness, in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.recipe import Flavour

_STATUS: Final = re.compile(rb"^#(\d+)\s.*?\bcov: (\d+)", re.MULTILINE)
_EXECUTIONS: Final = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_START_S: Final = 15
_LOG_TAIL: Final = 4000
_CRASHED: Final = ("crash-", "leak-", "timeout-")


@dataclass(frozen=True, slots=True)
class FuzzResult:
    """What a search found: the crashing input or None, executions, covered edges, the log's end."""

    crash: bytes | None
    executions: int
    edges: int
    log: str


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
    """Search `target` of a fuzz build from `seed` (1 to 2**32 - 1) for `budget_s` seconds.

    The corpus begins with the recipe's seeds, or with `seeds` by name. `on_progress` is told
    executions and covered edges as they grow. Raises `InvalidError` when the target has no harness
    or the build is not for fuzzing, `UnavailableError` when the engine could not run at all.
    """
    chosen = build.recipe.target(target)
    if chosen.fuzz is None or build.flavour is not Flavour.FUZZ:
        raise InvalidError(
            f"The target {target} cannot be fuzzed.", next_step="Choose a target with a harness."
        )
    corpus = build.recipe.seeds(target) if seeds is None else seeds
    files = {f"/recipe/{path}": content for path, content in build.recipe.files.items()}
    files |= {f"/in/seeds/{number}": each for number, each in enumerate(corpus.values())}
    watch = _Watch(on_progress)
    outcome = laboratory.sandbox.run(
        Job(
            argv=(
                "/bin/sh",
                "-c",
                'mkdir -p corpus && exec "$@" corpus /in/seeds',
                "fuzz",
                f"/build/{chosen.fuzz.binary}",
                f"-seed={seed}",
                f"-max_total_time={budget_s}",
                f"-max_len={chosen.fuzz.maximum_bytes}",
                "-artifact_prefix=/out/",
                "-timeout=10",
                "-rss_limit_mb=0",
                "-print_final_stats=1",
                "-reload=0",
            ),
            trees={"/build": build.directory},
            files=files,
            env={
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
                "PYTHONPATH": "/recipe",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
                "PYTHONMALLOC": "malloc",
                "ASAN_OPTIONS": "detect_leaks=0:symbolize=0:handle_abort=1:allocator_may_return_null=1",
                **chosen.fuzz.env,
            },
            limits=Limits(
                wall_s=budget_s + _START_S,
                cpu_s=budget_s + _START_S,
                memory_mb=2048,
                processes=64,
                output_kb=4096,
            ),
        ),
        least=laboratory.least,
        on_output=watch,
    )
    log = outcome.stderr.decode("utf-8", "replace")[-_LOG_TAIL:]
    crash = next(
        (
            content
            for path, content in sorted(outcome.artefacts.items())
            if path.startswith(_CRASHED)
        ),
        None,
    )
    final = _EXECUTIONS.search(outcome.stderr)
    executions = int(final[1]) if final else watch.executions
    if crash is None and not watch.edges and outcome.exit_code != 0:
        raise UnavailableError(
            "The fuzzer did not start.",
            next_step=f"Read its output: {log.strip()[-300:] or 'there was none'}.",
        )
    return FuzzResult(crash, max(executions, watch.executions), watch.edges, log)


class _Watch:
    """Reads executions and edges from the engine's status lines as pieces of them arrive."""

    def __init__(self, tell: Callable[[int, int], None] | None) -> None:
        self._tell = tell
        self._rest = b""
        self.executions = 0
        self.edges = 0

    def __call__(self, piece: bytes) -> None:
        lines, _, self._rest = (self._rest + piece).rpartition(b"\n")
        self._rest = self._rest[-4096:]
        for executions, edges in _STATUS.findall(lines):
            self.executions, self.edges = int(executions), int(edges)
        if lines and self._tell is not None:
            self._tell(self.executions, self.edges)

"""Laboratories that share a cache never take a build away from each other, and never use a damaged one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.root_cause import crashes, target

from clearhold.adapters.sandbox_bwrap import argv
from clearhold.ports.sandbox import Job, Outcome, Sandbox, Tier
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.recipe import Flavour, Side

FILES = {f"deep/{number}.so": bytes([number]) * 20_000 for number in range(12)}
THREADS, ROUNDS = 6, 15


class _Compiles(Sandbox):
    """Answers a build with files, and any other job by reading what it was shown, piece by piece."""

    def __init__(self) -> None:
        self.builds = 0
        self._counting = threading.Lock()

    def tier(self) -> Tier:
        return Tier.NAMESPACES

    def run(self, job: Job, *, least: Tier, on_output: object = None) -> Outcome:
        shown = b"gcc 1\ng++ 1\npatch 1\npython3 1\n"
        if any(place.startswith("/src/") for place in job.trees):
            with self._counting:
                self.builds += 1
        for tree in (each for place, each in job.trees.items() if place == "/build"):
            real = argv.source(tree, forbidden=(), group=None)
            shown = b"".join((real / name).read_bytes() for name in FILES)
        return Outcome(
            exit_code=0,
            signal=None,
            timed_out=False,
            out_of_memory=False,
            output_truncated=False,
            stdout=shown,
            stderr=b"",
            artefacts=FILES,
            wall_s=0.1,
            peak_memory_mb=1,
            tier=Tier.NAMESPACES,
        )


ARCHIVES = [target.archive(target.source(fixed=each)) for each in ((), target.FLAWS)]
RECIPE = target.recipe(ARCHIVES[0], ARCHIVES[1], crashes.benign())


def _build(laboratory: Laboratory) -> Build:
    return laboratory.build(RECIPE, Side.VULNERABLE, flavour=Flavour.PLAIN)


def test_what_one_laboratory_mends_another_can_go_on_using(tmp_path: Path) -> None:
    sources = target.OwnSources(tmp_path / "own", ARCHIVES)
    sandboxes = (_Compiles(), _Compiles())
    two = [Laboratory(each, sources, tmp_path / "cache") for each in sandboxes]
    whole = b"".join(FILES.values())
    kept = _build(two[0])
    start = threading.Barrier(THREADS)

    def rounds(number: int) -> Iterator[bytes]:
        for at in range(ROUNDS):
            start.wait()
            if number == at % THREADS:
                (kept.directory / "deep" / "3.so").write_bytes(b"damaged")
            start.wait()
            build = _build(two[number % 2])
            job = Job(argv=("/bin/true",), trees={"/build": build.directory})
            yield two[number % 2].run(job).stdout

    def work(number: int) -> set[bytes]:
        try:
            return set(rounds(number))
        except BaseException:
            start.abort()  # nobody waits for a thread that is gone
            raise

    with ThreadPoolExecutor(THREADS) as pool:
        assert set().union(*pool.map(work, range(THREADS))) == {whole}
    assert sum(each.builds for each in sandboxes) == 1 + ROUNDS

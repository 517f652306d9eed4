"""What the sandbox costs a run, beside the same program started plainly and under bare bubblewrap."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

from benchmarks.escapes import of_tier
from benchmarks.figure import Figure
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier

_GOALS_MS = {50: 15.0, 95: 30.0}  # what is added to a plain start of the program
# A kernel is started for each run: the fifteen of a validation shall stay within nine seconds.
_GOALS_OF_GVISOR_MS = {50: 600.0, 95: 1200.0}
_TRUE = "/usr/bin/true"  # ours, harmless: it alone is run without the sandbox, as the peer


def run(*, full: bool) -> Iterator[Figure]:
    """The time of `/usr/bin/true` within and without, p50 and p95, at every tier there is."""
    times = 300 if full else 60
    for wanted in reversed(Tier):
        if wanted is Tier.NONE:
            continue
        with of_tier(wanted) as sandbox:
            if sandbox.tier() is wanted:
                yield from _measured(sandbox, wanted, times)


def _measured(sandbox: BubblewrapSandbox, tier: Tier, times: int) -> Iterator[Figure]:
    job = Job(argv=(_TRUE,))
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: sandbox.run(job, least=Tier.NAMESPACES),
        "plain subprocess": lambda: subprocess.run([_TRUE], check=True),
    }
    if bwrap := shutil.which("bwrap"):
        words = [
            bwrap,
            "--unshare-all",
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/lib",
            "/lib",
        ]
        words += ["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", _TRUE]
        ways["bare bubblewrap"] = lambda: subprocess.run(words, check=True, env={})
    taken: dict[str, list[float]] = {name: [] for name in ways}
    sandbox.run(job, least=Tier.NAMESPACES)
    for _ in range(times):  # in turns, so that whatever else the machine does meets all alike
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - began) * 1000)
    goals = _GOALS_OF_GVISOR_MS if tier is Tier.GVISOR else _GOALS_MS
    for percent, goal in goals.items():
        name = f"p{percent}"
        value = {way: statistics.quantiles(each, n=100)[percent - 1] for way, each in taken.items()}
        for peer in list(ways)[1:]:
            added = value["ours"] - value["plain subprocess"]
            yield Figure(
                bench="sandbox",
                figure=f"{name} of one run at tier {tier.name.lower()}, {added:.1f} ms added",
                input=f"runs of {_TRUE}",
                size=times,
                ours=round(value["ours"], 2),
                unit="ms",
                peer=peer,
                peer_value=round(value[peer], 2),
                ratio=round(value["ours"] / value[peer], 2),
                goal=goal,
                met=added <= goal,
            )

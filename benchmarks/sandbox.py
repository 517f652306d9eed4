"""What the sandbox costs a run, beside the same program started plainly and under bare bubblewrap."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

from benchmarks.figure import Figure
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier

_GOAL_P50_MS, _GOAL_P95_MS = 15.0, 30.0
_TRUE = "/usr/bin/true"  # ours, harmless: it alone is run without the sandbox, as the peer


def run(*, full: bool) -> Iterator[Figure]:
    """The time of `/usr/bin/true` within and without, p50 and p95, at every tier there is."""
    times = 300 if full else 60
    for counted in (True, False):
        with BubblewrapSandbox(slots=1, use_cgroup=counted) as sandbox:
            tier = sandbox.tier()
            if tier is Tier.NONE or (counted and tier is Tier.NAMESPACES):
                continue
            yield from _measured(sandbox, tier, times)


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
    for name, goal, at in (("p50", _GOAL_P50_MS, 49), ("p95", _GOAL_P95_MS, 94)):
        value = {way: statistics.quantiles(each, n=100)[at] for way, each in taken.items()}
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
                met=value["ours"] <= goal,
            )

"""What the sandbox costs a run, beside the same program started plainly."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from benchmarks.figure import Figure, median_seconds
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier

_GOAL_MS = 15.0


def run(*, full: bool) -> Iterator[Figure]:
    """The median time of `/bin/true` inside and outside, in milliseconds."""
    times = 300 if full else 50
    with BubblewrapSandbox(slots=1) as sandbox:
        job = Job(argv=("/usr/bin/true",))
        sandbox.run(job, least=Tier.NAMESPACES)
        ours = median_seconds(lambda: sandbox.run(job, least=Tier.NAMESPACES), times=times)
        tier = sandbox.tier().name.lower()
    plain = median_seconds(lambda: subprocess.run(["/usr/bin/true"], check=True), times=times)
    yield Figure(
        bench="sandbox",
        figure=f"p50 of one run at tier {tier}",
        input="runs of /usr/bin/true",
        size=times,
        ours=round(ours * 1000, 2),
        unit="ms",
        peer="plain subprocess",
        peer_value=round(plain * 1000, 2),
        ratio=round(ours / plain, 2),
        goal=_GOAL_MS,
        met=ours * 1000 <= _GOAL_MS,
    )

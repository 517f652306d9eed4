"""What gets out of the sandbox, or takes the machine down from within it, at every tier there is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from benchmarks.figure import Figure
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, Probe, attacks
from clearhold.adapters.sandbox_bwrap.probes import EXPECTED
from clearhold.adapters.sandbox_gvisor import GvisorSandbox
from clearhold.ports.sandbox import Tier


def of_tier(wanted: Tier) -> BubblewrapSandbox:
    """The sandbox that gives a tier, where this machine has it; else one of another or none."""
    if wanted is Tier.GVISOR:
        return GvisorSandbox(slots=1)
    return BubblewrapSandbox(slots=1, use_cgroup=wanted is Tier.NAMESPACES_CGROUP)


def run(*, full: bool) -> Iterator[Figure]:
    """How many escape probes and hostile programs got through; each is told on standard error."""
    rounds = 10 if full else 1
    for wanted in reversed(Tier):
        if wanted is Tier.NONE:
            continue
        with of_tier(wanted) as sandbox:
            tier = sandbox.tier()
            if tier is not wanted:
                print(f"{wanted.name.lower()}: not on this machine", file=sys.stderr)
                continue
            yield _through(tier, "escape probes", sandbox.report(), rounds=1)
            programs = (each for _ in range(rounds) for each in attacks(sandbox))
            yield _through(tier, "hostile programs", programs, rounds=rounds)


def _through(tier: Tier, what: str, trials: Iterable[Probe], *, rounds: int) -> Figure:
    size = through = 0
    for trial in trials:
        if what == "escape probes" and trial.name not in EXPECTED:
            continue  # how memory is limited decides the tier and is no escape
        size += 1
        through += not trial.passed
        word = "held" if trial.passed else "GOT THROUGH"
        print(
            f"{tier.name.lower():<18} {word:<12} {trial.name:<36} {trial.detail[:90]}",
            file=sys.stderr,
        )
    return Figure(
        bench="escapes",
        figure=f"{what} that got through at tier {tier.name.lower()}",
        input=f"{what}, {rounds} times",
        size=size,
        ours=through,
        unit="got through",
        peer="allowed",
        peer_value=0,
        ratio=0,
        goal=0,
        met=through == 0 and size > 0,
    )

"""A sandbox of each kind this machine gives, and hostile programs that run nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.adapters.sandbox_gvisor import GvisorSandbox
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

SMALL = Limits(wall_s=8, cpu_s=8, memory_mb=512, processes=64, scratch_mb=64, output_kb=64)
# Whatever a hostile program does, it first makes sure that it is not in the tests' own namespace.
GUARD = "import os,sys\nif os.readlink('/proc/self/ns/pid')==sys.argv[1]: sys.exit(99)\n"
NAMESPACE = str(Path("/proc/self/ns/pid").readlink())


def _ready(sandbox: BubblewrapSandbox, least: Tier) -> BubblewrapSandbox:
    if sandbox.tier() < least:
        failed = [f"{each.name}: {each.detail}" for each in sandbox.report() if not each.passed]
        reason = f"this machine gives {sandbox.tier().name}, not {least.name} ({failed})"
        if os.environ.get("CI") and least is Tier.NAMESPACES:
            pytest.fail(reason)
        pytest.skip(reason)
    return sandbox


@pytest.fixture(scope="session")
def watched() -> Iterator[BubblewrapSandbox]:
    """A sandbox whose memory is watched, without control groups."""
    with BubblewrapSandbox(slots=2, use_cgroup=False) as sandbox:
        yield _ready(sandbox, Tier.NAMESPACES)


@pytest.fixture(scope="session", params=["gvisor", "control groups", "watched"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[BubblewrapSandbox]:
    """Every kind, one after the other."""
    if request.param == "gvisor":
        with GvisorSandbox(slots=2) as strongest:
            yield _ready(strongest, Tier.GVISOR)
        return
    counted = request.param == "control groups"
    with BubblewrapSandbox(slots=2, use_cgroup=counted) as made:
        yield _ready(made, Tier.NAMESPACES_CGROUP if counted else Tier.NAMESPACES)


Attack = Callable[..., Outcome]


@pytest.fixture
def attack(sandbox: BubblewrapSandbox) -> Attack:
    """Runs hostile Python in the sandbox: `attack(code, limits=..., **fields of Job)`."""

    def run(code: str, limits: Limits = SMALL, **fields: object) -> Outcome:
        argv = ("python3", "-I", "-S", "-c", GUARD + code, NAMESPACE)
        job = replace(Job(argv=argv, limits=limits), **fields)  # type: ignore[arg-type]
        return sandbox.run(job, least=Tier.NAMESPACES)

    return run

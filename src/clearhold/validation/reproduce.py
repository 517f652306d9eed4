"""Runs a proof against a build, several times, and reads each run through the target's oracle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from clearhold.kernel.errors import TooLargeError
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.crash import Crash
from clearhold.validation.oracles import Observation, RunKind, oracle
from clearhold.validation.recipe import Target

MAXIMUM_PROOF_BYTES = 4 * 1024 * 1024
STREAMS = ("stdout", "stderr", "report")
KEPT_BEGINNING = 48 * 1024
KEPT_END = 16 * 1024
RUN_PROCESSES = 64
_PATIENCE = 6.0  # a busy machine costs a run more of the clock, and a finder no verdict
_COMMON_ENV: Mapping[str, str] = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONPATH": "/build",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one proof: what the oracle saw and what the sandbox measured.

    Seconds and MB are the sandbox's; the hashes are SHA-256 of what the run printed and of the
    sanitizer's report, which may hold embargoed detail and are therefore kept apart, in `printed`,
    by the names in `STREAMS`: those that hold anything, long ones without their middle. `other`
    marks a violation of another class than the oracle is for.
    """

    kind: RunKind
    reason: str
    signature: tuple[str, ...]
    crash: Crash | None
    report: bytes
    exit_code: int | None
    signal: int | None
    wall_s: float
    peak_memory_mb: float
    randomised: bool
    tier: Tier
    stdout_sha256: str
    stderr_sha256: str
    report_sha256: str
    other: bool = False
    printed: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a proof is run: argument vector, environment and limits, as evidence records them."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    limits: Limits


def invocation(build: Build, target_name: str) -> Invocation:
    """The argument vector, environment and limits of runs of a target of `build`."""
    recipe = build.recipe
    target = recipe.target(target_name)
    return Invocation(
        argv=target.argv,
        env={
            **_COMMON_ENV,
            **oracle(target.oracle).env(build.toolchain, target.host),
            **target.env,
        },
        limits=Limits(
            wall_s=recipe.limits.run_s,
            patience=_PATIENCE,
            cpu_s=recipe.limits.run_s + 1,
            memory_mb=recipe.limits.memory_mb,
            processes=RUN_PROCESSES,
        ),
    )


def reproduce(
    laboratory: Laboratory,
    build: Build,
    *,
    target: str,
    proof: bytes,
    runs: int,
    randomise: bool = False,
) -> tuple[Run, ...]:
    """Run `proof` against `target` of `build`, `runs` times, as many at once as there are workers.

    With `randomise`, address space layout randomisation stays on. Raises `TooLargeError` for a
    proof above `MAXIMUM_PROOF_BYTES` and what the sandbox raises.
    """
    return tuple(
        read
        for (read,) in run_many(
            laboratory, build, target=target, proofs=[proof] * runs, runs=1, randomise=randomise
        )
    )


def run_many(
    laboratory: Laboratory,
    build: Build,
    *,
    target: str,
    proofs: Sequence[bytes],
    runs: int,
    randomise: bool = False,
    symbolise: bool = True,
) -> tuple[tuple[Run, ...], ...]:
    """Run each of several proofs `runs` times against one build; one tuple of runs per proof.

    Without `symbolise`, sanitizers leave names out of their reports, which takes a fraction of the
    time: for whoever only asks whether there is a violation, since signatures then say nothing.
    """
    for proof in proofs:
        if len(proof) > MAXIMUM_PROOF_BYTES:
            raise TooLargeError(
                f"The proof is larger than {MAXIMUM_PROOF_BYTES} bytes.",
                next_step="Minimise it.",
            )
    chosen = build.recipe.target(target)
    judge = oracle(chosen.oracle)
    jobs = {proof: _job(build, target, proof, randomise=randomise) for proof in set(proofs)}
    if not symbolise:
        jobs = {proof: _without_names(job) for proof, job in jobs.items()}
    with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
        references = dict(
            zip(
                jobs,
                pool.map(lambda proof: _reference(laboratory, build, chosen, proof), jobs),
                strict=True,
            )
        )
        ordered = [proof for proof in proofs for _ in range(runs)]
        outcomes = list(pool.map(lambda proof: laboratory.run(jobs[proof]), ordered))
    read = [
        _run(outcome, judge.observe(outcome, references[proof]), randomised=randomise)
        for proof, outcome in zip(ordered, outcomes, strict=True)
    ]
    return tuple(tuple(read[start : start + runs]) for start in range(0, len(read), runs))


def printed_by(
    laboratory: Laboratory, build: Build, *, target: str, proof: bytes
) -> tuple[bytes, bytes]:
    """What one run of a proof writes to its two outputs, as far as the sandbox keeps it."""
    outcome = laboratory.run(_job(build, target, proof, randomise=False))
    return outcome.stdout, outcome.stderr


def vary(
    laboratory: Laboratory, build: Build, *, target: str, proof: bytes
) -> dict[str, tuple[str, bytes]]:
    """Variants of a proof by name, each with the target it is for; none when the recipe has none.

    The recipe's own program makes them in the sandbox from the proof as data.
    """
    chosen = build.recipe.target(target)
    if not chosen.vary:
        return {}
    how = invocation(build, target)
    outcome = laboratory.run(
        Job(
            argv=("/usr/bin/python3", "-s", f"/recipe/{chosen.vary}", "/in/proof"),
            trees={"/build": build.directory},
            files=_inputs(build, proof),
            env=how.env,
            limits=how.limits,
        )
    )
    varied = {}
    for path, content in sorted(outcome.artefacts.items()):
        variant_of, _, name = path.partition("--")
        if name and variant_of in build.recipe.targets and len(content) <= MAXIMUM_PROOF_BYTES:
            varied[path] = (variant_of, content)
    return varied


def _job(build: Build, target: str, proof: bytes, *, randomise: bool) -> Job:
    how = invocation(build, target)
    job = Job(
        argv=how.argv,
        trees={"/build": build.directory},
        files=_inputs(build, proof),
        env=how.env,
        limits=how.limits,
        randomise=randomise,
    )
    chosen = build.recipe.target(target)
    return oracle(chosen.oracle).prepare(job, chosen.host)


def _inputs(build: Build, proof: bytes) -> dict[str, bytes]:
    return {**build.recipe.mounted, "/in/proof": proof}


def _without_names(job: Job) -> Job:
    """The job with sanitizers told not to look names up; of one option given twice the last counts."""
    env = {
        name: f"{value}:symbolize=0" if name.endswith("SAN_OPTIONS") else value
        for name, value in job.env.items()
    }
    return replace(job, env=env)


def _reference(laboratory: Laboratory, build: Build, target: Target, proof: bytes) -> bytes | None:
    """What the reference implementation makes of the proof, without the build in reach."""
    if not target.reference:
        return None
    outcome = laboratory.run(
        Job(
            argv=target.reference,
            files=_inputs(build, proof),
            env=dict(_COMMON_ENV),
            limits=Limits(wall_s=build.recipe.limits.run_s),
        )
    )
    return outcome.artefacts.get("result")


def _run(outcome: Outcome, seen: Observation, *, randomised: bool) -> Run:
    return Run(
        kind=seen.kind,
        reason=seen.reason,
        signature=seen.signature,
        crash=seen.crash,
        report=seen.report,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        wall_s=outcome.wall_s,
        peak_memory_mb=outcome.peak_memory_mb,
        randomised=randomised,
        tier=outcome.tier,
        stdout_sha256=hashlib.sha256(outcome.stdout).hexdigest(),
        stderr_sha256=hashlib.sha256(outcome.stderr).hexdigest(),
        report_sha256=hashlib.sha256(seen.report).hexdigest(),
        other=seen.other,
        printed={
            name: kept(content)
            for name, content in zip(
                STREAMS, (outcome.stdout, outcome.stderr, seen.report), strict=True
            )
            if content
        },
    )


def kept(stream: bytes) -> bytes:
    """What is kept of a stream: all of it, or its beginning and end with what lacks between told."""
    left_out = len(stream) - KEPT_BEGINNING - KEPT_END
    if left_out <= 0:
        return stream
    told = f"\n[{left_out} bytes left out]\n".encode()
    return stream[:KEPT_BEGINNING] + told + stream[-KEPT_END:]

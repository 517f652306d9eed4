"""Evidence of a reproduction: an in-toto Statement v1 that a stranger can replay.

The subjects are the proof and the two builds, by SHA-256; the predicate holds the proof when it is
small, every hash, argument vector, environment, limit, isolation tier as measured, and each run.
Logs are named by hash alone, since they may hold embargoed detail (`logs` keeps them apart).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.validation.builder import Build
from clearhold.validation.examination import Examination, Second
from clearhold.validation.oracles import oracle
from clearhold.validation.reproduce import Run, invocation
from clearhold.wire import dsse

PREDICATE_TYPE: Final = "urn:clearhold:attestation:reproduction:v0.1"
LARGEST_PROOF_WITHIN: Final = 256 * 1024


def statement(done: Examination, proof: bytes) -> bytes:
    """The unsigned statement of an examination of `proof` that ran something.

    A proof of up to `LARGEST_PROOF_WITHIN` bytes is part of it, so that it can be replayed from
    the evidence alone. Raises `InvalidError` when nothing was built.
    """
    if done.vulnerable_build is None:
        raise InvalidError("Nothing was run, so there is nothing to attest.")
    builds = {"vulnerable": done.vulnerable_build}
    if done.fixed_build is not None:
        builds["fixed"] = done.fixed_build
    how = invocation(done.vulnerable_build, done.target)
    judge = oracle(done.recipe.target(done.target).oracle)
    predicate: dict[str, Any] = {
        "recipe": {"name": done.recipe.name, "sha256": done.recipe.digest},
        "release": msgspec.to_builtins(done.release),
        "target": done.target,
        "proof": {
            "sha256": done.proof_sha256,
            "base64": base64.b64encode(proof).decode()
            if len(proof) <= LARGEST_PROOF_WITHIN
            else "",
        },
        "claim": {
            "violation": done.claim.violation,
            "version": done.claim.version,
            "frames": list(done.claim.frames),
            "toolchain": done.claim.toolchain,
        },
        "builds": {side: _build(build) for side, build in builds.items()},
        "run": {
            "argv": list(how.argv),
            "env": dict(how.env),
            "limits": {
                "wall_s": how.limits.wall_s,
                "cpu_s": how.limits.cpu_s,
                "memory_mb": how.limits.memory_mb,
                "processes": how.limits.processes,
            },
        },
        "oracle": {"name": judge.name, "version": judge.version},
        "control": None if done.control is None else _run(done.control),
        "vulnerable": [_run(run) for run in done.vulnerable],
        "further": [_run(run) for run in done.further],
        "fixed": [_run(run) for run in done.fixed],
        "second": None if done.second is None else _second(done.second),
        "minimised": {"bytes": len(done.smallest), "runs": done.minimising_runs},
        "verdict": {
            "label": done.verdict.label,
            "level": done.verdict.level,
            "reason": done.verdict.reason,
            "signature": list(done.verdict.signature),
        },
    }
    subjects = (
        dsse.Subject("proof", done.proof_sha256),
        *(dsse.Subject(f"build/{side}", build.digest) for side, build in builds.items()),
    )
    return dsse.write_statement(dsse.Statement(subjects, PREDICATE_TYPE, predicate))


def _second(second: Second) -> dict[str, Any]:
    return {
        "builds": {
            "vulnerable": _build(second.vulnerable_build),
            "fixed": _build(second.fixed_build),
        },
        "vulnerable": [_run(run) for run in second.vulnerable],
        "fixed": [_run(run) for run in second.fixed],
    }


def _build(build: Build) -> dict[str, Any]:
    return {
        "key": build.key,
        "version": build.version,
        "flavour": str(build.flavour),
        "source_sha256": build.source_digest,
        "patch_sha256": build.patch_digest,
        "toolchain": list(build.toolchain.versions),
        "toolchain_sha256": build.toolchain.digest,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "kind": str(run.kind),
        "reason": run.reason,
        "signature": list(run.signature),
        "exit_code": run.exit_code,
        "signal": run.signal,
        "wall_ms": round(run.wall_s * 1000),
        "peak_memory_mb": round(run.peak_memory_mb),
        "randomised": run.randomised,
        "isolation": run.tier.name.lower(),
        "stdout_sha256": run.stdout_sha256,
        "stderr_sha256": run.stderr_sha256,
        "report_sha256": run.report_sha256,
        "kept_sha256": {
            name: hashlib.sha256(content).hexdigest() for name, content in run.printed.items()
        },
    }

"""Makes a proof smaller while it still shows the same violation (delta debugging, ddmin).

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), over bytes and
within a budget of runs: the outcome is small, not always one-minimal.
"""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.crash import similar
from clearhold.validation.oracles import RunKind
from clearhold.validation.reproduce import Run, run_many

DEFAULT_BUDGET = 24
_FIRST_PARTS = 2


@dataclass(frozen=True, slots=True)
class Minimised:
    """The smaller proof, how many runs were spent on finding it, and its own run.

    `run` is None when nothing smaller was found.
    """

    proof: bytes
    runs: int
    run: Run | None = None


def minimise(
    laboratory: Laboratory,
    build: Build,
    *,
    target: str,
    proof: bytes,
    signature: tuple[str, ...],
    budget: int = DEFAULT_BUDGET,
) -> Minimised:
    """The smallest proof found in `budget` runs whose violation is still like `signature`."""
    spent = 0
    parts = _FIRST_PARTS
    shown: Run | None = None
    while spent < budget and len(proof) > 1:
        parts = min(parts, len(proof))
        size = -(-len(proof) // parts)
        candidates = [
            proof[:start] + proof[start + size :] for start in range(0, len(proof), size)
        ][: budget - spent]
        smaller = None
        for first in range(0, len(candidates), laboratory.workers):
            batch = candidates[first : first + laboratory.workers]
            spent += len(batch)
            seen = run_many(laboratory, build, target=target, proofs=batch, runs=1)
            smaller = next(
                (
                    (candidate, run)
                    for candidate, (run,) in zip(batch, seen, strict=True)
                    if run.kind is RunKind.VIOLATION and similar(run.signature, signature)
                ),
                None,
            )
            if smaller is not None:
                break
        if smaller is not None:
            (proof, shown), parts = smaller, max(parts - 1, _FIRST_PARTS)
        elif parts >= len(proof):
            break
        else:
            parts *= 2
    return Minimised(proof, spent, shown)

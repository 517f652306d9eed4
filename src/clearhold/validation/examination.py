"""One validation from end to end: build, reproduce, minimise, compare with the fix, decide."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clearhold.kernel.errors import ClearholdError
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.minimise import DEFAULT_BUDGET, minimise
from clearhold.validation.oracles import RunKind, oracle
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import Run, reproduce
from clearhold.validation.verdict import (
    EXHAUSTED,
    FIRST_RUNS,
    FIXED_RUNS,
    Claim,
    Verdict,
    VerdictKind,
    decide,
    runs_wanted,
)


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was done with one proof, and the verdict.

    `smallest` is the minimised proof, or the proof itself; `further` are the runs with address
    space layout randomisation and on the plain build that precede a refusal. The builds are None
    when the environment failed before they were made.
    """

    recipe: Recipe
    target: str
    proof_sha256: str
    claim: Claim
    verdict: Verdict
    vulnerable_build: Build | None = None
    fixed_build: Build | None = None
    control: Run | None = None
    vulnerable: tuple[Run, ...] = ()
    further: tuple[Run, ...] = ()
    fixed: tuple[Run, ...] = ()
    smallest: bytes = b""
    minimising_runs: int = 0


def examine(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    target: str,
    proof: bytes,
    claim: Claim | None = None,
    compare_with_fix: bool = True,
    minimising_runs: int = DEFAULT_BUDGET,
) -> Examination:
    """Validate `proof` against `target` of `recipe`.

    Without `compare_with_fix`, the fixed side is withheld, as it is for every new bug. A failure
    of sources, compilers or the build becomes the verdict `environment_failure`; the sandbox
    being absent is raised as `UnavailableError` by the first job.
    """
    claim = claim or Claim()
    proof_sha256 = hashlib.sha256(proof).hexdigest()
    flavour = recipe.target(target).flavour
    sides = [Side.VULNERABLE]
    if compare_with_fix and Side.FIXED in recipe.sides:
        sides.append(Side.FIXED)
    laboratory.toolchain()
    try:
        with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
            builds = list(
                pool.map(lambda side: laboratory.build(recipe, side, flavour=flavour), sides)
            )
    except ClearholdError as error:
        stage = "build" if isinstance(error, BuildFailedError) else "fetch"
        verdict = Verdict(VerdictKind.ENVIRONMENT_FAILURE, 0, error.message, stage)
        return Examination(recipe, target, proof_sha256, claim, verdict)
    build = builds[0]
    control = reproduce(laboratory, build, target=target, proof=recipe.control(target), runs=1)[0]
    runs = reproduce(laboratory, build, target=target, proof=proof, runs=FIRST_RUNS)
    if wanted := runs_wanted(runs):
        runs += reproduce(laboratory, build, target=target, proof=proof, runs=wanted)
    further: tuple[Run, ...] = ()
    fixed: tuple[Run, ...] = ()
    smallest, spent = proof, 0
    plain: tuple[Run, ...] | None = None
    if all(run.kind is RunKind.CLEAN for run in runs):
        further = _further_runs(laboratory, build, target, proof)
    elif control.kind is RunKind.CLEAN:
        if any(run.signature[:1] == (EXHAUSTED,) for run in runs):
            plain = _plain_runs(laboratory, build, target, proof)
        signature = next((run.signature for run in runs if run.kind is RunKind.VIOLATION), ())
        if signature and minimising_runs:
            found = minimise(
                laboratory,
                build,
                target=target,
                proof=proof,
                signature=signature,
                budget=minimising_runs,
            )
            smallest, spent = found.proof, found.runs
        if len(builds) > 1:
            fixed = tuple(
                run
                for candidate in dict.fromkeys((proof, smallest))
                for run in reproduce(
                    laboratory, builds[1], target=target, proof=candidate, runs=FIXED_RUNS
                )
            )
    verdict = decide(
        (*runs, *further),
        fixed=fixed if len(builds) > 1 else None,
        control=control,
        claim=claim,
        build_key=build.key,
        observed=oracle(recipe.target(target).oracle).claim,
        fixed_version=builds[1].version if len(builds) > 1 else "",
        minimised=bool(spent),
        plain=plain,
    )
    return Examination(
        recipe=recipe,
        target=target,
        proof_sha256=proof_sha256,
        claim=claim,
        verdict=verdict,
        vulnerable_build=build,
        fixed_build=builds[1] if len(builds) > 1 else None,
        control=control,
        vulnerable=runs,
        further=(*further, *(plain or ())),
        fixed=fixed,
        smallest=smallest,
        minimising_runs=spent,
    )


def _further_runs(
    laboratory: Laboratory, build: Build, target: str, proof: bytes
) -> tuple[Run, ...]:
    """What is tried before a refusal: layout randomisation on, and the build as users have it."""
    again = reproduce(
        laboratory, build, target=target, proof=proof, runs=FIRST_RUNS, randomise=True
    )
    if build.flavour is Flavour.PLAIN:
        return again
    return again + _plain_runs(laboratory, build, target, proof)


def _plain_runs(laboratory: Laboratory, build: Build, target: str, proof: bytes) -> tuple[Run, ...]:
    """Runs on the build as users have it; none when the recipe does not make one."""
    if Flavour.PLAIN not in build.recipe.build.flavours:
        return ()
    plain = laboratory.build(build.recipe, build.side, flavour=Flavour.PLAIN)
    return reproduce(laboratory, plain, target=target, proof=proof, runs=FIRST_RUNS)

"""One validation from end to end: build, reproduce, minimise, compare with the fix, decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from clearhold.kernel.errors import ClearholdError, UnavailableError
from clearhold.ports.sandbox import Tier
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.crash import TRACE_FRAMES, top_functions
from clearhold.validation.minimise import DEFAULT_BUDGET, minimise
from clearhold.validation.oracles import RunKind, oracle
from clearhold.validation.recipe import BY_CLANG, Flavour, Recipe, Side, SideSource, Target
from clearhold.validation.releases import at_release
from clearhold.validation.reproduce import Run, reproduce
from clearhold.validation.verdict import (
    EXHAUSTED,
    FIRST_RUNS,
    MINIMISED_LEVEL,
    Claim,
    Verdict,
    VerdictKind,
    decide,
    runs_wanted,
)

_CLANG: Final = "clang"


@dataclass(frozen=True, slots=True)
class Second:
    """Runs of the same proof on both sides as another compiler built them."""

    vulnerable_build: Build
    fixed_build: Build
    vulnerable: tuple[Run, ...]
    fixed: tuple[Run, ...]

    @property
    def agrees(self) -> bool:
        """Whether every run shows on each side what the first environment showed there."""
        shown = all(run.kind is RunKind.VIOLATION and not run.other for run in self.vulnerable)
        return shown and all(run.kind is RunKind.CLEAN for run in self.fixed)


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was done with one proof, and the verdict.

    `smallest` is the minimised proof, or the proof itself; `vulnerable` are the runs that decided,
    on `vulnerable_build`, and `further` those in other settings; `trace` is that of the smallest. The builds are None when the
    environment failed before they were made; `second` is None when there was no other compiler, or
    nothing to confirm; `release` is what stands in place of the recipe's own vulnerable side.
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
    trace: tuple[str, ...] = ()
    second: Second | None = None
    release: SideSource | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run that was made to decide, those that decided first."""
        control = () if self.control is None else (self.control,)
        second = () if self.second is None else (*self.second.vulnerable, *self.second.fixed)
        return (*self.vulnerable, *self.fixed, *control, *self.further, *second)


@dataclass(frozen=True, slots=True)
class _Setting:
    """How the runs that decide were made, in the words of the reason."""

    build: Build
    randomise: bool = False
    words: str = ""


def examine(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    target: str,
    proof: bytes,
    claim: Claim | None = None,
    compare_with_fix: bool = True,
    minimising_runs: int = DEFAULT_BUDGET,
    second_environment: bool = False,
    release: SideSource | None = None,
) -> Examination:
    """Validate `proof` against `target` of `recipe`, at `release` in place of its vulnerable side.

    Without `compare_with_fix`, the fixed side is withheld, as it is for every new bug. With
    `second_environment`, a proof that reached level 3 is tried with another compiler as well. What
    the machine lacks becomes a verdict too: `environment_failure` or `not_validated`.
    """
    claim = claim or Claim()
    recipe = at_release(recipe, release)
    chosen = recipe.target(target)
    sides = [Side.VULNERABLE]
    if compare_with_fix and Side.FIXED in recipe.sides:
        sides.append(Side.FIXED)
    nothing = Examination(
        recipe,
        target,
        hashlib.sha256(proof).hexdigest(),
        claim,
        _unfit(laboratory, chosen) or Verdict(VerdictKind.NOT_VALIDATED, 0, ""),
        release=release,
    )
    if nothing.verdict.reason:
        return nothing
    builds = _build(laboratory, recipe, sides, chosen.flavour, host=chosen.host)
    if isinstance(builds, Verdict):
        return replace(nothing, verdict=builds)
    try:
        done = _examine(laboratory, nothing, builds, proof=proof, minimising_runs=minimising_runs)
        return _confirmed_twice(laboratory, done, proof) if second_environment else done
    except BuildFailedError as error:
        verdict = Verdict(VerdictKind.ENVIRONMENT_FAILURE, 0, error.message, "build")
        return replace(nothing, verdict=verdict)


def _examine(
    laboratory: Laboratory,
    about: Examination,
    builds: Sequence[Build],
    *,
    proof: bytes,
    minimising_runs: int,
) -> Examination:
    """What runs on the builds of the two sides, or of the one, show of a proof."""
    target, vulnerable = about.target, builds[0]
    benign = about.recipe.control(target)
    control = reproduce(laboratory, vulnerable, target=target, proof=benign, runs=1)[0]
    setting, runs, further = _until_shown(
        laboratory, vulnerable, target, proof, named=about.claim.toolchain
    )
    shown = next((run for run in runs if run.kind is RunKind.VIOLATION), None)
    signature = () if shown is None else shown.signature
    smallest, spent = proof, 0
    fixed: tuple[Run, ...] = ()
    fixed_build = builds[1] if len(builds) > 1 else None
    plain: tuple[Run, ...] | None = None
    if signature and control.kind is RunKind.CLEAN:
        if any(run.signature[:1] == (EXHAUSTED,) for run in runs):
            plain = _plain_runs(laboratory, vulnerable, target, proof)
        if minimising_runs and not setting.randomise:
            found = minimise(
                laboratory,
                setting.build,
                target=target,
                proof=proof,
                signature=signature,
                budget=minimising_runs,
            )
            smallest, spent, shown = found.proof, found.runs, found.run or shown
        if fixed_build is not None:
            fixed_build = laboratory.build(about.recipe, Side.FIXED, flavour=setting.build.flavour)
            fixed = _fixed_runs(
                laboratory, fixed_build, target, (proof, smallest), like=(setting, runs)
            )
    verdict = decide(
        runs if signature else (*runs, *further),
        fixed=None if fixed_build is None else fixed,
        control=control,
        claim=about.claim,
        build_key=vulnerable.key,
        observed=oracle(about.recipe.target(target).oracle).claim,
        fixed_version="" if fixed_build is None else fixed_build.version,
        minimised=bool(spent),
        plain=plain,
    )
    if setting.words and verdict.confirmed:
        verdict = replace(verdict, reason=f"{verdict.reason} {setting.words}")
    if verdict.kind is VerdictKind.NOT_REPRODUCED and not signature:
        verdict = _unless_compiler_lacks(laboratory, about, verdict)
    return replace(
        about,
        verdict=verdict,
        vulnerable_build=setting.build,
        fixed_build=fixed_build,
        control=control,
        vulnerable=runs,
        further=(*further, *(plain or ())),
        fixed=fixed,
        smallest=smallest,
        minimising_runs=spent,
        trace=_trace(shown),
    )


def _trace(shown: Run | None) -> tuple[str, ...]:
    """The family of a run's fault and the project's functions on its stack, innermost first."""
    if shown is None:
        return ()
    if shown.crash is None:
        return shown.signature
    return (shown.signature[0], *top_functions(shown.crash.frames, TRACE_FRAMES))


def _confirmed_twice(laboratory: Laboratory, done: Examination, proof: bytes) -> Examination:
    """The same, at level 4 when level 3 was reached and another compiler's builds agree."""
    first = done.vulnerable_build
    if done.verdict.level != MINIMISED_LEVEL or first is None or first.flavour in BY_CLANG:
        return done
    second = _second_environment(laboratory, done.recipe, done.target, proof)
    if second is None or not second.agrees:
        return replace(done, second=second)
    reason = f"{done.verdict.reason} The builds by clang show the same."
    return replace(done, second=second, verdict=replace(done.verdict, level=4, reason=reason))


def _unfit(laboratory: Laboratory, target: Target) -> Verdict | None:
    """Why nothing can be run for a target here; None when something can."""
    tier = laboratory.sandbox.tier()
    if tier is Tier.NONE:
        reason, detail = "This machine has no sandbox, and nothing runs without one.", "no_sandbox"
    elif tier < laboratory.least:
        reason = f"The sandbox gives {tier.name}; the policy asks for {laboratory.least.name}."
        detail = "policy"
    elif target.host not in oracle(target.oracle).hosts:
        reason = f"The oracle {target.oracle} cannot watch what runs in {target.host}."
        detail = "unsupported_class"
    else:
        return None
    return Verdict(VerdictKind.NOT_VALIDATED, 0, reason, detail)


def _build(
    laboratory: Laboratory,
    recipe: Recipe,
    sides: Sequence[Side],
    flavour: Flavour,
    *,
    host: str = "native",
) -> list[Build] | Verdict:
    """The builds of the sides, or the verdict on an environment that cannot make them."""
    stage = "toolchain"
    try:
        toolchain = laboratory.toolchain()
        if flavour in BY_CLANG and not toolchain.has("clang"):
            raise UnavailableError(
                f"The flavour {flavour} needs clang.",
                next_step="Install it: apt-get install clang.",
            )
        if host == "node" and not toolchain.has("node"):
            raise UnavailableError(
                "The sandbox finds no node.", next_step="Install it: apt-get install nodejs."
            )
        stage = "fetch"
        for side in sides:
            laboratory.source_tree(recipe, side)
        stage = "build"
        with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
            return list(
                pool.map(lambda side: laboratory.build(recipe, side, flavour=flavour), sides)
            )
    except ClearholdError as error:
        return Verdict(VerdictKind.ENVIRONMENT_FAILURE, 0, error.message, stage)


def _repeat(
    laboratory: Laboratory, setting: _Setting, target: str, proof: bytes
) -> tuple[Run, ...]:
    """As many runs in one setting as a decision needs."""
    runs: tuple[Run, ...] = ()
    while wanted := runs_wanted(runs):
        runs += reproduce(
            laboratory,
            setting.build,
            target=target,
            proof=proof,
            runs=wanted,
            randomise=setting.randomise,
        )
    return runs


def _until_shown(
    laboratory: Laboratory, build: Build, target: str, proof: bytes, *, named: str
) -> tuple[_Setting, tuple[Run, ...], tuple[Run, ...]]:
    """The setting whose runs decide, these runs, and those of the other settings tried.

    Before a refusal, layout randomisation is switched on, then the build tried as users have it, and
    then as the compiler makes it that the report names.
    """
    first = _Setting(build)
    runs = _repeat(laboratory, first, target, proof)
    if any(run.kind is not RunKind.CLEAN for run in runs):
        return first, runs, ()
    further: tuple[Run, ...] = ()
    for setting in _other_settings(laboratory, build, target, named=named):
        tried = _repeat(laboratory, setting, target, proof)
        if any(run.kind is RunKind.VIOLATION for run in tried):
            return setting, tried, (*runs, *further)
        further += tried
    return first, runs, further


def _other_settings(
    laboratory: Laboratory, build: Build, target: str, *, named: str
) -> Iterator[_Setting]:
    yield _Setting(build, randomise=True, words="Seen only with the layout of memory randomised.")
    if build.flavour is not Flavour.PLAIN and Flavour.PLAIN in build.recipe.build.flavours:
        plain = laboratory.build(build.recipe, build.side, flavour=Flavour.PLAIN)
        yield _Setting(plain, words="Seen only on the build without instrumentation.")
    chosen = build.recipe.target(target)
    if named == _CLANG and _has_other_compiler(chosen) and laboratory.toolchain().has(_CLANG):
        other = laboratory.build(build.recipe, build.side, flavour=Flavour.CLANG)
        yield _Setting(other, words="Seen only on the build by clang, which the report names.")


def _has_other_compiler(target: Target) -> bool:
    """Whether what a target runs on can be built by clang in place of gcc, and stay the same else."""
    return target.flavour is Flavour.ADDRESS and target.host == "native"


def _unless_compiler_lacks(laboratory: Laboratory, about: Examination, refusal: Verdict) -> Verdict:
    """A refusal, unless the report names a compiler that ought to have been tried and is not here."""
    suits = about.claim.toolchain == _CLANG and _has_other_compiler(
        about.recipe.target(about.target)
    )
    if not suits or laboratory.toolchain().has(_CLANG):
        return refusal
    reason = "The build by gcc does not show it; the report names clang, which this machine lacks."
    return Verdict(VerdictKind.ENVIRONMENT_FAILURE, 0, reason, "toolchain")


def _plain_runs(laboratory: Laboratory, build: Build, target: str, proof: bytes) -> tuple[Run, ...]:
    """Runs on the build as users have it; none when the recipe does not make one."""
    if Flavour.PLAIN not in build.recipe.build.flavours:
        return ()
    plain = laboratory.build(build.recipe, build.side, flavour=Flavour.PLAIN)
    return reproduce(laboratory, plain, target=target, proof=proof, runs=FIRST_RUNS)


def _fixed_runs(
    laboratory: Laboratory,
    build: Build,
    target: str,
    proofs: Sequence[bytes],
    *,
    like: tuple[_Setting, Sequence[Run]],
) -> tuple[Run, ...]:
    """Runs on the fixed side in the same setting: of each proof as many as decided on the other."""
    setting, decided = like
    return tuple(
        run
        for proof in dict.fromkeys(proofs)
        for run in reproduce(
            laboratory,
            build,
            target=target,
            proof=proof,
            runs=len(decided),
            randomise=setting.randomise,
        )
    )


def _second_environment(
    laboratory: Laboratory, recipe: Recipe, target: str, proof: bytes
) -> Second | None:
    """Runs on both sides as clang builds them; None when it cannot, or would be no other compiler."""
    if not _has_other_compiler(recipe.target(target)):
        return None
    builds = _build(laboratory, recipe, (Side.VULNERABLE, Side.FIXED), Flavour.CLANG)
    if isinstance(builds, Verdict):
        return None
    runs = [
        reproduce(laboratory, build, target=target, proof=proof, runs=FIRST_RUNS)
        for build in builds
    ]
    return Second(builds[0], builds[1], runs[0], runs[1])

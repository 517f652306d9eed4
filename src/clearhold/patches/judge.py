"""Judges a candidate fix in the laboratory: what it stops, what it breaks, what it only hides.

A candidate is accepted only when every proof of its case stops, variants of them stop, a
time-boxed search that begins at them finds no other way in, benign inputs are answered as before
and the project's own tests fare no worse than without it. Of patches that pass tests and stop
their proof about 42 in 100 are still wrong (PVBench, arXiv 2603.06858), so the limits of such a
judgement are part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from clearhold.discovery.engine_libfuzzer import FuzzResult, fuzz
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.patches.delivery import build_delivery, telling_probe
from clearhold.patches.judging import Candidate, Delivery, Judgement, Manifest, ProofOutcome
from clearhold.patches.records import State
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.crash import similar
from clearhold.validation.diff import Diff, read_diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import Run, run_many, vary
from clearhold.validation.suite import Comparison, compare, run_suite

PATCHED_RUNS: Final = 2
MOST_VARIANTS: Final = 40
DEFAULT_SEARCH_S: Final = 6
LIMITS: Final = (
    "Variants, tests and a short search close the known ways in; they do not show that none is left.",
    "The project's tests run in one process with the patched code, which could deceive them.",
    "Everything ran on one machine, with the recipe's compilers and harness.",
    "Whether the change is what the project wants is for its maintainer to say.",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A way to the flaw that is tried: the target, the input, and the unpatched build's signature.

    `finding` is empty for variants and for proofs from elsewhere.
    """

    target: str
    content: bytes = field(repr=False)
    finding: str = ""
    signature: tuple[str, ...] = ()


class _Refusal(Exception):  # noqa: N818  (an outcome of judging, nothing went wrong)
    """The candidate is refused: the kind of verdict and why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class LaboratoryJudge:
    """`patches.judging.PatchJudge` in a laboratory of this machine.

    `search_s` is the time in seconds of each target's search that begins at the proofs.
    """

    def __init__(self, laboratory: Laboratory, *, search_s: int = DEFAULT_SEARCH_S) -> None:
        self._laboratory = laboratory
        self._search_s = search_s

    def judge(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        """Judge `candidate`, and make an accepted one ready to install where the recipe can.

        Raises what the laboratory raises when the environment fails on the unpatched source.
        """
        packages = {str(Purl.parse(proof.package).package) for proof in candidate.proofs}
        recipe = self._recipe_for(packages.pop(), candidate) if len(packages) == 1 else None
        if recipe is None:
            reason = "There is no recipe by which the package could be built and its proofs run."
            return Judgement(State.UNDECIDED, "no_recipe", reason), None
        self._laboratory.demand_for_code()
        trial = _Trial(self._laboratory, recipe, self._search_s)
        state, kind, delivery = State.ACCEPTED, "accepted", None
        try:
            reason = trial.judge(candidate)
            delivery = trial.delivery()
        except _Refusal as refusal:
            state, kind, reason = State.REFUSED, refusal.kind, refusal.reason
        except _Undecided as undecided:
            state, kind, reason = State.UNDECIDED, "no_proof", str(undecided)
        judgement = Judgement(
            state,
            kind,
            reason,
            proofs=trial.outcomes,
            tests=trial.tests,
            limits=LIMITS,
            facts=trial.facts,
        )
        return judgement, delivery

    def _recipe_for(self, package: str, candidate: Candidate) -> Recipe | None:
        versions = {Purl.parse(proof.package).version or "" for proof in candidate.proofs}
        return self._laboratory.recipes.find(
            package,
            version=versions.pop() if len(versions) == 1 else "",
            targets={proof.target for proof in candidate.proofs},
        )


class _Undecided(Exception):  # noqa: N818  (an outcome of judging, nothing went wrong)
    """Nothing can be said of the candidate, which blames nobody."""


class _Trial:
    """One candidate on its way through the laboratory, and what has been shown of it so far."""

    def __init__(self, laboratory: Laboratory, recipe: Recipe, search_s: int) -> None:
        self._laboratory = laboratory
        self._recipe = recipe
        self._search_s = search_s
        self._patch: bytes = b""
        self._proofs: tuple[Attempt, ...] = ()
        self.outcomes: tuple[ProofOutcome, ...] = ()
        self.tests = ""
        self.facts: dict[str, Any] = {
            "recipe": recipe.name,
            "recipe_sha256": recipe.digest,
            "version": recipe.side(Side.VULNERABLE).version,
            "isolation": laboratory.sandbox.tier().name.lower(),
        }

    def judge(self, candidate: Candidate) -> str:
        """Why the candidate is accepted, unless it is refused or nothing can be said of it."""
        self._patch = self._read(candidate.diff).canonical
        self._proofs = self._working(
            Attempt(proof.target, proof.proof, str(proof.finding))
            for proof in candidate.proofs
            if proof.target in self._recipe.targets
        )
        missing = len(candidate.proofs) - len(self._proofs)
        if missing:
            raise _Undecided(
                f"{missing} of the case's {len(candidate.proofs)} proofs do not work on the unpatched"
                " version here, so nothing can be said of them."
            )
        self._build_all()
        self._try_proofs()
        self._try_benign()
        variants = self._variants()
        self._try_variants([*variants, *self._related(candidate)])
        with ThreadPoolExecutor(max_workers=1) as pool:
            searching = pool.submit(self._search, [*self._proofs, *variants])
            self._try_tests()
            found = searching.result()
        self._judge_search(found)
        searched = sum(result.executions for result in found.values())
        return (
            f"It stops all {len(self.outcomes)} proofs of the case, {len(variants)} variants of them"
            f" and whatever a search of {searched} inputs tried; benign inputs are answered as before."
        )

    def delivery(self) -> Delivery | None:
        """The accepted fix ready to install, where the recipe says how."""
        if self._recipe.delivery is None:
            return None
        version = f"{self.facts['version']}+clearhold.1"
        made = build_delivery(self._laboratory, self._recipe, patch=self._patch, version=version)
        probe = telling_probe(
            self._laboratory,
            self._recipe,
            [(proof.target, proof.content) for proof in self._proofs],
            patch=self._patch,
        )
        self.facts["wheel_sha256"] = made.sha256
        return Delivery(Manifest(self._recipe.package, version, made.filename, probe), made.wheel)

    def _read(self, content: bytes) -> Diff:
        try:
            diff = read_diff(content)
        except (InvalidError, TooLargeError) as error:
            raise _Refusal("unsafe_diff", f"{error.message} {error.next_step}") from error
        self.facts |= {
            "patch_sha256": hashlib.sha256(content).hexdigest(),
            "applied_sha256": hashlib.sha256(diff.canonical).hexdigest(),
            "paths": list(diff.touched),
            "lines_added": diff.added,
            "lines_removed": diff.removed,
        }
        if protected := diff.below(self._recipe.protected):
            raise _Refusal(
                "touches_tests_or_build",
                f"It changes the project's tests or build: {', '.join(protected[:3])}.",
            )
        return diff

    def _pristine(self, flavour: Flavour) -> Build:
        return self._laboratory.build(self._recipe, Side.VULNERABLE, flavour=flavour)

    def _patched(self, flavour: Flavour) -> Build:
        return self._laboratory.build(
            self._recipe, Side.VULNERABLE, flavour=flavour, patch=self._patch
        )

    def _working(self, attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
        """Those attempts that show a violation on the unpatched build, with its signature."""
        given = tuple(dict.fromkeys(attempts))
        return tuple(
            replace(each, signature=run.signature)
            for each, (run,) in zip(given, self._run(given, self._pristine), strict=True)
            if run.kind is RunKind.VIOLATION
        )

    def _run(
        self, attempts: Sequence[Attempt], build: Callable[[Flavour], Build], *, runs: int = 1
    ) -> tuple[tuple[Run, ...], ...]:
        """Runs of each attempt, those of one target together."""
        seen: dict[Attempt, tuple[Run, ...]] = {}
        for name in dict.fromkeys(each.target for each in attempts):
            mine = [each for each in attempts if each.target == name]
            ran = run_many(
                self._laboratory,
                build(self._recipe.target(name).flavour),
                target=name,
                proofs=[each.content for each in mine],
                runs=runs,
            )
            seen |= dict(zip(mine, ran, strict=True))
        return tuple(seen[each] for each in attempts)

    def _build_all(self) -> None:
        """Every build that is needed, side by side; what fails only with the patch is its fault."""
        flavours = {target.flavour for target in self._recipe.targets.values()}
        if self._recipe.tests is not None:
            flavours.add(self._recipe.tests.flavour)
        with ThreadPoolExecutor(max_workers=self._laboratory.workers) as pool:
            list(pool.map(self._pristine, sorted(flavours)))
            try:
                made = list(pool.map(self._patched, sorted(flavours)))
            except BuildFailedError as error:
                self.facts["log"] = error.log[-2000:]
                if error.stage == "patch":
                    version = self.facts["version"]
                    raise _Refusal("does_not_apply", f"It does not apply to {version}.") from error
                raise _Refusal("does_not_build", "The project does not build with it.") from error
        self.facts["builds"] = {str(build.flavour): build.key for build in made}

    def _try_proofs(self) -> None:
        tried = self._run(self._proofs, self._patched, runs=PATCHED_RUNS)
        telling = [
            next((run for run in runs if run.kind is not RunKind.CLEAN), runs[0]) for runs in tried
        ]
        self.outcomes = tuple(
            ProofOutcome(proof.finding, stopped=run.kind is RunKind.CLEAN, observed=run.reason)
            for proof, run in zip(self._proofs, telling, strict=True)
        )
        stopped = sum(outcome.stopped for outcome in self.outcomes)
        if stopped == 0:
            raise _Refusal("no_op", "Every proof of the case works as before.")
        if stopped < len(self.outcomes):
            raise _Refusal(
                "symptom_only",
                f"It stops {stopped} of the {len(self.outcomes)} proofs of the case: it hides one way"
                " to the flaw and leaves the flaw.",
            )

    def _try_benign(self) -> None:
        """Benign inputs of every target must end, and print, as they do unpatched."""
        inputs = {Attempt(name, self._recipe.control(name)) for name in self._recipe.targets}
        for name, target in self._recipe.targets.items():
            if target.fuzz is not None:
                inputs |= {Attempt(name, seed) for seed in self._recipe.seeds(name).values()}
        benign = sorted(inputs, key=lambda each: (each.target, each.content))
        before = self._run(benign, self._pristine)
        after = self._run(benign, self._patched)
        self.facts["benign_inputs"] = len(benign)
        for (old,), (new,) in zip(before, after, strict=True):
            if old.kind is RunKind.CLEAN and new.kind is not RunKind.CLEAN:
                raise _Refusal("over_broad", f"A benign input fails now: {new.reason}.")
            if old.stdout_sha256 != new.stdout_sha256:
                raise _Refusal("over_broad", "A benign input is answered differently.")

    def _variants(self) -> tuple[Attempt, ...]:
        """Other shapes of the proofs that also work on the unpatched build."""
        varied: dict[Attempt, None] = {}
        for proof in self._proofs:
            build = self._pristine(self._recipe.target(proof.target).flavour)
            made = vary(self._laboratory, build, target=proof.target, proof=proof.content)
            varied |= {Attempt(target, content): None for target, content in made.values()}
        working = self._working(list(varied)[:MOST_VARIANTS])
        self.facts["variants"] = {"made": len(varied), "working_unpatched": len(working)}
        return working

    def _related(self, candidate: Candidate) -> tuple[Attempt, ...]:
        """Proofs from elsewhere whose fault looks like the case's: further variants of the flaw.

        They are not counted or mentioned in anything that is told.
        """
        others = self._working(
            Attempt(proof.target, proof.proof)
            for proof in candidate.others
            if proof.target in self._recipe.targets
        )
        return tuple(
            each
            for each in others
            if any(similar(each.signature, proof.signature) for proof in self._proofs)
        )

    def _try_variants(self, attempts: Sequence[Attempt]) -> None:
        for (run,) in self._run(list(dict.fromkeys(attempts)), self._patched):
            if run.kind is not RunKind.CLEAN:
                # Which one it was is not told: it may be a proof of another case.
                raise _Refusal(
                    "symptom_only",
                    "It stops the case's proofs, but the flaw is still reached in another way.",
                )

    def _try_tests(self) -> None:
        if self._recipe.tests is None:
            self.tests = "The recipe names no tests of the project."
            return
        flavour = self._recipe.tests.flavour
        compared = compare(
            run_suite(self._laboratory, self._pristine(flavour)),
            run_suite(self._laboratory, self._patched(flavour)),
        )
        self.tests = compared.summary
        self.facts["tests"] = _counts(compared)
        if not compared.no_worse:
            raise _Refusal("test_breaking", compared.summary)

    def _search(self, starts: Sequence[Attempt]) -> Mapping[str, FuzzResult]:
        """A short search of each target that has a harness, beginning at proofs and variants."""
        found: dict[str, FuzzResult] = {}
        # A seed made from the patch lets anybody repeat the search.
        seed = int.from_bytes(hashlib.sha256(self._patch).digest()[:4]) % (2**32 - 1) + 1
        for name, target in self._recipe.targets.items():
            mine = {
                f"start-{number}": each.content
                for number, each in enumerate(starts)
                if each.target == name
            }
            if target.fuzz is None or not mine or not self._search_s:
                continue
            found[name] = fuzz(
                self._laboratory,
                self._patched(Flavour.FUZZ),
                name,
                seed=seed,
                budget_s=self._search_s,
                seeds=self._recipe.seeds(name) | mine,
            )
        self.facts["search"] = {
            name: {"seed": seed, "executions": result.executions, "edges": result.edges}
            for name, result in found.items()
        }
        return found

    def _judge_search(self, found: Mapping[str, FuzzResult]) -> None:
        """What a search found counts when the patched build shows it outside the fuzzer as well.

        Another fault that the unpatched version has too is another finding's business.
        """
        for name, result in found.items():
            if result.crash is None:
                continue
            crash = Attempt(name, result.crash)
            ((run,),) = self._run([crash], self._patched)
            if run.kind is not RunKind.VIOLATION:
                continue
            if any(similar(run.signature, proof.signature) for proof in self._proofs):
                raise _Refusal(
                    "symptom_only",
                    "It stops the case's proofs, but a search that began at them meets the flaw again.",
                )
            if not self._working([crash]):
                raise _Refusal(
                    "introduces_fault",
                    f"A search met a fault that the unpatched version does not have: {run.reason}.",
                )


def _counts(compared: Comparison) -> dict[str, Any]:
    return {
        "baseline_passed": len(compared.baseline.passed),
        "baseline_failed": len(compared.baseline.failed),
        "patched_passed": len(compared.patched.passed),
        "patched_failed": len(compared.patched.failed),
        "no_longer_passing": [*compared.broken, *compared.lost][:20],
    }

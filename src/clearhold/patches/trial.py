"""One candidate fix on its way through the laboratory, and what has been shown of it so far."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from clearhold.kernel.errors import ClearholdError, UnavailableError
from clearhold.patches import fitting, hunting, reach, regression, risk, siblings, writing
from clearhold.patches.answering import Answering
from clearhold.patches.attempts import Attempt, run_attempts, working
from clearhold.patches.baselines import Baselines
from clearhold.patches.judging import Candidate, ProofOutcome
from clearhold.patches.reading import Refusal, Undecided, understand
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.crash import similar
from clearhold.validation.diff import Diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import Run, vary
from clearhold.validation.suite import BASELINE_RUNS, SuiteRun, compare_builds, run_suite

PATCHED_RUNS: Final = 2
MOST_TRIES: Final = 4
SLOWER: Final = 3  # than without the fix, a build with it may be
MOST_VARIANTS: Final = 40
_NEVER_ENDS: Final = "exceeded its time"
_OFFLINE: Final = (
    "could not resolve",
    "name resolution",
    "network is unreachable",
    "getaddrinfo",
    "urlopen error",
    "enotfound",
    "eai_again",
)


class Trial:
    """What is done with one candidate; the first step that refuses it ends it.

    `outcomes`, `tests`, `facts` and `gaps` hold what was shown, and in words what could not be.
    """

    def __init__(
        self, laboratory: Laboratory, recipe: Recipe, search_s: int, baselines: Baselines
    ) -> None:
        self._laboratory = laboratory
        self._recipe = recipe
        self._search_s = search_s
        self._baselines = baselines
        self._diff: Diff | None = None
        self._added_tests: Diff | None = None
        self._doubt = ""
        self.patch: bytes = b""
        self.proofs: tuple[Attempt, ...] = ()
        self.outcomes: tuple[ProofOutcome, ...] = ()
        self.tests = ""
        self.gaps: list[str] = []
        self.facts: dict[str, Any] = {
            "recipe": recipe.name,
            "recipe_sha256": recipe.digest,
            "version": recipe.side(Side.VULNERABLE).version,
            "isolation": laboratory.sandbox.tier().name.lower(),
            "toolchain_sha256": "",
            "search_s": search_s,
        }

    def judge(self, candidate: Candidate) -> str:
        """Why the candidate is accepted, unless it is refused or nothing can be said of it."""
        self.facts["toolchain_sha256"] = self._laboratory.toolchain().digest
        self._diff, self._added_tests = understand(
            self._laboratory, self._recipe, candidate, self.facts
        )
        self.patch = self._diff.canonical
        given = (
            Attempt(proof.target, proof.proof, str(proof.finding))
            for proof in candidate.proofs
            if proof.target in self._recipe.targets
        )
        self.proofs = self._working(given, tries=MOST_TRIES)
        missing = len(candidate.proofs) - len(self.proofs)
        if missing:
            raise Undecided(
                "no_proof",
                f"{missing} of the case's {len(candidate.proofs)} proofs do not work on the unpatched"
                " version here, so nothing can be said of them.",
            )
        self._build_all()
        self._try_proofs()
        self._doubt = Answering(
            self._laboratory,
            self._recipe,
            self._baselines,
            (self.pristine, self.patched),
            facts=self.facts,
            gaps=self.gaps,
        ).judge(self._seed(), [proof.target for proof in self.proofs])
        variants = self._variants()
        self._try_variants([*variants, *self._related(candidate)])
        beside = self._try_siblings(variants)
        with ThreadPoolExecutor(max_workers=1) as pool:
            searching = pool.submit(self._search, [*self.proofs, *variants, *beside])
            self._try_tests()
            found = searching.result()
        self._judge_search(found)
        self._try_regression()
        self._demand_reach()
        if self._doubt:
            raise Undecided("not_shown", self._doubt)
        searched = sum(hunt.tries for hunt in found.values())
        return (
            f"It stops all {len(self.outcomes)} proofs of the case, {len(variants)} variants of them"
            f" and whatever a search of {searched} inputs tried; benign inputs are answered as before."
        )

    def pristine(self, flavour: Flavour) -> Build:
        """The build without the candidate."""
        return self._laboratory.build(self._recipe, Side.VULNERABLE, flavour=flavour)

    def patched(self, flavour: Flavour) -> Build:
        """The build with it."""
        return self._laboratory.build(
            self._recipe, Side.VULNERABLE, flavour=flavour, patch=self.patch
        )

    def _working(self, attempts: Iterable[Attempt], *, tries: int = 1) -> tuple[Attempt, ...]:
        return working(self._laboratory, self._recipe, attempts, self.pristine, tries=tries)

    def _run(
        self, attempts: Sequence[Attempt], build: Callable[[Flavour], Build], *, runs: int = 1
    ) -> tuple[tuple[Run, ...], ...]:
        return run_attempts(self._laboratory, self._recipe, attempts, build, runs=runs)

    def _build_all(self) -> None:
        """Every build that is needed, side by side; what fails only with the patch is its fault."""
        flavours = {target.flavour for target in self._recipe.targets.values()}
        if self._recipe.tests is not None:
            flavours.add(self._recipe.tests.flavour)
        with ThreadPoolExecutor(max_workers=self._laboratory.workers) as pool:
            slowest = max(build.wall_s for build in pool.map(self.pristine, sorted(flavours)))
            try:
                made = list(pool.map(self.patched, sorted(flavours)))
            except BuildFailedError as error:
                if _NEVER_ENDS in error.message and slowest * SLOWER > self._recipe.limits.build_s:
                    raise  # this machine is too slow to tell: it is no word on the fix
                self.facts["log"] = error.log[-2000:]
                raise self._unbuilt(error) from error
        self.facts["builds"] = {str(build.flavour): build.key for build in made}

    def _unbuilt(self, error: BuildFailedError) -> Refusal:
        if error.stage == "patch":
            return Refusal("does_not_apply", self._why_not_applied())
        if _NEVER_ENDS in error.message:
            return Refusal("never_ends", "The build does not come to its end with it.")
        offline = any(word in error.log.lower() for word in _OFFLINE)
        if offline and self._diff is not None and risk.network_words(self._diff):
            return Refusal("needs_network", "The project does not build with it without a network.")
        return Refusal("does_not_build", "The project does not build with it.")

    def _why_not_applied(self) -> str:
        version = self.facts["version"]
        words = [f"It does not apply to {version}."]
        for side in self._recipe.sides:
            try:
                fits = fitting.fit(self._laboratory, self._recipe, side, self._diff)  # type: ignore[arg-type]
            except ClearholdError:
                continue
            self.facts.setdefault("fits", {})[fits.version] = fits.way or (
                "already in it" if fits.already else "not at all"
            )
            words.append(fits.words)
        return " ".join(dict.fromkeys(words))

    def _try_proofs(self) -> None:
        tried = self._settled(self.proofs)
        self.outcomes = tuple(
            ProofOutcome(proof.finding, stopped=self._stopped(proof, run), observed=run.reason)
            for proof, run in zip(self.proofs, tried, strict=True)
        )
        stopped = sum(outcome.stopped for outcome in self.outcomes)
        limits = [run for run in tried if run.kind is RunKind.RESOURCE_LIMIT]
        if limits and not self._measures_time():
            raise Refusal(
                "introduces_fault",
                f"With it a proof no longer comes to its end: {limits[0].reason}.",
            )
        if stopped == 0:
            raise Refusal("no_op", f"Every proof of the case works as before.{self._unreached()}")
        if stopped < len(self.outcomes):
            raise Refusal(
                "symptom_only",
                f"It stops {stopped} of the {len(self.outcomes)} proofs of the case: it hides one way"
                " to the flaw and leaves the flaw.",
            )

    def _settled(self, attempts: Sequence[Attempt]) -> list[Run]:
        """One telling run of each attempt; what came out unclear is tried again a few times."""
        told = []
        for attempt, runs in zip(
            attempts, self._run(attempts, self.patched, runs=PATCHED_RUNS), strict=True
        ):
            run = next((each for each in runs if each.kind is not RunKind.CLEAN), runs[0])
            for number in range(MOST_TRIES):
                # On a busy machine a run that exceeds its time gets a second one.
                slow = run.kind is RunKind.RESOURCE_LIMIT and number == 0
                if run.kind is not RunKind.INCONCLUSIVE and not slow:
                    break
                ((run,),) = self._run([attempt], self.patched)
            told.append(run)
        return told

    def _stopped(self, proof: Attempt, run: Run) -> bool:
        """Whether a run shows that a proof no longer works.

        A driver that cannot read it any more, and an interpreter that ends with an uncaught error,
        have refused the proof: nothing the oracle watches for has happened. A native program that
        ends badly might have.
        """
        if run.kind in {RunKind.CLEAN, RunKind.UNUSABLE}:
            return True
        scripted = self._recipe.target(proof.target).host != "native"
        refused = run.signal is None and run.exit_code is not None
        return run.kind is RunKind.FAULT and scripted and refused

    def _measures_time(self) -> bool:
        return any(
            self._recipe.target(proof.target).oracle in {"hang", "complexity"}
            for proof in self.proofs
        )

    def _unreached(self) -> str:
        """What to add about a change that stops nothing."""
        measured = self._reach()
        if measured is None or not measured.lines or measured.run_by_proofs:
            return ""
        return " None of the lines it adds is run by a proof: it may be meant for another flaw."

    def _reach(self, benign: Sequence[tuple[str, bytes]] = ()) -> reach.Reach | None:
        if self._diff is None:
            return None
        measured = reach.changes_run(
            self._laboratory,
            self.patched,
            self._recipe,
            self._diff,
            proofs=[(proof.target, proof.content) for proof in self.proofs],
            benign=benign,
        )
        if measured is not None:
            self.facts["reach"] = measured.facts
        return measured

    def _demand_reach(self) -> None:
        """A change that no input and no test runs has shown nothing of what it does."""
        before = self._baselines.behaviour(self._laboratory, self._recipe)
        measured = self._reach([(case.target, case.content) for case in before])
        if measured is None:
            self.gaps.append(
                "Which of its changes the proofs, benign inputs and tests run was not measured."
            )
            return
        if measured.unrun:
            raise Undecided(
                "not_shown",
                "It stops the case's proofs and breaks nothing that was tried, but no proof, benign"
                f" input or test runs what it changes at {_listed(measured.unrun)}. Send the fix of"
                " the flaw alone, or a proof or a benign input that runs this.",
            )
        for places, how in (
            (measured.by_tests, "was judged by the project's tests alone"),
            (measured.unseen, "is of a kind of which no run tells whether it was used"),
        ):
            if places:
                self.gaps.append(f"What it changes at {_listed(places)} {how}.")

    def _variants(self) -> tuple[Attempt, ...]:
        """Other shapes of the proofs that also work on the unpatched build."""
        varied: dict[Attempt, None] = {}
        for proof in self.proofs:
            build = self.pristine(self._recipe.target(proof.target).flavour)
            made = vary(self._laboratory, build, target=proof.target, proof=proof.content)
            varied |= {Attempt(target, content): None for target, content in made.values()}
        working = self._working(list(varied)[:MOST_VARIANTS])
        self.facts["variants"] = {"made": len(varied), "working_unpatched": len(working)}
        if not varied:
            self.gaps.append(
                "The recipe makes no variants of proofs: only the search tried others."
            )
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
            if any(similar(each.signature, proof.signature) for proof in self.proofs)
        )

    def _try_variants(self, attempts: Sequence[Attempt]) -> None:
        given = list(dict.fromkeys(attempts))
        for attempt, run in zip(given, self._settled(given), strict=True):
            if not self._stopped(attempt, run):
                # Which one it was is not told: it may be a proof of another case.
                raise Refusal(
                    "symptom_only",
                    "It stops the case's proofs, but the flaw is still reached in another way.",
                )

    def _try_siblings(self, variants: Sequence[Attempt]) -> tuple[Attempt, ...]:
        """Ways to the flaw through other targets of the recipe, all of which must be stopped too."""
        found = siblings.find(
            self._laboratory,
            self._recipe,
            self.pristine,
            self.proofs,
            variants,
            seed=self._seed(),
        )
        self.facts["other_targets"] = found.facts
        for attempt, run in zip(found.attempts, self._settled(found.attempts), strict=True):
            if not self._stopped(attempt, run):
                raise Refusal(
                    "symptom_only",
                    "It stops the case's proofs where they came in, but what they are made of still"
                    f" reaches the flaw through the target {attempt.target}: {run.reason}.",
                )
        if found.apart:
            self.gaps.append(
                f"The proofs show something through {_listed(found.apart)} too, with and without it,"
                " that is not known to be the same flaw."
            )
        return found.attempts

    def _try_tests(self) -> None:
        tests = self._recipe.tests
        if tests is None:
            self.tests = "The recipe names no tests of the project."
            self.gaps.append(self.tests)
            return
        ran: list[SuiteRun] = []

        def run(factor: float = 1.0) -> SuiteRun:
            made = run_suite(self._laboratory, self.patched(tests.flavour), time_factor=factor)
            ran.append(made)
            return made

        def baseline(runs: int) -> list[SuiteRun]:
            return self._baselines.suites(self._laboratory, self._recipe, runs)

        compared = compare_builds(baseline, run)
        self.tests = compared.summary
        self.facts["tests"] = compared.facts
        if not compared.no_worse:
            raise Refusal("test_breaking", compared.summary)
        if not compared.telling:
            self.gaps.append("The project's tests are too few, or too unsteady, to show anything.")
        changed, gap = writing.by_tests(
            baseline(BASELINE_RUNS),
            list(ran),
            (lambda: run_suite(self._laboratory, self.pristine(tests.flavour)), run),
        )
        self.facts["tests"]["files_left_otherwise"] = changed
        if changed:
            raise Refusal(
                "behaviour_changing",
                f"The project's tests pass with it and leave other files: {changed}.",
            )
        if gap:
            self.gaps.append(gap)

    def _seed(self) -> int:
        """A seed made from the patch lets anybody repeat what is drawn."""
        return int.from_bytes(hashlib.sha256(self.patch).digest()[:4]) % (2**32 - 1) + 1

    def _search(self, starts: Sequence[Attempt]) -> dict[str, hunting.Hunt]:
        """A short search of each target that a proof is for, beginning at proofs and variants."""
        found = hunting.search(
            self._laboratory,
            self._recipe,
            self.patched,
            [(each.target, each.content) for each in starts],
            seed=self._seed(),
            seconds=self._search_s,
        )
        self.facts["search"] = {name: hunt.facts(self._seed()) for name, hunt in found.items()}
        if not found:
            self.gaps.append("No search was made.")
        return found

    def _judge_search(self, found: dict[str, hunting.Hunt]) -> None:
        """What a search found counts when the patched build shows it again outside of it.

        Another fault that the unpatched version has too is another finding's business.
        """
        crashes = [Attempt(name, each) for name, hunt in found.items() for each in hunt.found]
        for crash, runs in zip(crashes, self._run(crashes, self.patched, runs=2), strict=True):
            if any(run.kind is not RunKind.VIOLATION for run in runs):
                continue
            run = runs[0]
            if any(similar(run.signature, proof.signature) for proof in self.proofs):
                raise Refusal(
                    "symptom_only",
                    "It stops the case's proofs, but a search that began at them meets the flaw again.",
                )
            if not self._working([crash]):
                raise Refusal(
                    "introduces_fault",
                    f"A search met a fault that the unpatched version does not have: {run.reason}.",
                )

    def _try_regression(self) -> None:
        """A test that fails without the change and passes with it: brought, else made."""
        try:
            made = regression.judged(
                self._laboratory,
                self._recipe,
                (self.pristine, self.patched),
                [(proof.target, proof.content) for proof in self.proofs],
                brought=self._added_tests,
            )
        except UnavailableError:
            made = regression.NONE
        self.facts["regression_test"] = made.facts
        if made.gap:
            self.gaps.append(made.gap)


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - 3} more places" if len(places) > 3 else ""
    return f"{', '.join(places[:3])}{more}"

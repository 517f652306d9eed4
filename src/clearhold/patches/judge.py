"""Judges a candidate fix in the laboratory: what it stops, what it breaks, what it only hides.

A candidate is accepted only when every proof of its case stops, variants of them stop, a
time-boxed search that begins at them finds no other way in, benign inputs are answered as before
and the project's own tests fare no worse than without it. Of patches that pass tests and stop
their proof about 42 in 100 are still wrong (PVBench, arXiv 2603.06858), so the limits of such a
judgement are part of it.
"""

from __future__ import annotations

from typing import Final

from clearhold.kernel.purl import Purl
from clearhold.patches.baselines import Baselines
from clearhold.patches.delivery import build_delivery, telling_probe
from clearhold.patches.judging import Candidate, Delivery, Judgement, Manifest
from clearhold.patches.reading import Refusal, Undecided
from clearhold.patches.records import State
from clearhold.patches.trial import Trial
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe

DEFAULT_SEARCH_S: Final = 6
LIMITS: Final = (
    "Variants, tests and a short search close the known ways in; they do not show that none is left.",
    "In one study 42 in 100 patches that stop their proof and pass the tests were still wrong (PVBench).",
    "The project's tests run in one process with the patched code, which could deceive them.",
    "Everything ran on one machine, with the recipe's compilers and harness.",
    "Whether the change is what the project wants is for its maintainer to say.",
)


class LaboratoryJudge:
    """`patches.judging.PatchJudge` in a laboratory of this machine.

    `search_s` is the time in seconds of each target's search that begins at the proofs.
    """

    def __init__(self, laboratory: Laboratory, *, search_s: int = DEFAULT_SEARCH_S) -> None:
        self._laboratory = laboratory
        self._search_s = search_s
        self._baselines = Baselines()

    def judge(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        """Judge `candidate`, and make an accepted one ready to install where the recipe can.

        Raises what the laboratory raises when the environment fails on the unpatched source.
        """
        recipe = self.recipe_for(candidate)
        if recipe is None:
            reason = "There is no recipe by which the package could be built and its proofs run."
            return Judgement(State.UNDECIDED, "no_recipe", reason), None
        return self.judge_by(recipe, candidate)

    def judge_by(self, recipe: Recipe, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        """As `judge`, by a recipe that is given."""
        self._laboratory.demand_for_code()
        trial = Trial(self._laboratory, recipe, self._search_s, self._baselines)
        state, kind, delivery = State.ACCEPTED, "accepted", None
        try:
            reason = trial.judge(candidate)
            delivery = self._delivery(recipe, trial)
        except Refusal as refusal:
            state, kind, reason = State.REFUSED, refusal.kind, refusal.reason
        except Undecided as undecided:
            state, kind, reason = State.UNDECIDED, undecided.kind, undecided.reason
        judgement = Judgement(
            state,
            kind,
            reason,
            proofs=trial.outcomes,
            tests=trial.tests,
            limits=(*LIMITS, *trial.gaps),
            facts=trial.facts,
        )
        return judgement, delivery

    def _delivery(self, recipe: Recipe, trial: Trial) -> Delivery | None:
        """The accepted fix ready to install, where the recipe says how."""
        if recipe.delivery is None:
            return None
        version = f"{trial.facts['version']}+clearhold.1"
        made = build_delivery(self._laboratory, recipe, patch=trial.patch, version=version)
        probe = telling_probe(
            self._laboratory,
            recipe,
            [(proof.target, proof.content) for proof in trial.proofs],
            patch=trial.patch,
        )
        trial.facts["wheel_sha256"] = made.sha256
        return Delivery(Manifest(recipe.package, version, made.filename, probe), made.wheel)

    def recipe_for(self, candidate: Candidate) -> Recipe | None:
        """The recipe that a candidate's proofs are for; None when there is none for all of them."""
        packages = {str(Purl.parse(proof.package).package) for proof in candidate.proofs}
        if len(packages) != 1:
            return None
        versions = {Purl.parse(proof.package).version or "" for proof in candidate.proofs}
        return self._laboratory.recipes.find(
            packages.pop(),
            version=versions.pop() if len(versions) == 1 else "",
            targets={proof.target for proof in candidate.proofs},
        )

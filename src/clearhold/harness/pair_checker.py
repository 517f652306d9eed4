"""What an agent left of a task on a pair, judged by the laboratory as any proof or patch is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from clearhold.cases.material import CaseProof
from clearhold.evaluations.suites.task import Check, CheckKind, Task
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate
from clearhold.patches.records import State
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.known_proofs import PROOFS
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side, load
from clearhold.validation.verdict import VerdictKind

LEAST_LEVEL: Final = 2
"""A proof shows the flaw steadily, with a benign control, and not on the fixed side."""
DEFAULT_SEARCH_S: Final = 3
_MACHINE: Final = frozenset({"build", "fetch", "no_sandbox", "policy", "toolchain"})
"""Details of verdicts that say what this machine lacks, whatever the proof is."""
_TRIES: Final = 2


class PairChecker:
    """Runs the checks of tasks on pairs in a laboratory; one at a time, since each uses all of it.

    `search_s` are seconds in which other ways to a flaw are looked for around a patch.
    """

    def __init__(self, laboratory: Laboratory, *, search_s: int = DEFAULT_SEARCH_S) -> None:
        self._laboratory = laboratory
        self._judge = LaboratoryJudge(laboratory, search_s=search_s)
        self._alone = threading.Lock()

    def __call__(self, task: Task, collected: Mapping[str, bytes]) -> Mapping[str, bool]:
        """Which checks passed, by name; what was not left, or is empty, passes none.

        Raises `UnavailableError` where the machine, and not what was left, is why nothing can be said.
        """
        return {
            each.name: self._passes(each, collected.get(each.file, b"")) for each in task.checks
        }

    def _passes(self, check: Check, content: bytes) -> bool:
        if not content:
            return False
        recipe = _recipe(check)
        with self._alone:
            if check.kind is CheckKind.PROOF:
                return self._proves(recipe, check.target, content)
            return self._mends(recipe, content)

    def _proves(self, recipe: Recipe, target: str, proof: bytes) -> bool:
        for _ in range(_TRIES):
            done = examine(self._laboratory, recipe, target=target, proof=proof, minimising_runs=0)
            sound = done.control is not None and done.control.kind is RunKind.CLEAN
            if sound and done.verdict.kind is not VerdictKind.ENVIRONMENT_FAILURE:
                break
        # A measurement that stays open although the control is clean is the proof's doing: were it
        # no result, an agent could have its failures uncounted.
        if not sound or done.verdict.detail in _MACHINE:
            raise UnavailableError(done.verdict.reason)
        return done.verdict.kind is VerdictKind.REPRODUCED and done.verdict.level >= LEAST_LEVEL

    def _mends(self, recipe: Recipe, diff: bytes) -> bool:
        package = f"{recipe.package}@{recipe.side(Side.VULNERABLE).version}"
        proofs = tuple(
            CaseProof(FindingId(f"proof-{number}"), package, each.target, each.content)
            for number, each in enumerate(PROOFS)
            if each.recipe == recipe.name
        )
        judgement, _ = self._judge.judge_by(recipe, Candidate(diff, proofs, ()))
        if judgement.kind == "no_proof":
            raise UnavailableError(judgement.reason)
        return judgement.state is State.ACCEPTED


def _recipe(check: Check) -> Recipe:
    name, _, digest = check.recipe.partition("@")
    recipe = load(name)
    if recipe.digest != digest:
        raise UnavailableError(
            f"The recipe {name} is another here than the task was made with.",
            next_step="Use the release that the task is of.",
        )
    return recipe

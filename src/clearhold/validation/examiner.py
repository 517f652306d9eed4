"""Examining a report by the recipe of its package, as the validation service asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.ports.releases import ReleaseLists
from clearhold.validation.affected import facts as facts_of_affected
from clearhold.validation.affected import statement as statement_of_affected
from clearhold.validation.builder import Laboratory
from clearhold.validation.evidence import statement
from clearhold.validation.examination import Examination, examine
from clearhold.validation.logs import collect
from clearhold.validation.matrix import KnownProof, Shown, relations, try_fixes
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.releases import published_releases, release_of
from clearhold.validation.reproduce import Run
from clearhold.validation.verdict import Claim, Verdict, VerdictKind
from clearhold.validation.versions import Box, affected_versions

NO_SANDBOX = "no_sandbox"
"""The detail of a verdict that another try may change, when the machine has been put right."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is examined: a package without its version, the recipe's target, proof and claim."""

    package: str
    target: str
    proof: bytes
    claim: Claim


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of it: the verdict, facts for its readers, and the unsigned in-toto statement.

    `evidence` is empty when nothing was run; `logs` are what the runs printed, by SHA-256.
    """

    verdict: Verdict
    facts: Mapping[str, Any]
    evidence: bytes = b""
    logs: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def nothing_run(cls, kind: VerdictKind, reason: str, *, detail: str = "") -> Examined:
        """A verdict of level 0 without any run."""
        verdict = Verdict(kind, 0, reason, detail)
        return cls(verdict, {"verdict": verdict.label, "reason": reason})


@dataclass(frozen=True, slots=True)
class Affecting:
    """Which releases a proof shows the flaw on: facts for readers, and the unsigned statement.

    `evidence` is empty when nothing could be replayed.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    evidence: bytes = b""


class Examiner(Protocol):
    """Whoever can examine a report: the laboratory here, or a worker elsewhere."""

    def examine(self, report: Report) -> Examined:
        """Examine `report`; what the environment lacks is a verdict where it can be."""
        ...

    def compare(
        self, package: str, proofs: Sequence[KnownProof], patches: Sequence[bytes]
    ) -> tuple[Shown, ...]:
        """What candidate fixes show of pairs of proofs of one package, given without version."""
        ...

    def affected(self, report: Report, *, builds: int) -> Affecting:
        """Which releases show what a proof that reproduced shows; at most `builds` are built."""
        ...


class LaboratoryExaminer:
    """Examines reports in a laboratory of this machine; `lists` tell which releases there are."""

    def __init__(self, laboratory: Laboratory, lists: ReleaseLists | None = None) -> None:
        self._laboratory = laboratory
        self._lists = lists

    def examine(self, report: Report) -> Examined:
        """Build, replay and decide by our own recipe; the proof alone is foreign."""
        if not self._laboratory.confined:
            return Examined.nothing_run(
                VerdictKind.NOT_VALIDATED,
                "This machine gives no sandbox that is strong enough, so nothing was run.",
                detail=NO_SANDBOX,
            )
        recipe = self._recipe(report)
        if recipe is None or report.target not in recipe.targets:
            what = "package" if recipe is None else "kind of input"
            return Examined.nothing_run(
                VerdictKind.NOT_VALIDATED,
                f"There is no recipe for this {what}.",
                detail="no_recipe",
            )
        try:
            release = release_of(self._laboratory, recipe, report.claim.version, self._lists)
        except NotFoundError as error:
            return Examined.nothing_run(
                VerdictKind.NOT_VALIDATED, error.message, detail="no_recipe"
            )
        done = examine(
            self._laboratory,
            recipe,
            target=report.target,
            proof=report.proof,
            claim=report.claim,
            second_environment=True,
            release=release,
        )
        evidence = statement(done, report.proof) if done.vulnerable_build else b""
        kept = collect(done.runs) if evidence else {}
        return Examined(done.verdict, facts_of(done), evidence, kept)

    def compare(
        self, package: str, proofs: Sequence[KnownProof], patches: Sequence[bytes]
    ) -> tuple[Shown, ...]:
        """Try each fix on the vulnerable side and decide from what it stops."""
        recipe = self._laboratory.recipes.find(package, targets={proof.target for proof in proofs})
        if recipe is None:
            return ()
        rows = try_fixes(self._laboratory, recipe, proofs=proofs, patches=patches)
        return relations(proofs, rows)

    def affected(self, report: Report, *, builds: int) -> Affecting:
        """Replay over the releases that the registry lists, else over the recipe's own two.

        Nothing when there is no recipe or sandbox, or the proof shows nothing any more.
        """
        recipe = self._recipe(report)
        if recipe is None or report.target not in recipe.targets or not self._laboratory.confined:
            return Affecting()
        releases, listed_by = published_releases(recipe, self._lists)
        try:
            done = affected_versions(
                self._laboratory,
                recipe,
                target=report.target,
                proof=report.proof,
                releases=releases,
                box=Box(builds),
            )
        except InvalidError:
            return Affecting()
        evidence = statement_of_affected(
            recipe, report.target, report.proof, done, listed_by=listed_by
        )
        return Affecting(facts_of_affected(done, listed_by=listed_by), evidence)

    def _recipe(self, report: Report) -> Recipe | None:
        """The recipe that suits a report best; it may lack its target."""
        return self._laboratory.recipes.find(
            report.package, version=report.claim.version, targets=(report.target,)
        )


def facts_of(done: Examination) -> dict[str, Any]:
    """What readers of a verdict are told of an examination."""
    vulnerable = done.recipe.side(Side.VULNERABLE).version
    crash = next((run.crash for run in done.vulnerable if run.crash), None)
    return {
        "verdict": done.verdict.label,
        "reason": done.verdict.reason,
        "recipe": done.recipe.name,
        "target": done.target,
        "proof_sha256": done.proof_sha256,
        "smallest_proof_bytes": len(done.smallest),
        "signature": list(done.verdict.signature),
        "trace": list(done.trace),
        "frames": [frame.function for frame in crash.frames[:8]] if crash else [],
        "vulnerable": {"version": vulnerable, "runs": _tally(done.vulnerable + done.further)},
        "fixed": {
            "version": done.fixed_build.version if done.fixed_build else "",
            "runs": _tally(done.fixed),
        },
        "isolation": str(done.control.tier.name).lower() if done.control else "",
    }


def _tally(runs: Sequence[Run]) -> dict[str, int]:
    return dict(Counter(str(run.kind) for run in runs))

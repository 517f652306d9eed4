"""Judges a candidate by inputs that show no flaw, and by those near them.

Each must end, print and leave the files that it did without the change; what a package offers its
users must still be there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clearhold.patches import behaviour, ordinary, writing
from clearhold.patches.baselines import Baselines
from clearhold.patches.behaviour import Answer, Case, Difference
from clearhold.patches.mutating import mutants
from clearhold.patches.reading import Refusal
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.leavings import Left
from clearhold.validation.recipe import Flavour, Recipe

MOST_MUTANTS: Final = 8
MOST_TARGETS: Final = 2
"""Targets that ordinary inputs are made for."""
FEWEST_DIFFERING: Final = 4
_ORDER: Final = ("introduces_fault", "over_broad", "behaviour_changing")


class Answering:
    """What is asked of a build with a candidate, beside the `builds` without and with it.

    What was seen goes into `facts`, what could not be told into `gaps`.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        recipe: Recipe,
        baselines: Baselines,
        builds: tuple[Callable[[Flavour], Build], Callable[[Flavour], Build]],
        *,
        facts: dict[str, Any],
        gaps: list[str],
    ) -> None:
        self._laboratory = laboratory
        self._recipe = recipe
        self._baselines = baselines
        self._builds = builds
        self._facts = facts
        self._gaps = gaps

    def judge(self, seed: int, proved: Sequence[str]) -> str:
        """A doubt in words, or none; `proved` are the targets that proofs are for. Raises `Refusal` where what is benign is answered otherwise."""
        before = self._baselines.behaviour(self._laboratory, self._recipe)
        self._benign(before)
        self._ordinary(before, proved)
        return self._near(before, seed)

    def _pristine(self, target: str) -> Build:
        return self._builds[0](self._recipe.target(target).flavour)

    def _patched(self, target: str) -> Build:
        return self._builds[1](self._recipe.target(target).flavour)

    def _benign(self, before: dict[Case, Answer]) -> None:
        """Benign inputs of every target must end, print and write as they do unpatched."""
        differing = self._differing(before)
        known = self._baselines.leavings(self._laboratory, self._recipe)
        offered = behaviour.api_changes(
            self._baselines.offered(self._laboratory, self._recipe), self._offered()
        )
        if not differing:
            differing = self._writing(known)
        self._facts["benign_inputs"] = len(before)
        self._facts["behaviour"] = told = {
            "benign_inputs": len(before),
            "from_the_projects_tests": sum("tests" in case.origin for case in before),
            "that_leave_files": sum(bool(left.places) for left in known.values()),
            "answered_differently": len(differing),
            "offered": offered,
            "verdict": "nothing that is benign is answered differently",
        }
        if differing:
            told["verdict"] = "harmful: benign inputs are answered differently"
            first = min(differing, key=lambda each: _ORDER.index(each.kind))
            told["input_sha256"] = hashlib.sha256(first.case.content).hexdigest()
            told |= {"before": first.before, "after": first.after}
            raise Refusal(first.kind, f"{first.words} {len(differing)} of {len(before)} are.")
        if gone := offered.get("gone"):
            told["verdict"] = "harmful: names that users may call are gone"
            raise Refusal(
                "behaviour_changing", f"The package no longer offers {', '.join(gone[:3])}."
            )
        if offered:
            told["verdict"] = "harmless as far as seen: names are new or have another shape"

    def _ordinary(self, before: dict[Case, Answer], proved: Sequence[str]) -> None:
        """Benign inputs with a word or shape as others commonly have it: no sort of them is refused."""
        self._facts["behaviour"]["ordinary_inputs"] = 0
        names = sorted(self._unmeasured(), key=lambda name: name not in proved)
        for name in names[:MOST_TARGETS]:
            made = ordinary.made_from([case.content for case in before if case.target == name])
            self._sorts(
                {
                    sort: [Case(name, each, "ordinary inputs") for each in contents]
                    for sort, contents in made.items()
                }
            )

    def _sorts(self, made: Mapping[str, Sequence[Case]]) -> None:
        """A few of each sort first, and all of those sorts of which one is answered otherwise."""
        few = {sort: cases[: ordinary.SORTS[sort].first] for sort, cases in made.items()}
        known, differing = self._asked(
            [case for cases in few.values() for case in cases],
            leaving=[cases[0] for sort, cases in few.items() if cases and _telling(sort)],
        )
        self._unless_silent(known)
        doubted = {
            sort: cases
            for sort, cases in made.items()
            if any(case in differing for case in few[sort])
        }
        whole = [case for cases in doubted.values() for case in cases]
        more = self._asked(whole, leaving=whole)
        known, differing = known | more[0], differing | more[1]
        counts = {
            sort: (sum(case in differing for case in cases), sum(case in known for case in cases))
            for sort, cases in doubted.items()
        }
        told = self._facts["behaviour"]
        told["ordinary_inputs"] += len(known)
        if counts:
            told["ordinary_differently"] = told.get("ordinary_differently", {}) | {
                ordinary.SORTS[sort].words: list(of) for sort, of in counts.items()
            }
        faults = [each for each in differing.values() if each.kind == "introduces_fault"]
        if faults:
            raise Refusal("introduces_fault", faults[0].words)
        sort = ordinary.refused(counts)
        if not sort:
            return
        seen = [differing[case] for case in made[sort] if case in differing]
        ((kind, _),) = Counter(each.kind for each in seen).most_common(1)
        first = next(each for each in seen if each.kind == kind)
        told["verdict"] = "harmful: ordinary inputs are answered differently"
        told["input_sha256"] = hashlib.sha256(first.case.content).hexdigest()
        told |= {"before": first.before, "after": first.after}
        how = (
            "are refused now, or answered with less"
            if kind == "over_broad"
            else "answered otherwise"
        )
        raise Refusal(
            kind,
            f"Of {counts[sort][1]} inputs that have {ordinary.SORTS[sort].words} and are benign"
            f" otherwise, {len(seen)} {how}.",
        )

    def _asked(
        self, cases: Sequence[Case], *, leaving: Sequence[Case]
    ) -> tuple[dict[Case, Answer], dict[Case, Difference]]:
        """How the unpatched build answers these, and those that are steadily answered otherwise.

        Of the cases in `leaving` the files that they leave are compared, too, where any are left.
        """
        known = self._baselines.asked(self._laboratory, self._recipe, cases)
        differing = self._differing(known)
        again = behaviour.answers(
            self._laboratory, self._pristine, [each.case for each in differing]
        )
        one = {case: known[case] for case in again}
        steady = behaviour.steady(one, again)
        found = {each.case: each for each in differing if steady.get(each.case) is one[each.case]}
        files = {case: known[case] for case in leaving if case in known}
        written = self._writing_near(files, set(again), most=len(files))
        return known, found | {each.case: each for each in written}

    def _unless_silent(self, known: Mapping[Case, Answer]) -> None:
        """Say so when a target prints the same whatever it is given: a refusal might not show."""
        printed = {each.run.stdout_sha256 for each in known.values()}
        if len(known) >= ordinary.FEWEST_REFUSED and len(printed) == 1:
            name = next(iter(known)).target
            self._gaps.append(
                f"The target {name} prints the same for all ordinary inputs that were tried, so"
                " that it answers one with less need not have shown."
            )

    def _unmeasured(self) -> list[str]:
        """The targets that are not judged by the time they take."""
        return [
            name
            for name, target in self._recipe.targets.items()
            if target.oracle not in {"hang", "complexity"}
        ]

    def _near(self, before: dict[Case, Answer], seed: int) -> str:
        """Inputs near the benign ones: told where they differ, refused where most fail or any faults."""
        near = []
        for name in self._unmeasured():
            own = [case.content for case in before if case.target == name]
            if own:
                made = mutants(seed, own, most=MOST_MUTANTS)
                near += [Case(name, each, "inputs near the benign ones") for each in made]
        one, two = (behaviour.answers(self._laboratory, self._pristine, near) for _ in range(2))
        known = behaviour.steady(one, two)
        differing = self._differing(known)
        differing += self._writing_near(known, {each.case for each in differing})
        told = self._facts["behaviour"]
        told |= {"near_inputs": len(known), "near_differently": len(differing)}
        faults = [each for each in differing if each.kind == "introduces_fault"]
        if faults:
            raise Refusal("introduces_fault", faults[0].words)
        if len(differing) >= FEWEST_DIFFERING and len(differing) * 2 > len(known):
            raise Refusal(
                "over_broad",
                f"{len(differing)} of {len(known)} inputs near the benign ones are answered otherwise.",
            )
        if differing:
            told["verdict"] = (
                "harmless as far as seen: benign inputs are answered as before, and"
                f" {len(differing)} of {len(known)} inputs near them are not"
            )
            first = differing[0]
            told |= {"near_before": first.before, "near_after": first.after}
        if behaviour.doubtful(len(differing), len(known)):
            return (
                f"It stops the case's proofs, but {len(differing)} of {len(known)} inputs near the"
                " benign ones are answered otherwise, which may be all that it does to them. Send"
                " the fix of the flaw alone, or say to the recipe which of these are benign."
            )
        return ""

    def _differing(self, before: dict[Case, Answer]) -> list[Difference]:
        """Those that end or print otherwise."""
        after = behaviour.answers(self._laboratory, self._patched, list(before))
        return [
            *behaviour.differences(self._laboratory, before, after, (self._pristine, self._patched))
        ]

    def _writing(self, known: Mapping[Case, Left]) -> list[Difference]:
        """Those that leave other files, as far as they leave any."""
        asked = writing.worth_asking(known)
        found, untold = writing.differences(
            self._laboratory,
            (self._pristine, self._patched),
            {case: known[case] for case in asked},
        )
        if untold or not all(known[case].whole for case in asked):
            self._gaps.append("Not all files that benign inputs leave could be compared.")
        return [*found]

    def _writing_near(
        self, known: Mapping[Case, Answer], besides: set[Case], *, most: int = writing.MOST_NEAR
    ) -> list[Difference]:
        """Inputs near the benign ones that leave other files: those of targets that leave any."""
        benign = self._baselines.leavings(self._laboratory, self._recipe)
        writes = {case.target for case, left in benign.items() if left.places}
        cases: Sequence[Case] = [
            case for case in known if case.target in writes and case not in besides
        ]
        builds = (self._pristine, self._patched)
        return [*writing.near_differences(self._laboratory, builds, cases, most=most)]

    def _offered(self) -> dict[str, str] | None:
        if Flavour.PLAIN not in self._recipe.build.flavours:
            return None
        return behaviour.offered(self._laboratory, self._builds[1](Flavour.PLAIN))


def _telling(sort: str) -> bool:
    return ordinary.SORTS[sort].telling

"""The parts of a draft for a package that an interpreter runs: PyPI and npm.

Both sides are built and surveyed in the sandbox. A proof is then tried on what the package offers,
what the fix changed first, until a target tells the two sides apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import proofs
from clearhold.validation.drafting.candidates import MOST_TRIED, Plan, open_plan, plans
from clearhold.validation.drafting.draft import FLAVOURS, DraftedTarget, Parts
from clearhold.validation.drafting.proofs import Told
from clearhold.validation.drafting.survey import Ranked, changed, ranked, survey
from clearhold.validation.oracles import oracle
from clearhold.validation.recipe import Flavour, Recipe, Side

_NODE: Final = ("/usr/bin/node", "/recipe/call.cjs", "/in/proof")
# Without site-packages: a recipe holds all that its package needs, whatever else a machine has.
_PYTHON: Final = ("/usr/bin/python3", "-s", "-S", "/recipe/call.py", "/in/proof")
_MOST_ORACLES: Final = 3
_OTHERWISE: Final = (
    "no way told the two sides apart: let the proof name its call (docs/recipes.md), or write the plan's "
    "JSON and the target's oracle by hand"
)


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of a package before it is built: its name, script and host.

    `names` are Python's top modules, or the one name of an npm package. `problems` are what could
    not be told of its source.
    """

    names: tuple[str, ...]
    script: bytes
    node: bool
    compiled: bool = False
    problems: tuple[str, ...] = ()

    @property
    def package(self) -> str | list[str]:
        """The package as plans name it."""
        return self.names[0] if self.node else list(self.names)


def parts(
    material: Material, targets: Sequence[tuple[Plan, str]], *, benign: bytes = b"a\n"
) -> Parts:
    """What is drafted: a target for each plan with its oracle, on the shared driver."""
    host: Literal["node", "python"] = "node" if material.node else "python"
    made = Parts(material.script, [], missing=list(material.problems))
    made.drivers = ("call.cjs" if material.node else "call.py",)
    for plan, judge in targets:
        file = f"{plan.name}.json"
        made.files[file] = plan.written
        argv = (*(_NODE if material.node else _PYTHON), f"/recipe/{file}")
        flavour = "plain" if material.node else FLAVOURS.get(judge, "plain")
        made.targets.append(
            DraftedTarget(plan.name, plan.summary, argv, judge, flavour, benign, host, (file,))
        )
    return made


def surveyed(
    laboratory: Laboratory, material: Material, made: Callable[[Parts], Recipe], words: str
) -> tuple[list[Ranked], list[str]]:
    """What both sides offer, in the order of promise, and what went wrong."""
    recipe = made(parts(material, []))
    found = [
        survey(
            laboratory,
            laboratory.build(recipe, side, flavour=Flavour.PLAIN),
            node=material.node,
            names=material.names,
        )
        for side in (Side.VULNERABLE, Side.FIXED)
    ]
    problems = [
        f"{side}: {problem}"
        for side, told in zip(("vulnerable", "fixed"), found, strict=True)
        for problem in told.problems
        if not told.entries or problem.split(":")[0] in material.names
    ]
    if found[0].entries and not changed(found[0], found[1]):
        problems.append(
            "both releases define the same, so the fix may have come before: name an older release with "
            "--vulnerable"
        )
    return ranked(found[0], found[1], words), problems


def judges(told: Told | None, stated: str, *, node: bool) -> list[str]:
    """The oracles to try: those that a proof's canaries are for, else what the record says."""
    host: Literal["node", "python"] = "node" if node else "python"
    if told is not None and told.form == "growing":
        return ["complexity"]
    wanted = [*(told.oracles if told else ()), stated]
    if told is not None and stated == "complexity":
        # A proof that is no generator can only be slow, not be seen to grow.
        wanted = ["hang" if each == "complexity" else each for each in wanted]
    fitting = [each for each in dict.fromkeys(wanted) if host in oracle(each).hosts]
    return fitting[:_MOST_ORACLES] or ["pollution" if node else "hang"]


def offered(
    laboratory: Laboratory,
    material: Material,
    made: Callable[[Parts], Recipe],
    *,
    stated: str,
    words: str,
    proof: bytes | None,
) -> Parts:
    """The parts of a draft: a target for each way worth trying, or one that a proof names its call to.

    `made` makes a recipe of parts, `stated` is the oracle that the record speaks for, `words` what
    it says. Raises what builds and the sandbox raise.
    """
    told = None if proof is None else proofs.read(proof)
    said = f"{words}\n{'' if proof is None else proof.decode('utf-8', 'replace')}"
    entries, problems = surveyed(laboratory, material, made, said)
    judged = judges(told, stated, node=material.node)
    if told is None:
        plan = open_plan(material.package, entries)
        found = parts(material, [(plan, judged[0])], benign=_calling_nothing(plan))
    else:
        targets = [
            (plan, judge)
            for judge in judged
            for plan in plans(material.package, entries, told, judge, node=material.node)
        ][:MOST_TRIED]
        named = [
            (replace(plan, name=f"way-{at}"), judge) for at, (plan, judge) in enumerate(targets)
        ]
        found = parts(material, named, benign=proofs.benign(told))
        inner = proofs.within(told) if told.form == "growing" else told
        found.otherwise, found.certain = _OTHERWISE, inner.form == "call"
    found.missing += problems
    if not entries:
        found.missing.append("nothing that can be called was found on both sides")
    if told is not None and told.program:
        found.missing.append(
            "the proof reads like a program: proofs are data, and no program of a submitter is run"
        )
    return found


def unbuilt(material: Material, judge: str) -> Parts:
    """The parts of a draft that was not built, and of which nothing is known therefore."""
    found = parts(material, [(open_plan(material.package, []), judge)])
    found.missing.append("call.json: name what may be called")
    return found


def _calling_nothing(plan: Plan) -> bytes:
    allowed = plan.content["allow"]
    return proofs.written({"call": allowed[0] if allowed else "nothing", "args": []})

"""Harnesses of a Python package, drafted from what can be called of it."""

from __future__ import annotations

import itertools
import pprint
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from clearhold.discovery.harness.draft import (
    BUILD_S,
    Box,
    Harnesses,
    Made,
    best,
    nothing_there,
    offered,
    trials,
)
from clearhold.discovery.harness.trial import BENIGN, sound
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import DraftedTarget, Fuzzed, Parts
from clearhold.validation.drafting.candidates import Plan, plans
from clearhold.validation.drafting.proofs import Told
from clearhold.validation.drafting.scripted import Material
from clearhold.validation.drafting.survey import Ranked, ranked, survey
from clearhold.validation.drafting.trial import alone
from clearhold.validation.recipe import Flavour, Recipe, Side

_MOST_PLANS: Final = 80
_MOST_SEARCHED: Final = 16
_LONGEST_NAME: Final = 100
_FORMS: Final[tuple[Literal["text", "bytes", "reader"], ...]] = ("text", "bytes", "reader")
_TAKES_OTHER: Final = frozenset({"refused", "refused TypeError", "refused AttributeError"})

_PYTHON: Final = '''\
"""A fuzz harness: {summary}."""

import raising

test_one_input = raising.calling(
    {plan}
)

if __name__ == "__main__":
    raising.main(test_one_input)
'''


def harnesses(
    laboratory: Laboratory,
    made: Made,
    material: Material,
    tree: Path,
    *,
    box: Box,
) -> Harnesses:
    """Harnesses of a Python package: calls that take the input as text, bytes or an open file.

    Raises as `native`. What can be called is surveyed in the sandbox.
    """
    box.tell("building, and looking at what can be called")
    build = laboratory.build(
        made(Parts(material.script, [])), Side.VULNERABLE, flavour=Flavour.PLAIN
    )
    told = survey(laboratory, build, node=False, names=material.names)
    targets = dict(_targets(material, ranked(told, told, "")))
    if not targets:
        problems = "; ".join(told.problems[:3])
        raise nothing_there(f"Nothing was found that takes an input. {problems}".strip())
    parts = Parts(material.script, list(targets), build_s=BUILD_S)
    parts.drivers = ("call.py", "raising.py")
    parts.files = {target.files[0]: written for target, written in targets.items()}
    recipe = made(parts)
    laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.PLAIN)
    box.tell(f"trying {len(targets)} ways of giving an input")
    there, left_out = _taking(laboratory, recipe, [each.name for each in targets])
    done = trials(laboratory, recipe, there, tree, box)
    return offered(parts, done, best(done), left_out)


def _targets(
    material: Material, entries: Sequence[Ranked]
) -> Iterator[tuple[DraftedTarget, bytes]]:
    """A target with its file for each way of giving the input, the likeliest call first."""
    ways = [
        plans(material.package, entries, Told(form, None, ()), "raised", node=False)
        for form in _FORMS
    ]
    between = itertools.chain.from_iterable(itertools.zip_longest(*ways))
    found = [each for each in between if each is not None]
    seen: set[str] = set()
    for plan in found[:_MOST_PLANS]:
        name = _name(plan, seen)
        seen.add(name)
        file = f"fuzz_{name}.py"
        argv = ("/usr/bin/python3", "-s", "-S", f"/recipe/{file}", "/in/proof")
        fuzz = Fuzzed(python=file, modules=material.names)
        target = DraftedTarget(
            name, plan.summary, argv, "raised", "plain", BENIGN, "python", (file,), fuzz
        )
        written = pprint.pformat(plan.content, indent=4, width=96, sort_dicts=False)
        yield target, _PYTHON.format(summary=plan.summary, plan=written).encode()


def _name(plan: Plan, seen: set[str]) -> str:
    steps = [plan.content["call"], *(step["call"] for step in plan.content.get("then", ()))]
    short = re.sub(r"[^a-z0-9]+", "-", "-".join(steps).lower())[:_LONGEST_NAME].strip("-") or "call"
    numbered = (f"{short}-{count}" for count in itertools.count(2))
    return next(each for each in itertools.chain([short], numbered) if each not in seen)


def _taking(
    laboratory: Laboratory, recipe: Recipe, names: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The harnesses that are sound and whose call takes what it is given, those that accept it first.

    Of several ways to make one call the first stands.
    """
    left_out: dict[str, str] = {}

    def one(name: str) -> tuple[str, str, list[str]]:
        why_not, runs = sound(laboratory, alone(recipe, name), name)
        said = [each.printed.get("stdout", b"").decode("utf-8", "replace").strip() for each in runs]
        return name, why_not, said

    with ThreadPoolExecutor(max_workers=laboratory.workers) as pool:
        told = list(pool.map(one, names))
    takes: list[tuple[bool, str]] = []
    calls: set[str] = set()
    for name, why_not, said in told:
        call = recipe.target(name).summary
        if why_not:
            left_out[name] = why_not
        elif _TAKES_OTHER.issuperset(said):
            left_out[name] = "it takes something else than this"
        elif call in calls:
            left_out[name] = "another way of giving the input to it is tried"
        else:
            calls.add(call)
            takes.append(("taken" not in said, name))
    ordered = [name for _, name in sorted(takes, key=lambda each: each[0])]
    left_out |= dict.fromkeys(ordered[_MOST_SEARCHED:], "likelier ones were tried")
    return ordered[:_MOST_SEARCHED], left_out

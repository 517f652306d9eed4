"""Public flaws, each shown by a proof of ours on the vulnerable side of its recipe and not on the fixed.

Each is judged as the proof of a new bug, with the fixed side withheld, in one run: how many runs a
verdict takes, other tests hold. What the fixed side shows, one run tells. A recipe whose source is
gone, or that needs a command this machine lacks, is skipped visibly.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from clearhold.kernel.errors import UnavailableError
from clearhold.validation import verdict
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.known_proofs import PROOFS, Proof
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Side, all_recipes, load
from clearhold.validation.reproduce import reproduce
from clearhold.validation.verdict import Claim


@pytest.mark.timeout(300)
@pytest.mark.parametrize("proof", PROOFS, ids=[each.cve for each in PROOFS])
def test_a_public_flaw_shows_on_the_vulnerable_side_alone(
    laboratory: Laboratory, proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "FIRST_RUNS", 1)
    recipe = load(proof.recipe)
    for command in recipe.build.needs:
        if shutil.which(command) is None:
            pytest.skip(f"the recipe {recipe.name} needs {command}")
    if recipe.target(proof.target).host == "node" and not laboratory.toolchain().has("node"):
        pytest.skip("the sandbox finds no node")
    flavour = recipe.target(proof.target).flavour
    try:
        builds = {side: laboratory.build(recipe, side, flavour=flavour) for side in Side}
    except UnavailableError as error:
        if hasattr(error, "stage"):
            raise
        pytest.skip(f"{error.message} {error.next_step}")
    vulnerable = builds[Side.VULNERABLE]
    new = replace(recipe, sides={Side.VULNERABLE: recipe.side(Side.VULNERABLE)})
    done = examine(laboratory, new, target=proof.target, proof=proof.content, minimising_runs=0)
    seen = [(run.kind, run.reason) for run in (*done.vulnerable, *done.further)]
    if any(run.kind is RunKind.INCONCLUSIVE for run in done.vulnerable):
        # On a busy machine times are measured again; what was seen at first is told with a failure.
        done = examine(laboratory, new, target=proof.target, proof=proof.content, minimising_runs=0)
    assert done.control is not None
    assert done.control.kind is RunKind.CLEAN, done.control.reason
    assert (done.verdict.label, done.verdict.level) == ("reproduced(no fix yet)", 2), (
        done.verdict,
        seen,
    )
    assert done.vulnerable_build == replace(vulnerable, recipe=new, cached=True)
    assert (done.fixed_build, done.fixed) == (None, ())
    (fixed,) = reproduce(
        laboratory, builds[Side.FIXED], target=proof.target, proof=proof.content, runs=1
    )
    assert fixed.kind is RunKind.CLEAN, fixed.reason


def test_the_fixed_side_of_every_recipe_is_withheld_once() -> None:
    with_a_fix = {each.name for each in all_recipes() if Side.FIXED in each.sides}
    assert {each.recipe for each in PROOFS} == with_a_fix


@pytest.mark.timeout(180)
def test_when_the_benign_input_fails_nothing_is_said_of_a_proof(laboratory: Laboratory) -> None:
    proof = next(each for each in PROOFS if each.recipe == "ujson" and each.target == "encode")
    recipe = load(proof.recipe)
    control = recipe.target(proof.target).control
    faulty = replace(recipe, files={**recipe.files, control: proof.content})
    done = examine(laboratory, faulty, target=proof.target, proof=proof.content, minimising_runs=0)
    assert (done.verdict.label, done.verdict.level) == ("harness_fault", 0)
    assert "benign control" in done.verdict.reason


def test_what_recipes_say_they_show_is_what_is_proved() -> None:
    said = {
        (cve, recipe.name, name)
        for recipe in all_recipes()
        for name, target in recipe.targets.items()
        for cve in target.cves
    }
    proved = {(each.cve, each.recipe, each.target) for each in PROOFS}
    assert proved == said
    assert len({cve for cve, _, _ in said}) >= 30
    assert len({recipe for _, recipe, _ in said}) >= 20


def test_ten_kinds_of_violation_are_shown() -> None:
    shown = {load(each.recipe).target(each.target).oracle for each in PROOFS}
    assert len(shown) >= 10


def test_without_node_a_script_is_not_judged_and_nobody_is_blamed(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = laboratory.toolchain()
    without = tuple(each for each in found.versions if not each.startswith("node "))
    monkeypatch.setattr(laboratory, "toolchain", lambda: replace(found, versions=without))
    done = examine(laboratory, load("minimist"), target="parse", proof=b"[]", claim=Claim())
    assert done.verdict.label == "environment_failure(toolchain)"

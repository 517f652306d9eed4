"""The recipe for Pygments: a run that does not end on 2.7.3 ends on 2.7.4."""

from __future__ import annotations

from clearhold.demo import material
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import reproduce, run_many
from clearhold.wire import finding_json


def test_the_lexer_hangs_on_the_vulnerable_version_alone(
    laboratory: Laboratory, pygments: Recipe
) -> None:
    document = finding_json.read(material.pygments_report())
    assert str(document.package.package) == pygments.package
    builds = {
        side: laboratory.build(pygments, side, flavour=Flavour.PLAIN)
        for side in (Side.VULNERABLE, Side.FIXED)
    }
    control = pygments.control(document.target)
    benign, hung = run_many(
        laboratory,
        builds[Side.VULNERABLE],
        target=document.target,
        proofs=[control, document.proof],
        runs=1,
    )
    assert benign[0].kind is RunKind.CLEAN
    assert hung[0].kind is RunKind.VIOLATION
    assert hung[0].signature == ("hang",)
    (fixed,) = reproduce(
        laboratory, builds[Side.FIXED], target=document.target, proof=document.proof, runs=1
    )
    assert fixed.kind is RunKind.CLEAN


def test_a_proof_that_names_no_lexer_is_unusable(laboratory: Laboratory, pygments: Recipe) -> None:
    build = laboratory.build(pygments, Side.VULNERABLE, flavour=Flavour.PLAIN)
    for (run,) in run_many(
        laboratory,
        build,
        target="lex",
        proofs=[b"", b"no-lexer\nx", b"\xff\n", b"sml" * 30000],
        runs=1,
    ):
        assert run.kind is RunKind.UNUSABLE

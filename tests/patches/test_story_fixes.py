"""The story's two candidate fixes: one hides lab A's proof alone, the other ends the flaw."""

from __future__ import annotations

import json
import random

import pytest
from unidiff import PatchSet

from clearhold.demo import material
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.oracles import RunKind, oracle
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import reproduce, run_many, vary
from clearhold.wire import finding_json, sarif
from reproduction_bench import DEEP_LISTS

_PROGRAMS = """\
import sys
sys.path.insert(0, "/recipe")
import encode
from pathlib import Path
for line in Path(sys.argv[1]).read_bytes().splitlines():
    encode.run(bytes.fromhex(line.decode()))
"""


def _build(laboratory: Laboratory, ujson: Recipe, patch: bytes | None) -> Build:
    return laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.ADDRESS, patch=patch)


def _lab_b_proof() -> bytes:
    (result,) = sarif.read(material.lab_b_report()).runs[0].results
    assert result.proof is not None
    return result.proof.data


def _kinds(laboratory: Laboratory, build: Build, proofs: list[tuple[str, bytes]]) -> list[RunKind]:
    return [
        reproduce(laboratory, build, target=target, proof=proof, runs=1)[0].kind
        for target, proof in proofs
    ]


@pytest.fixture(scope="module")
def variants(laboratory: Laboratory, ujson: Recipe) -> list[tuple[str, bytes]]:
    build = _build(laboratory, ujson, None)
    return [
        *vary(laboratory, build, target="encode", proof=DEEP_LISTS).values(),
        *vary(laboratory, build, target="dumps", proof=_lab_b_proof()).values(),
    ]


def test_both_touch_the_encoder_alone() -> None:
    for diff in (material.real_fix(), material.hiding_fix()):
        assert [each.path for each in PatchSet(diff.decode())] == ["lib/ultrajsonenc.c"]


def test_the_real_fix_ends_every_proof_and_every_variant(
    laboratory: Laboratory, ujson: Recipe, variants: list[tuple[str, bytes]]
) -> None:
    build = _build(laboratory, ujson, material.real_fix())
    proofs = [("encode", DEEP_LISTS), ("dumps", _lab_b_proof()), *variants]
    assert set(_kinds(laboratory, build, proofs)) == {RunKind.CLEAN}


def test_the_hiding_fix_ends_lab_as_proof_and_not_lab_bs(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = _build(laboratory, ujson, material.hiding_fix())
    proofs = [("encode", DEEP_LISTS), ("dumps", _lab_b_proof())]
    assert _kinds(laboratory, build, proofs) == [RunKind.CLEAN, RunKind.VIOLATION]


def test_the_hiding_fix_hides_whatever_lab_as_fuzzer_can_write(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    chance = random.Random(1)  # noqa: S311  (draws programs, not secrets)
    alphabet = b"[[[[    ]0a+-"
    programs = [bytes(chance.choices(alphabet, k=chance.randint(40, 256))) for _ in range(600)]
    build = _build(laboratory, ujson, material.hiding_fix())
    judge = oracle("address")
    kinds = []
    for tried in (build, _build(laboratory, ujson, None)):
        outcome = laboratory.run(
            Job(
                argv=("/usr/bin/python3", "-s", "/in/programs.py", "/in/programs"),
                trees={"/build": tried.directory},
                files={
                    "/in/programs.py": _PROGRAMS.encode(),
                    "/in/programs": "\n".join(each.hex() for each in programs).encode(),
                    "/recipe/encode.py": ujson.files["encode.py"],
                },
                env={**judge.env(tried.toolchain, "python"), "PYTHONPATH": "/build"},
                limits=Limits(wall_s=60.0, cpu_s=60),
            )
        )
        kinds.append(judge.observe(outcome, None).kind)
    assert kinds == [RunKind.CLEAN, RunKind.VIOLATION]


def test_the_real_fix_leaves_the_other_bug_of_the_same_release_alone(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    document = finding_json.read(material.finder_report())
    build = laboratory.build(
        ujson, Side.VULNERABLE, flavour=Flavour.PLAIN, patch=material.real_fix()
    )
    assert _kinds(laboratory, build, [(document.target, document.proof)]) == [RunKind.VIOLATION]


def test_the_fixed_text_is_the_flawed_versions_text_wherever_that_survives(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    samples = [
        {"indent": indent, "value": value}
        for indent in (0, 1, 4)
        for value in ([], {}, [1, [2, {}], []], {"a": {"b": [None, True, 1.5]}, "c": "\u00e9"})
    ]
    script = (
        "import json, sys, ujson\n"
        "for each in json.load(open(sys.argv[1])):\n"
        "    print(ujson.dumps(each['value'], indent=each['indent']))\n"
        "    print(ujson.dumps([each['value']] * 3))\n"
    )
    texts = []
    for patch in (None, material.real_fix()):
        build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.PLAIN, patch=patch)
        outcome = laboratory.run(
            Job(
                argv=("/usr/bin/python3", "-s", "/in/write.py", "/in/samples"),
                trees={"/build": build.directory},
                files={
                    "/in/write.py": script.encode(),
                    "/in/samples": json.dumps(samples).encode(),
                },
                env={"PYTHONPATH": "/build"},
            )
        )
        assert outcome.exit_code == 0, outcome.stderr
        texts.append(outcome.stdout)
    assert texts[0] == texts[1]


def test_an_absurd_indentation_ends_in_an_error_and_not_in_a_crash(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = _build(laboratory, ujson, material.real_fix())
    proofs = [
        b'{"indent": 65535, "value": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"indent": 65535, "value": ' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}",
    ]
    for (run,) in run_many(laboratory, build, target="dumps", proofs=proofs, runs=1):
        assert run.kind in {RunKind.CLEAN, RunKind.RESOURCE_LIMIT}

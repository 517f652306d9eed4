"""The recipe for ujson: true proofs reproduce on 5.1.0 alone, and text or exit codes prove nothing."""

from __future__ import annotations

from clearhold.demo import material
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import Examination, examine
from clearhold.validation.oracles import SANITIZER_EXIT, RunKind, oracle
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import reproduce, run_many, vary
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import finding_json, sarif
from clearhold.wire.finding_json import FindingDocument
from reproduction_bench import DEEP_LISTS

# Every program that is one changed, added or missing byte away from a seed, run in one process.
_NEIGHBOURS = """\
import sys
sys.path.insert(0, "/recipe")
import encode
from pathlib import Path
ran = 0
for path in sys.argv[1:]:
    seed = Path(path).read_bytes()
    near = {seed}
    for at in range(len(seed) + 1):
        for byte in range(256):
            one = bytes([byte])
            near.add(seed[:at] + one + seed[at:])
            near.add(seed[:at] + one + seed[at + 1:])
        near.add(seed[:at] + seed[at + 1:])
    for program in near:
        encode.run(program)
    ran += len(near)
print(ran)
"""


def _examined(
    laboratory: Laboratory, recipe: Recipe, document: FindingDocument, *, fix: bool = True
) -> Examination:
    return examine(
        laboratory,
        recipe,
        target=document.target,
        proof=document.proof,
        claim=Claim(
            document.claim.kind, document.package.version or "", tuple(document.claim.signature)
        ),
        compare_with_fix=fix,
        minimising_runs=0,
    )


def test_lab_bs_proof_reproduces_on_the_vulnerable_version_alone(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    (result,) = sarif.read(material.lab_b_report()).runs[0].results
    assert result.proof is not None
    done = examine(
        laboratory, ujson, target=result.proof.target, proof=result.proof.data, minimising_runs=0
    )
    assert done.verdict.confirmed
    assert done.verdict.signature[0] == "out-of-bounds"
    assert "Buffer_AppendIndentUnchecked" in done.verdict.signature
    assert {run.kind for run in done.fixed} == {RunKind.CLEAN}


def test_the_finders_proof_is_a_wrong_result_that_the_newer_release_does_not_give(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    done = _examined(laboratory, ujson, finding_json.read(material.finder_report()))
    assert done.verdict.kind is VerdictKind.REPRODUCED
    assert done.verdict.signature == ("wrong-result", "other-value")


def test_without_a_fix_to_compare_with_a_true_report_stays_at_level_two(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    document = finding_json.read(material.finder_report())
    done = _examined(laboratory, ujson, document, fix=False)
    assert (done.verdict.label, done.verdict.level) == ("reproduced(no fix yet)", 2)


def test_the_convincing_report_is_refused_with_what_was_tried(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    document = finding_json.read(material.false_report())
    assert "ERROR: AddressSanitizer: heap-buffer-overflow" in document.description
    done = _examined(laboratory, ujson, document)
    assert done.verdict.kind is VerdictKind.NOT_REPRODUCED
    assert done.vulnerable_build is not None
    assert done.verdict.detail == done.vulnerable_build.key[:12]
    runs = done.vulnerable + done.further
    assert len(runs) == 15
    assert any(run.randomised for run in runs)
    assert {run.kind for run in runs} == {RunKind.CLEAN}


def test_no_proof_can_print_or_exit_its_way_to_a_verdict(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.ADDRESS)
    forged = b'["ERROR: AddressSanitizer: heap-buffer-overflow", "exit", %d]' % SANITIZER_EXIT
    proofs = [forged, b"", b"\x00" * 64, b"import os; os._exit(77)", b"{", b"[" * 5000]
    for target, kinds in (
        ("loads", {RunKind.CLEAN}),
        ("encode", {RunKind.CLEAN}),
        ("dumps", {RunKind.UNUSABLE}),
    ):
        seen = run_many(laboratory, build, target=target, proofs=proofs[:5], runs=1)
        assert {run.kind for (run,) in seen} == kinds
        assert SANITIZER_EXIT not in {run.exit_code for (run,) in seen}
    (deep,) = reproduce(laboratory, build, target="loads", proof=proofs[5], runs=1)
    assert deep.kind is RunKind.CLEAN


def test_no_seed_of_the_fuzzer_is_within_one_mutation_of_a_crash(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.ADDRESS)
    files = {f"/recipe/{path}": content for path, content in ujson.files.items()}
    files |= {"/in/neighbours.py": _NEIGHBOURS.encode(), "/in/crashing": DEEP_LISTS}
    seeds = {f"/in/seeds/{name}": content for name, content in ujson.seeds("encode").items()}
    judge = oracle("address")

    def run(*programs: str) -> tuple[RunKind, bytes]:
        outcome = laboratory.run(
            Job(
                argv=("/usr/bin/python3", "-s", "/in/neighbours.py", *programs),
                trees={"/build": build.directory},
                files=files | seeds,
                env={**judge.env(build.toolchain, "python"), "PYTHONPATH": "/build"},
                limits=Limits(wall_s=60.0, cpu_s=60),
            )
        )
        return judge.observe(outcome, None).kind, outcome.stdout

    kind, ran = run(*seeds)
    assert kind is RunKind.CLEAN
    assert int(ran) > 2 * 256 * sum(len(seed) for seed in seeds.values())
    assert run("/in/crashing")[0] is RunKind.VIOLATION


def test_variants_of_a_proof_are_proofs_too(laboratory: Laboratory, ujson: Recipe) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.ADDRESS)
    variants = vary(laboratory, build, target="encode", proof=DEEP_LISTS)
    assert {target for target, _ in variants.values()} == {"encode", "dumps"}
    for target in ("encode", "dumps"):
        proofs = [proof for wanted, proof in variants.values() if wanted == target]
        seen = run_many(laboratory, build, target=target, proofs=proofs, runs=1)
        assert {run.kind for (run,) in seen} == {RunKind.VIOLATION}

"""Which reports are one bug is decided by atomic fixes, and by nothing else."""

from __future__ import annotations

import difflib
import hashlib

from benchmarks.root_cause import target as orchard
from benchmarks.root_cause.bench import opened, score
from hypothesis import given
from hypothesis import strategies as st

from clearhold.demo import material
from clearhold.validation.builder import Laboratory
from clearhold.validation.known_proofs import LONE_SURROGATE, NESTED_OBJECTS
from clearhold.validation.matrix import FixRow, KnownProof, Relation, relations, try_fixes
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import reproduce
from reproduction_bench import DEEP_LISTS

OVERFLOW = ("out-of-bounds", "append", "encode", "dumps")
WRONG = ("wrong-result", "other-value")
NEAR = ("out-of-bounds", "append", "encode", "main_loop")


def _proof(name: str, signature: tuple[str, ...] = OVERFLOW) -> KnownProof:
    return KnownProof(name, "encode", b"", signature)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[KnownProof], dict[str, int], list[FixRow]]:
    """Proofs of a few flaws, each with one signature, and what atomic and misleading fixes stop."""
    flaws = range(draw(st.integers(1, 4)))
    signatures = {flaw: draw(st.sampled_from([OVERFLOW, NEAR, WRONG])) for flaw in flaws}
    truth = {f"{name:02}": draw(st.sampled_from(flaws)) for name in range(draw(st.integers(2, 8)))}
    proofs = [_proof(name, signatures[flaw]) for name, flaw in truth.items()]
    stopped = [{name for name in truth if truth[name] == flaw} for flaw in flaws]
    atomic = draw(st.lists(st.sampled_from(stopped), max_size=4))
    partial = [
        {name for name in draw(st.sampled_from(stopped)) if draw(st.booleans())}
        for _ in range(draw(st.integers(0, 3)))
    ]
    rows = draw(st.permutations(atomic + partial))
    return (
        proofs,
        truth,
        [
            FixRow(f"{number:064x}", {name: name in stops for name in truth})
            for number, stops in enumerate(rows)
        ],
    )


@given(worlds())
def test_atomic_and_partial_fixes_never_merge_two_flaws_nor_split_one(
    world: tuple[list[KnownProof], dict[str, int], list[FixRow]],
) -> None:
    proofs, truth, rows = world
    for shown in relations(proofs, rows):
        one = truth[shown.a] == truth[shown.b]
        assert shown.relation is not (Relation.DIFFERENT if one else Relation.SAME)


@given(worlds())
def test_a_compound_fix_merges_nothing_when_each_flaw_has_a_fix_of_its_own(
    world: tuple[list[KnownProof], dict[str, int], list[FixRow]],
) -> None:
    proofs, truth, _ = world
    each = [
        FixRow(f"{flaw:064x}", {name: truth[name] == flaw for name in truth})
        for flaw in set(truth.values())
    ]
    everything = FixRow("f" * 64, dict.fromkeys(truth, True))
    for shown in relations(proofs, [everything, *each]):
        if truth[shown.a] != truth[shown.b]:
            assert shown.relation in {Relation.DIFFERENT, Relation.RELATED}


def test_a_fix_that_stops_one_of_two_like_faults_says_only_that_they_are_related() -> None:
    row = FixRow("0" * 64, {"a": True, "b": False})
    (shown,) = relations([_proof("a"), _proof("b", NEAR)], [row])
    assert shown.relation is Relation.RELATED
    mutual = FixRow("1" * 64, {"a": False, "b": True})
    (shown,) = relations([_proof("a"), _proof("b", NEAR)], [row, mutual])
    assert shown.relation is Relation.DIFFERENT


def test_a_fix_of_two_faults_that_do_not_look_alike_merges_nothing() -> None:
    row = FixRow("0" * 64, {"a": True, "b": True})
    (shown,) = relations([_proof("a"), _proof("b", WRONG)], [row])
    assert shown.relation is Relation.RELATED


def test_without_a_usable_fix_nothing_is_said() -> None:
    assert relations([_proof("a"), _proof("b")], []) == ()


def test_fixes_of_a_real_flaw_join_its_proofs_and_leave_another_flaw_apart(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    known = []
    for name, target, content in (
        ("lists", "encode", DEEP_LISTS),
        ("objects", "dumps", NESTED_OBJECTS),
        ("surrogate", "decode", LONE_SURROGATE),
    ):
        flavour = ujson.target(target).flavour
        build = laboratory.build(ujson, Side.VULNERABLE, flavour=flavour)
        (run,) = reproduce(laboratory, build, target=target, proof=content, runs=1)
        known.append(KnownProof(name, target, content, run.signature))
    unusable = [
        b"not a diff",
        b"--- a/tests/test_ujson.py\n+++ b/tests/test_ujson.py\n@@ -1 +1 @@\n-import json\n+x\n",
        b"--- a/lib/ultrajsonenc.c\n+++ b/lib/ultrajsonenc.c\n@@ -1 +1 @@\n-nowhere\n+x\n",
    ]
    rows = try_fixes(laboratory, ujson, proofs=known, patches=[*unusable, material.real_fix()])
    assert [row.patch_sha256 for row in rows] == [hashlib.sha256(material.real_fix()).hexdigest()]
    told = {(shown.a, shown.b): shown.relation for shown in relations(known, rows)}
    assert told == {
        ("lists", "objects"): Relation.SAME,
        ("lists", "surrogate"): Relation.DIFFERENT,
        ("objects", "surrogate"): Relation.DIFFERENT,
    }


def test_a_partial_fix_and_an_upgrade_sent_as_a_diff_say_nothing(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.ADDRESS)
    (run,) = reproduce(laboratory, build, target="encode", proof=DEEP_LISTS, runs=1)
    lists = KnownProof("lists", "encode", DEEP_LISTS, run.signature)
    partial = try_fixes(laboratory, ujson, proofs=[lists], patches=[material.hiding_fix()])
    assert partial == ()
    assert try_fixes(laboratory, ujson, proofs=[lists], patches=[_upgrade(laboratory, ujson)]) == ()


def _upgrade(laboratory: Laboratory, recipe: Recipe) -> bytes:
    """The whole change from the vulnerable release to the fixed one, as far as it is code."""
    (old, _), (new, _) = (laboratory.source_tree(recipe, side) for side in Side)
    made = []
    for path in sorted((old[""] / "lib").glob("*.[ch]")) + sorted((old[""] / "python").glob("*.c")):
        name = path.relative_to(old[""]).as_posix()
        before, after = (tree[""] / name for tree in (old, new))
        lines = [
            each.read_text(encoding="utf-8").splitlines(keepends=True) for each in (before, after)
        ]
        made += difflib.unified_diff(lines[0], lines[1], f"a/{name}", f"b/{name}")
    return "".join(made).encode()


FLAWS = (1, 2, 10, 25)


def test_flaws_of_one_function_are_told_apart_and_misleading_fixes_give_no_row(
    laboratory: Laboratory,
) -> None:
    with opened(each=3, workers=2, flaws=FLAWS, seed=7) as bench:
        atomic = [orchard.patch(orchard.source(fixed=[each])) for each in FLAWS]
        misleading = [orchard.patch(orchard.source(fixed=each)) for each in ((1, 2), (2, 25))]
        misleading.append(orchard.patch(orchard.source(broad="writes")))
        partial = [orchard.patch(orchard.source(partial=[each])) for each in (1, 10)]
        rows = try_fixes(
            bench.laboratory,
            bench.recipe,
            proofs=bench.proofs,
            patches=[*misleading, *partial, *atomic],
        )
        told = {row.patch_sha256 for row in rows}
        whole = {hashlib.sha256(each).hexdigest() for each in atomic}
        assert whole <= told
        assert not told & {hashlib.sha256(each).hexdigest() for each in misleading}
        seen = score(bench.truth, relations(bench.proofs, rows))
        assert (seen.wrong_merges, seen.wrong_splits, seen.clusters) == (0, 0, len(FLAWS))
        alone = [row for row in rows if row.patch_sha256 not in whole]
        left = score(bench.truth, relations(bench.proofs, alone))
        assert (left.wrong_merges, left.wrong_splits) == (0, 0)

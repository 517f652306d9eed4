"""Which reports are one bug is decided by atomic fixes, and by nothing else."""

from __future__ import annotations

import difflib
import hashlib
from importlib import resources
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from clearhold.demo import material
from clearhold.validation.builder import Laboratory
from clearhold.validation.matrix import FixRow, KnownProof, Relation, relations, try_fixes
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.reproduce import reproduce
from reproduction_bench import DEEP_LISTS

OVERFLOW = ("out-of-bounds", "append", "encode", "dumps")
WRONG = ("wrong-result", "other-value")
ROWS = st.lists(
    st.fixed_dictionaries({name: st.booleans() for name in "abcd"}), min_size=0, max_size=5
)


def _proof(name: str, signature: tuple[str, ...] = OVERFLOW) -> KnownProof:
    return KnownProof(name, "encode", b"", signature)


@given(ROWS)
def test_one_fix_that_tells_two_proofs_apart_outweighs_all_that_stop_both(
    table: list[dict[str, bool]],
) -> None:
    rows = [FixRow(f"{number:064x}", stops) for number, stops in enumerate(table)]
    told = {
        (shown.a, shown.b): shown.relation
        for shown in relations([_proof(name) for name in "dbca"], rows)
    }
    for a, b in combinations("abcd", 2):
        apart = any(row[a] != row[b] for row in table)
        both = any(row[a] and row[b] for row in table)
        expected = Relation.DIFFERENT if apart else Relation.SAME if both else None
        assert told.get((a, b)) == expected


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
        ("objects", "dumps", _material("lab_b_proof.json")),
        ("surrogate", "decode", _material("finder_proof.json")),
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


def _material(name: str) -> bytes:
    return (resources.files(material) / name).read_bytes()

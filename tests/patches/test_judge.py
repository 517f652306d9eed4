"""The laboratory tells real, idle, hiding, breaking and unusable candidates apart, on real code."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import pytest

from clearhold.cases.material import CaseProof
from clearhold.demo import material
from clearhold.kernel.ids import FindingId
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.patches.records import State
from clearhold.validation.builder import Laboratory
from clearhold.validation.known_proofs import NESTED_OBJECTS
from clearhold.validation.recipe import Recipe, Side
from reproduction_bench import DEEP_LISTS

ENCODER = "lib/ultrajsonenc.c"
PACKAGE = "pkg:pypi/ujson@5.1.0"
LISTS = CaseProof(FindingId("lists"), PACKAGE, "encode", DEEP_LISTS)
OBJECTS = CaseProof(
    FindingId("objects"),
    PACKAGE,
    "dumps",
    NESTED_OBJECTS,
)
HARMLESS = CaseProof(FindingId("harmless"), PACKAGE, "encode", b"[1]")

NEWLINE = "  if (enc->indent > 0) Buffer_AppendCharUnchecked(enc, '\\n');\n"
INDENT = "  int i;\n  if (enc->indent > 0)\n    while (value-- > 0)\n"
ROOM = (
    "  int i;\n  if (enc->indent > 0 && value > 0)\n  {\n"
    "    Buffer_Reserve(enc, (size_t) enc->indent * value + 300);\n"
    "    if (enc->errorMsg) return;\n  }\n"
)

Edited = Callable[..., bytes]


@pytest.fixture
def edited(laboratory: Laboratory, ujson: Recipe) -> Edited:
    """Makes a diff that replaces pieces of one file of ujson 5.1.0."""
    trees, _ = laboratory.source_tree(ujson, Side.VULNERABLE)

    def make(*changes: tuple[str, str], path: str = ENCODER) -> bytes:
        before = (trees[""] / path).read_text(encoding="utf-8")
        after = before
        for old, new in changes:
            assert after.count(old) == 1, old
            after = after.replace(old, new)
        old_lines, new_lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
        made = difflib.unified_diff(old_lines, new_lines, f"a/{path}", f"b/{path}")
        return "".join(made).encode()

    return make


@pytest.fixture
def judged(laboratory: Laboratory) -> Callable[..., Judgement]:
    judge = LaboratoryJudge(laboratory, search_s=1)

    def run(diff: bytes, *proofs: CaseProof, others: tuple[CaseProof, ...] = ()) -> Judgement:
        judgement, delivery = judge.judge(Candidate(diff, proofs or (LISTS, OBJECTS), others))
        assert delivery is None
        assert judgement.state is not State.ACCEPTED
        return judgement

    return run


def test_a_diff_that_writes_outside_its_tree_is_not_even_built(
    judged: Callable[..., Judgement],
) -> None:
    outside = b"--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"
    assert judged(outside).kind == "unsafe_diff"


def test_a_diff_that_touches_the_tests_or_the_build_is_refused(
    judged: Callable[..., Judgement], edited: Edited
) -> None:
    deleted = edited(("def test_encode_indent", "def hidden"), path="tests/test_ujson.py")
    judgement = judged(deleted)
    assert judgement.kind == "touches_tests_or_build"
    assert "tests/test_ujson.py" in judgement.reason


def test_a_diff_for_another_version_does_not_apply(judged: Callable[..., Judgement]) -> None:
    other = b"--- a/lib/ultrajsonenc.c\n+++ b/lib/ultrajsonenc.c\n@@ -1 +1 @@\n-no such line\n+x\n"
    assert judged(other).kind == "does_not_apply"


def test_a_diff_that_is_no_program_does_not_build(
    judged: Callable[..., Judgement], edited: Edited
) -> None:
    judgement = judged(edited((NEWLINE, "  this is not C\n")))
    assert (judgement.state, judgement.kind) == (State.REFUSED, "does_not_build")
    assert "not C" in str(judgement.facts["log"])


def test_a_change_without_effect_is_told_from_a_fix(
    judged: Callable[..., Judgement], edited: Edited
) -> None:
    judgement = judged(edited((NEWLINE, "  /* checked */\n" + NEWLINE)))
    assert (judgement.state, judgement.kind) == (State.REFUSED, "no_op")
    assert [outcome.stopped for outcome in judgement.proofs] == [False, False]
    assert all("stack-buffer-overflow" in outcome.observed for outcome in judgement.proofs)


def test_a_fix_that_hides_the_only_proof_is_found_out_by_its_variants(
    judged: Callable[..., Judgement],
) -> None:
    judgement = judged(material.hiding_fix(), LISTS)
    assert (judgement.state, judgement.kind) == (State.REFUSED, "symptom_only")
    assert [outcome.stopped for outcome in judgement.proofs] == [True]
    assert "objects" not in judgement.reason


def test_a_fix_that_drops_the_feature_is_over_broad(
    judged: Callable[..., Judgement], edited: Edited
) -> None:
    judgement = judged(
        edited((NEWLINE, ""), (INDENT, "  int i;\n  if (0)\n    while (value-- > 0)\n"))
    )
    assert (judgement.state, judgement.kind) == (State.REFUSED, "over_broad")


def test_a_fix_that_breaks_something_else_is_found_out_by_the_projects_tests(
    judged: Callable[..., Judgement], edited: Edited
) -> None:
    judgement = judged(
        edited(
            (INDENT, ROOM + INDENT.removeprefix("  int i;\n")),
            ('SetError (obj, enc, "Maximum recursion level reached");', ""),
            (
                'static const char g_hexChars[] = "0123456789abcdef"',
                'static const char g_hexChars[] = "0123456789ABCDEF"',
            ),
        )
    )
    assert (judgement.state, judgement.kind) == (State.REFUSED, "test_breaking"), judgement.reason
    assert all(outcome.stopped for outcome in judgement.proofs)
    assert judgement.facts["tests"]["no_longer_passing"]


def test_a_proof_that_does_not_work_unpatched_leaves_the_fix_undecided(
    judged: Callable[..., Judgement],
) -> None:
    judgement = judged(material.real_fix(), LISTS, HARMLESS)
    assert (judgement.state, judgement.kind) == (State.UNDECIDED, "no_proof")


def test_a_package_without_a_recipe_leaves_the_fix_undecided(
    judged: Callable[..., Judgement],
) -> None:
    strange = CaseProof(FindingId("f"), "pkg:pypi/nothing-here@1", "encode", b"")
    assert judged(material.real_fix(), strange).kind == "no_recipe"


def test_a_proof_of_another_case_with_the_same_fault_counts_and_is_not_told_of(
    judged: Callable[..., Judgement],
) -> None:
    judgement = judged(material.hiding_fix(), LISTS, others=(OBJECTS,))
    assert judgement.kind == "symptom_only"
    assert [outcome.finding for outcome in judgement.proofs] == ["lists"]
    assert "objects" not in judgement.to_bytes().decode()

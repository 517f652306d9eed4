"""What nothing runs has shown nothing: changes are found by line, and what ran them told apart."""

from __future__ import annotations

from dataclasses import replace

from clearhold.cases.material import CaseProof
from clearhold.kernel.ids import FindingId
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate
from clearhold.patches.reach import spots
from clearhold.patches.records import State
from clearhold.validation import line_coverage
from clearhold.validation.builder import Laboratory
from clearhold.validation.diff import read_diff
from clearhold.validation.recipe import Flavour, Side, load

FIX = b"""\
--- a/index.js
+++ b/index.js
@@ -118,2 +118,3 @@
     while (key2 !== undefined) {
+      if (key1 === '__proto__') return
       const type = Object.prototype.toString.call(recipient[key1])
"""
BESIDE = b"""\
--- a/cli.js
+++ b/cli.js
@@ -29,3 +29,3 @@
 function out (data) {
-  process.stdout.write(JSON.stringify(flat(data), null, 2))
+  process.stdout.write(JSON.stringify(flat(data), null, 1))
 }
"""


def _spots(hunk: str, path: str = "a.c") -> list[tuple[int, frozenset[int]]]:
    (change,) = read_diff(f"--- a/{path}\n+++ b/{path}\n{hunk}".encode()).changes
    return [(each.first, each.lines) for each in spots(change)]


def test_runs_of_changed_lines_are_found_by_their_lines_of_code() -> None:
    hunk = "@@ -1,4 +1,6 @@\n one;\n+two;\n+/* said */\n three;\n-four;\n+five;\n six;\n"
    assert _spots(hunk) == [(2, frozenset({2})), (5, frozenset({5}))]


def test_lines_that_only_brackets_keep_apart_stand_together() -> None:
    hunk = "@@ -1,3 +1,5 @@\n one;\n+if (bad)\n {\n+return;\n }\n"
    assert _spots(hunk) == [(2, frozenset({2, 4}))]


def test_lines_that_are_only_taken_out_are_found_by_what_follows() -> None:
    assert _spots("@@ -10,3 +10,2 @@\n one;\n-two;\n three;\n") == [(11, frozenset())]


def test_comments_and_documents_are_no_changes_of_code() -> None:
    hunk = "@@ -1,2 +1,3 @@\n one;\n+// said\n two;\n"
    assert _spots(hunk) == []
    assert _spots(hunk.replace("// said", "said"), "README.md") == []


def test_a_change_is_run_when_one_of_its_lines_is() -> None:
    (change,) = read_diff(
        b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,4 @@\n one;\n+if (bad)\n+  return;\n two;\n"
    ).changes
    (spot,) = spots(change)
    assert spot.was_run({"a.c": {2: True, 3: False}}) is True
    assert spot.was_run({"a.c": {1: True, 2: False, 3: False}}) is False
    assert spot.was_run({"a.c": {1: True}}) is None
    assert spot.was_run({"b.c": {1: True}}) is False
    assert replace(spot, path="a.h").was_run({"b.c": {1: True}}) is None


def test_what_lines_were_taken_out_of_is_asked_on_both_sides() -> None:
    (change,) = read_diff(b"--- a/a.c\n+++ b/a.c\n@@ -1,3 +1,2 @@\n one;\n-two;\n three;\n").changes
    (spot,) = spots(change)
    assert spot.was_run({"a.c": {1: False, 2: True}}) is True
    assert spot.was_run({"a.c": {1: False, 2: False, 9: True}}) is False


def test_files_are_matched_by_most_of_their_path() -> None:
    seen = {"/x/lib/a.py": {1: True}, "/x/other/a.py": {1: False}}
    assert line_coverage.of_paths(["src/other/a.py"], seen) == {"src/other/a.py": {1: False}}
    assert line_coverage.merged({"a": {2: False}}, {"a": {1: False, 2: True}}) == {
        "a": {1: False, 2: True}
    }


def test_a_fix_with_a_change_beside_it_that_nothing_runs_is_not_shown(
    laboratory: Laboratory,
) -> None:
    recipe = load("flat")
    proof = CaseProof(
        FindingId("polluting"), f"{recipe.package}@1", "unflatten", b'{"__proto__.polluted": 1}'
    )
    judge = LaboratoryJudge(laboratory, search_s=0)
    alone, _ = judge.judge_by(recipe, Candidate(FIX, (proof,), ()))
    assert alone.state is State.ACCEPTED, alone.reason
    assert alone.facts["reach"]["measured_by"] == ["V8's coverage"]
    assert alone.facts["regression_test"]["passes_with"]
    more, _ = judge.judge_by(recipe, Candidate(FIX + BESIDE, (proof,), ()))
    assert (more.state, more.kind) == (State.UNDECIDED, "not_shown")
    assert "cli.js:30" in more.reason


def test_a_build_that_holds_programs_of_the_shell_is_measured(laboratory: Laboratory) -> None:
    recipe = load("cjson")
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.COVERAGE)
    assert (build.directory / "run_tests.sh").stat().st_mode & 0o111
    seen = line_coverage.lines_of_input(
        laboratory, build, "parse", recipe.control("parse"), line_coverage.native()
    )
    ran = line_coverage.of_paths(["cJSON.c"], seen)["cJSON.c"]
    assert {True, False} == set(ran.values())

"""What shipped drivers print lets a fix that ignores dots or dashes be told from one that does not."""

from __future__ import annotations

import difflib
from typing import NamedTuple

import pytest

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.patches import answering
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate
from clearhold.validation.builder import Laboratory
from clearhold.validation.known_proofs import PROOFS
from clearhold.validation.recipe import Side, load


class Fix(NamedTuple):
    """Edits to a file of the vulnerable version; `broad` is what one more, or another, does."""

    recipe: str
    file: str
    real: dict[str, str]
    broad: dict[str, str]
    sort: str
    more: bytes = b""
    """A proof that runs what the known one leaves out."""


_NAMES = "__proto__|constructor|prototype"
FIXES = (
    Fix(
        "ini",
        "ini.js",
        {
            "section = unsafe(match[1])": "section = unsafe(match[1])\n"
            "      if (section === '__proto__') { p = {}; return }",
            "parts.forEach(function (part, _, __) {": "parts.forEach(function (part, _, __) {\n"
            "      if (part === '__proto__') return",
        },
        {"if (!match) return": "if (!match || line.indexOf('.') >= 0) return"},
        "a dot in a word",
        b"[__proto__.polluted]\nname = value\n",
    ),
    Fix(
        "dot-prop",
        "index.js",
        {"return parts;": f"return parts.some(each => /^({_NAMES})$/.test(each)) ? [] : parts;"},
        {"return parts;": f"return parts.some(each => /^({_NAMES})$|-/.test(each)) ? [] : parts;"},
        "a dash in a word",
    ),
    Fix(
        "deep-extend",
        "lib/deep-extend.js",
        {"keys(obj).forEach(function (key) {": "keys(obj).forEach(function (key) {\n"
            "\t\t\tif (key === '__proto__') return;"},
        {"keys(obj).forEach(function (key) {": "keys(obj).forEach(function (key) {\n"
            "\t\t\tif (/^__proto__$|-/.test(key)) return;"},
        "a dash in a word",
    ),
    Fix(
        "set-value",
        "index.js",
        {"var idx = -1;": "var idx = -1;\n"
            f"  if (keys.some(function(key) {{ return /^({_NAMES})$/.test(key); }})) return obj;"},
        {"var idx = -1;": "var idx = -1;\n"
            f"  if (keys.some(function(key) {{ return /^({_NAMES})$|-/.test(key); }})) return obj;"},
        "a dash in a word",
    ),
)  # fmt: skip


def changed(old: str, file: str, edits: dict[str, str]) -> bytes:
    new = old
    for before, after in edits.items():
        assert new.count(before) == 1, before
        new = new.replace(before, after)
    made = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    return "".join(made).encode()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fix", FIXES, ids=[each.recipe for each in FIXES])
def test_a_fix_that_ignores_ordinary_words_is_refused_and_the_real_one_is_not(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, fix: Fix
) -> None:
    if not laboratory.toolchain().has("node"):
        pytest.skip("the sandbox finds no node")
    monkeypatch.setattr(answering, "MOST_MUTANTS", 2)
    monkeypatch.setattr(answering, "MOST_TARGETS", 1)
    recipe = load(fix.recipe)
    try:
        trees, _ = laboratory.source_tree(recipe, Side.VULNERABLE)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    old = (trees[""] / fix.file).read_text()
    known = [each for each in PROOFS if each.recipe == fix.recipe]
    proofs = tuple(
        CaseProof(FindingId(str(number)), str(recipe.package), known[0].target, content)
        for number, content in enumerate([*(each.content for each in known), fix.more])
        if content
    )
    judge = LaboratoryJudge(laboratory, search_s=0)
    real, broad = (
        judge.judge_by(recipe, Candidate(changed(old, fix.file, edits), proofs, ()))[0]
        for edits in (fix.real, fix.real | fix.broad)
    )
    assert real.kind == "accepted", real.reason
    assert broad.kind in {"over_broad", "behaviour_changing"}, broad.reason
    assert fix.sort in broad.reason

"""A draft of a recipe: what published source and a public record tell, and what is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.matching import Affected, Range, Verdict, judge
from clearhold.validation import drafting
from clearhold.validation.drafting import Drafted, Pinned
from clearhold.validation.oracles import oracle_names
from clearhold.validation.recipe import Side, parse

SIDES = {
    "vulnerable": Drafted("1.0", (Pinned("npm:x@1.0", "a" * 64),)),
    "fixed": Drafted("1.1", (Pinned("npm:x@1.1", "b" * 64),)),
}


def draft(tree: Path, kind: str, **given: str) -> drafting.Draft:
    told = {"purl": f"pkg:{kind}/x", "cve": "CVE-2020-1", "summary": "x", "oracle": "hang"} | given
    return drafting.write(kind=kind, sides=SIDES, tree=tree, **told)


@pytest.mark.parametrize(
    ("weaknesses", "words", "oracle"),
    [
        (("CWE-1321",), "", "pollution"),
        (("CWE-9999", "CWE-78"), "", "command"),
        ((), "A memory leak in yajl_tree_parse", "leak"),
        ((), "reachable assertion", "assertion"),
        ((), "ReDoS", "complexity"),
        ((), "something", "address"),
    ],
)
def test_the_oracle_is_told_by_the_weakness_and_then_by_words(
    weaknesses: tuple[str, ...], words: str, oracle: str
) -> None:
    assert drafting.oracle_for(weaknesses, words, kind="deb") == oracle
    assert oracle in oracle_names()


@given(
    releases=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=12),
    introduced=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    fixed=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_the_releases_around_a_fix_are_the_last_affected_and_the_first_that_is_not(
    releases: list[tuple[int, int]], introduced: tuple[int, int], fixed: tuple[int, int]
) -> None:
    names = [f"{major}.{minor}.0" for major, minor in releases]
    stated = Range(f"{introduced[0]}.{introduced[1]}.0", f"{fixed[0]}.{fixed[1]}.0")
    affected = Affected("npm", (stated,))
    try:
        before, after = drafting.around_the_fix("npm", names, affected)
    except NotFoundError:
        inside = [each for each in releases if introduced <= each < fixed]
        assert not inside or not [each for each in releases if each >= fixed]
        return
    assert judge(before, affected).verdict is Verdict.AFFECTED
    assert judge(after, affected).verdict is Verdict.NOT_AFFECTED
    between = [
        each
        for each in releases
        if tuple(map(int, before.split(".")[:2])) < each < tuple(map(int, after.split(".")[:2]))
    ]
    assert between == []


def test_debian_names_the_patches_of_a_flaw_and_the_version_before_it(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "series").write_text(
        "# c\nCVE-2020-1.patch\nother.patch\nb.patch -p1\n"
    )
    (tmp_path / "patches" / "CVE-2020-1.patch").write_text("--- a\n")
    (tmp_path / "patches" / "other.patch").write_text("--- a\n")
    (tmp_path / "patches" / "b.patch").write_text("Mends a memory leak, CVE-2020-1\n--- a leak\n")
    (tmp_path / "changelog").write_text(
        "x (1.0-2+deb12u1) bookworm; urgency=high\n\n  * Mend CVE-2020-1.\n\n -- A\n\n"
        "x (1.0-2) unstable; urgency=low\n\n  * Other.\n\n -- A\n"
    )
    found = drafting.patches_of(tmp_path, "CVE-2020-1")
    assert found == ("CVE-2020-1.patch", "b.patch")
    assert drafting.words_of(tmp_path, found).strip() == "Mends a memory leak, CVE-2020-1"
    assert drafting.version_before(tmp_path, "CVE-2020-1", "1.0-2+deb12u1") == "1.0-2"
    assert drafting.version_before(tmp_path, "CVE-2020-2", "1.0-3") == "1.0-3~unfixed"


def test_a_draft_of_every_kind_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "__init__.py").write_text("")
    (tmp_path / "package.json").write_text('{"dependencies": {"needed": "^1.0.0"}}')
    (tmp_path / "x.c").write_text("int f(void) { return 1; }\n")
    (tmp_path / "x.h").write_text("int f(void);\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.c").write_text("int g(void) { return 1; }\n")
    (tmp_path / "program.c").write_text("int main(void) { return 0; }\n")
    for kind in ("npm", "pypi", "deb"):
        made = draft(tmp_path, kind, summary='a "summary"\n: with # signs')
        recipe = parse("draft", made.files)
        assert recipe.side(Side.FIXED).version == "1.1"
        assert recipe.target("main").cves == ("CVE-2020-1",)
        assert made.lines > 20
        assert any(drafting.MARK in each for each in made.missing)
    assert any("needed" in each for each in draft(tmp_path, "npm").missing)
    script = draft(tmp_path, "deb").files["build.sh"].decode()
    assert "'x.c'" in script
    assert "t.c" not in script
    assert "program.c" not in script


def test_hostile_names_stay_words_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "$(touch x).c").write_text("int f;\n")
    (tmp_path / "a'; exit 3; '.c").write_text("int g;\n")
    script = draft(tmp_path, "deb").files["build.sh"].decode()
    assert "'$(touch x).c'" in script
    assert "'a'\\''; exit 3; '\\''.c'" in script

"""A draft of a recipe: what published source and a public record tell, and what is left to do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.matching import Affected, Range, Verdict, judge
from clearhold.validation import drafting
from clearhold.validation.drafting import Drafted, Parts, Pinned, layout, native, proofs, scripted
from clearhold.validation.drafting.candidates import open_plan, plans
from clearhold.validation.drafting.layout import Layout
from clearhold.validation.drafting.scripted import Material
from clearhold.validation.drafting.survey import Entry, Ranked, Survey, ranked
from clearhold.validation.oracles import oracle_names
from clearhold.validation.recipe import Side, parse

SIDES = {
    "vulnerable": Drafted("1.0", (Pinned("npm:x@1.0", "a" * 64),)),
    "fixed": Drafted("1.1", (Pinned("npm:x@1.1", "b" * 64),)),
}


def native_draft(tree: Path) -> drafting.Draft:
    return written(native.parts("x", tree, oracle="hang"), "pkg:deb/debian/x")


def written(parts: Parts, purl: str, summary: str = "x") -> drafting.Draft:
    return drafting.write(parts, purl=purl, cve="CVE-2020-1", summary=summary, sides=SIDES)


def entry(name: str, **more: object) -> Ranked:
    return Ranked(msgspec.convert({"name": name, "own": name, **more}, Entry), 0, named=False)


@pytest.mark.parametrize(
    ("weaknesses", "words", "oracle"),
    [
        (("CWE-1321",), "", "pollution"),
        (("CWE-9999", "CWE-78"), "", "command"),
        ((), "A memory leak in yajl_tree_parse", "leak"),
        ((), "reachable assertion", "assertion"),
        ((), "ReDoS", "complexity"),
        ((), "an exchange that retrieval changes", "address"),
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
    (tmp_path / "x.c").write_text("int f(void) { return 1; }\n")
    (tmp_path / "x.h").write_text("int f(void);\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.c").write_text("int g(void) { return 1; }\n")
    (tmp_path / "program.c").write_text("int main(void) { return 0; }\n")
    script = native_draft(tmp_path).files["build.sh"].decode()
    assert "'x.c'" in script
    assert "t.c" not in script
    assert "program.c" not in script
    for node in (False, True):
        material = Material(("x",), b"#!/bin/sh\n", node=node)
        plan = open_plan(material.package, [entry("x.f"), entry("x.g")], {"g"})
        made = written(
            scripted.parts(material, [(plan, "eval")]), "pkg:npm/x", 'a "summary"\n: with # signs'
        )
        recipe = parse("draft", made.files)
        assert recipe.side(Side.FIXED).version == "1.1"
        assert recipe.target("call").cves == ("CVE-2020-1",)
        assert b"must" not in recipe.files["call.json"]
        assert ("call.cjs" if node else "call.py") in recipe.files
    assert any(drafting.MARK in each for each in native_draft(tmp_path).missing)


def test_hostile_names_stay_words_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "$(touch x).c").write_text("int f;\n")
    (tmp_path / "a'; exit 3; '.c").write_text("int g;\n")
    script = native_draft(tmp_path).files["build.sh"].decode()
    assert "'$(touch x).c'" in script
    assert "'a'\\''; exit 3; '\\''.c'" in script


def survey(**changes: str) -> Survey:
    """A package whose `api` uses `inner`, which uses `PATTERN`; `other` uses nothing."""
    told = {"m.api": ("a", ["inner"]), "m.inner": ("b", ["PATTERN"]), "m.PATTERN": ("c", [])}
    told["m.other"] = ("d", [])
    told |= {f"m.{name}": (digest, told[f"m.{name}"][1]) for name, digest in changes.items()}
    entries = [{"name": f"m.{name}", "own": name} for name in ("other", "api")]
    return msgspec.convert({"entries": entries, "definitions": told}, Survey)


def test_what_leads_to_the_change_is_tried_first_and_what_is_named_before_it() -> None:
    found = ranked(survey(), survey(PATTERN="new"), "")
    assert [(each.entry.own, each.distance) for each in found] == [("api", 2), ("other", 6)]
    assert ranked(survey(), survey(PATTERN="new"), "a flaw in other()")[0].entry.own == "other"
    gone = survey(inner="new")
    gone.entries = []
    assert ranked(survey(), gone, "") == []


@pytest.mark.parametrize(
    ("proof", "form", "oracles"),
    [
        (b'{"call": "f", "args": [{"__proto__": {}}]}', "call", ("pollution",)),
        (b'{"args": ["$(clearhold-canary)"]}', "args", ("command",)),
        (b'{"largest": 100, "pump": "a"}', "growing", ("complexity",)),
        (b"[1]", "json", ()),
        (b"{{CLEARHOLD_A*CLEARHOLD_B}}", "text", ("template",)),
        (b"PK\x03\x04\xff../../x", "bytes", ("path-escape",)),
        (b"import clearhold_canary", "text", ("import",)),
        (b'{"call": "f", "args": [{"$bytes": "UEsuLi8uLi94"}]}', "call", ("path-escape",)),
        (
            b'{"args": [{"$file": {"name": "a.zip", "bytes": "UEsuLi8uLi94"}}]}',
            "args",
            ("path-escape",),
        ),
        (b'{"args": [{"$bytes": 7}, {"bytes": "***"}]}', "args", ()),
        (b"[" * 900 + b"]" * 900, "text", ()),
    ],
)
def test_a_proof_tells_its_form_and_its_oracle(
    proof: bytes, form: str, oracles: tuple[str, ...]
) -> None:
    told = proofs.read(proof)
    assert (told.form, told.oracles) == (form, oracles)
    tame = proofs.read(proofs.benign(told))
    assert tame.form in {told.form, "text"}
    assert tame.oracles in ((), ("complexity",))


def test_a_program_is_told_from_data() -> None:
    assert proofs.read(b"import os\nos.system('x')").program
    assert proofs.read(b'const x = require("x");').program
    assert not proofs.read(b"<a>import</a>").program


def test_ways_of_giving_a_proof_name_nothing_but_what_was_found() -> None:
    params = [("text", True), ("options", True)]
    some = [
        entry("x.parse", params=params),
        entry("x.Box", **{"class": True, "params": [("a", True)], "methods": {"run": []}}),
    ]
    made = plans(["x"], some, proofs.read(b"text"), "eval", node=False)
    calls = [(each.content["call"], each.content["args"]) for each in made]
    assert ("x.parse", [{"$proof": "text"}, {}]) in calls
    assert ("x.parse", ["a", {"$proof": "text"}]) in calls
    assert {"x.parse", "x.Box"} == {each.content["allow"][0] for each in made}
    assert any(each.content["methods"] == ["run"] for each in made)
    node = plans(
        "x", [entry("merge", length=2)], proofs.read(b'{"__proto__": {}}'), "pollution", node=True
    )
    assert [{"$object": 1}, {"$proof": "json"}] in [each.content["args"] for each in node]


def test_modules_are_found_where_packages_keep_them(tmp_path: Path) -> None:
    for place in ("src/wanted/__init__.py", "tests/wanted/__init__.py", "deep/down/other.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("")
    assert layout.of_python(tmp_path, "wanted").modules == {"wanted": "src"}
    found = layout.of_python(tmp_path, "wanted", ["wanted", "other", "absent"])
    assert found.modules == {"wanted": "src", "other": "deep/down"}
    script = layout.python_script([found], [], name="wanted", compiled=False).decode()
    assert "'src/wanted'" in script
    assert "'deep/down/other'" in script


def test_modules_for_older_interpreters_stand_in_no_ones_place(tmp_path: Path) -> None:
    for name in ("wanted", "html", "queue"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "__init__.py").write_text("")
    (tmp_path / "wanted.egg-info").mkdir()
    (tmp_path / "wanted.egg-info" / "top_level.txt").write_text("html\nqueue\nwanted\n")
    assert set(layout.of_python(tmp_path, "wanted").modules) == {"html", "queue", "wanted"}
    assert layout.of_needed(tmp_path, "wanted").modules == {"wanted": "src"}


def test_a_changelog_tells_the_fix_by_its_headings(tmp_path: Path) -> None:
    (tmp_path / "CHANGES.rst").write_text(
        "Version 2.11.3\n--------------\n\n- Mends CVE-2020-28493.\n\n"
        "Version 2.11.2\n--------------\n\n- Mends CVE-2020-2849.\n"
    )
    versions = ["2.11.2", "2.11.3"]
    assert drafting.fixed_by_changelog(tmp_path, "CVE-2020-28493", versions) == "2.11.3"
    assert drafting.fixed_by_changelog(tmp_path, "CVE-2020-2849", versions) == "2.11.2"
    assert drafting.fixed_by_changelog(tmp_path, "CVE-2020-1", versions) == ""


def test_a_changelog_names_the_patch_and_the_versions_around_it(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "series").write_text("0001-Bound-the-length.patch\nother-thing.patch\n")
    for name in ("0001-Bound-the-length.patch", "other-thing.patch"):
        (tmp_path / "patches" / name).write_text("--- a\n")
    (tmp_path / "changelog").write_text(
        "x (1:2.0-2) unstable; urgency=low\n\n  * Add 0001-Bound-the-\n    length.patch (CVE-2020-1)\n"
        "  * Add other-thing.patch (CVE-2020-12)\n\n -- A\n\nx (1:2.0-1) unstable; urgency=low\n\n  * B.\n"
    )
    assert drafting.patches_of(tmp_path, "CVE-2020-1") == ("0001-Bound-the-length.patch",)
    told = {
        "1:1.9-1": "x (1:1.9-1) u\n\n  * First.\n",
        "1:2.0-1": "x (1:2.0-1) u\n\n  * B.\n",
        "1:2.0-2": (tmp_path / "changelog").read_text(),
    }
    assert drafting.around_the_entry(told, "CVE-2020-1") == [("1:2.0-1", "1:2.0-2")]
    assert drafting.around_the_entry(told, "CVE-2020-3") == []


def test_a_script_installs_what_a_package_needs() -> None:
    script = layout.python_script(
        [Layout({"x": "src"})], [".needed/six/six.py", ".needed/y/."], name="x", compiled=False
    ).decode()
    assert "for place in 'src/x'; do" in script
    assert "for place in '.needed/six/six.py' '.needed/y/.'; do" in script

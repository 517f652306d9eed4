"""What an analyser wrote becomes leads that stay themselves, and nothing it says is taken on trust."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhold.discovery.outcome import looked_at
from clearhold.discovery.static.analysers import all_analysers, semgrep
from clearhold.discovery.static.marks import Around, Hit, around, hits, leads, wanted_lines
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.scanning import paths as globs
from clearhold.scanning.model import MOST_PATHS

NAMES = {"00000.py": "lib/code.py", "00001.py": "lib/odd\nname.py"}


def log(*results: dict[str, Any], name: str = "x") -> bytes:
    run = {"tool": {"driver": {"name": name}}, "results": list(results)}
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def result(uri: str, line: int = 3, rule: str = "R", text: str = "said") -> dict[str, Any]:
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {
        "ruleId": rule,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


@pytest.mark.parametrize("uri", ["00000.py", "staged/00000.py", "file:///work/staged/00000.py"])
def test_a_place_is_named_as_the_package_names_it(uri: str) -> None:
    (hit,) = hits(log(result(uri)), NAMES)
    assert hit == Hit("R", "lib/code.py", 3, "said", "warning")


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "../../secret.py", "", "00009.py", "lib/code.py", "00000.py/.."]
)
def test_what_was_not_laid_out_is_no_place(uri: str) -> None:
    assert hits(log(result(uri)), NAMES) == ()


@pytest.mark.parametrize(
    "written", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": "1.0", "runs": []}', b"nonsense"]
)
def test_what_is_no_sarif_is_refused(written: bytes) -> None:
    with pytest.raises(InvalidError):
        hits(written, NAMES)


def test_too_much_is_refused() -> None:
    with pytest.raises(TooLargeError):
        hits(log(*[result("00000.py", line) for line in range(10_001)]), NAMES)


def test_control_characters_and_length_do_not_come_through() -> None:
    told = "\x1b[2J" + "A" * 9000 + "\nsecond line"
    rule = "R\x1b[2J;rm -rf" + "B" * 900
    (hit,) = hits(log(result("00000.py", 1 << 60, rule, told)), NAMES)
    assert hit.line == 0
    assert hit.message.isprintable()
    assert len(hit.message) <= 600
    assert hit.rule.startswith("R__2J_rm_-rf")
    assert len(hit.rule) <= 160


def test_bytes_of_the_source_that_are_no_text_do_no_harm() -> None:
    raw = log(result("00000.py", text="QUOTED")).replace(b"QUOTED", b"\xe9\xff")
    assert len(hits(raw, NAMES)) == 1


LINES = st.lists(st.sampled_from(["a()", "b()", " a() ", "eval(x)", ""]), min_size=1, max_size=12)


def fingerprints(lines: list[str], flagged: set[int]) -> dict[str, str]:
    """The lead of each flagged line, by its fingerprint, with its text."""
    found = [Hit("R", "f.py", number, "said", "error") for number in sorted(flagged)]
    at = {("f.py", n): Around(text, text) for n, text in enumerate(lines, start=1)}
    return {each.fingerprint: each.excerpt.strip() for each in leads(found, at, engine="x")}


@settings(max_examples=60, deadline=None)
@given(lines=LINES, data=st.data())
def test_leads_stay_themselves_when_lines_move(lines: list[str], data: st.DataObject) -> None:
    """One lead of each place, and the same ones after other lines come in anywhere between."""
    flagged = data.draw(st.sets(st.integers(1, len(lines)), min_size=1))
    before = fingerprints(lines, flagged)
    assert len(before) == len(flagged)
    moved, places = [], set()
    for number, text in enumerate(lines, start=1):
        moved += ["# new"] * data.draw(st.integers(0, 2))
        moved.append("  " + text)
        if number in flagged:
            places.add(len(moved))
    assert fingerprints(moved, places) == before


@settings(max_examples=40, deadline=None)
@given(st.permutations([result("00000.py", n, r) for n in (1, 2, 9) for r in ("R", "S")] * 2))
def test_order_and_repetition_in_a_log_change_nothing(results: list[dict[str, Any]]) -> None:
    assert hits(log(*results), NAMES) == hits(log(*results[::-1]), NAMES)
    assert len(hits(log(*results), NAMES)) == 6


def test_another_rule_path_or_text_is_another_lead() -> None:
    found = [Hit("R", "a.py", 1, "m", "note"), Hit("S", "a.py", 1, "m", "error")]
    found.append(Hit("R", "b.py", 1, "m", "none"))
    at = {(path, 1): Around("x", "1: x") for path in ("a.py", "b.py")}
    made = leads(found, at, engine="ruff")
    assert len({each.fingerprint for each in made}) == 3
    assert [each.level for each in made] == ["error", "note", "none"]


def test_what_is_shown_is_the_line_between_its_neighbours() -> None:
    hit = Hit("R", "a.py", 1, "m", "note")
    assert wanted_lines([hit, Hit("R", "a.py", 0, "m", "note")]) == {"a.py": [1, 2]}
    read = {("a.py", 1): "x", ("a.py", 2): "y"}
    assert around(read, [hit]) == {("a.py", 1): Around("x", "1: x\n2: y")}


def test_coverage_says_which_files_were_read_within_its_bounds() -> None:
    assert looked_at(("a/b.py", "a/c.py", "d.c")) == ("*.c", "a/*.py")
    many = tuple(f"top/{n}/{m}.py" for n in range(40) for m in range(2))
    assert looked_at(many) == ("top/**/*.py",)
    assert looked_at(("a/b?.py", "../x.py")) == ()
    assert looked_at(tuple(f"{n}/x.py" for n in range(MOST_PATHS + 1))) == ("**/*.py",)
    for path in many:
        assert globs.names(looked_at(many)[0], path)


def test_what_was_left_out_is_not_claimed_and_costs_its_neighbours_nothing() -> None:
    assert looked_at(("a/b.py", "a/c.py"), unread=("a/big.py",)) == ("a/b.py", "a/c.py")
    assert looked_at(("a/b.py", "a/c.py"), listed=False) == ("a/b.py", "a/c.py")
    assert looked_at(("a/b.py",), scope=("a/b*",)) == ("a/b.py",)
    many = tuple(f"a/{n:03}.py" for n in range(40))
    told = looked_at((*many, "b/x.py", "b/y.py"), unread=("a/big.py",))
    assert len(told) == MOST_PATHS
    assert "b/*.py" in told


_PARTS = st.sampled_from(("a", "b", "c.d", "odd*", "lib"))
_PATHS = st.builds(
    lambda parts, name: "/".join((*parts, name)),
    st.lists(_PARTS, max_size=3),
    st.sampled_from(("x.py", "y.py", "z.c", "Makefile", ".py", "w?.c", "v.PY")),
)


@given(
    there=st.dictionaries(_PATHS, st.booleans(), max_size=60),
    scope=st.sampled_from((("**",), ("a/**",), ("a/*.py", "lib/**"), ("?/**",))),
)
def test_coverage_never_claims_a_file_that_was_not_read(
    there: dict[str, bool], scope: tuple[str, ...]
) -> None:
    within = {each for each in there if any(globs.names(glob, each) for glob in scope)}
    read = sorted(each for each in within if there[each])
    told = looked_at(read, unread=sorted(within.difference(read)), scope=scope)
    assert len(told) <= MOST_PATHS
    assert tuple(map(globs.normal, told)) == told
    for each in there:
        if each not in read:
            assert not any(globs.names(glob, each) for glob in told if glob != "**")
    if len(told) < MOST_PATHS:
        plain = [each for each in read if not {"*", "?"} & {*each}]
        assert all(any(globs.names(glob, each) for glob in told) for each in plain)


def test_rules_of_ours_are_told_apart_and_every_file_is_pinned() -> None:
    texts = [text.decode() for text in semgrep().rules.values()]
    ids = [line.split()[-1] for text in texts for line in text.splitlines() if "- id:" in line]
    assert len(ids) == len(set(ids)) >= 15
    for each in all_analysers():
        assert len(each.digest) == 64
        assert all(len(file.sha256) == 64 and "==" in file.origin for file in each.files)

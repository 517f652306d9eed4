"""Harnesses are drafted from headers and from what can be called, and only those that work are offered."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clearhold.delivery.cli.discover_harness import _draft, _harnesses
from clearhold.delivery.cli.harness_source import Subject, subject_of
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.discovery.engine import Workspace
from clearhold.discovery.engine_libfuzzer import fuzz
from clearhold.discovery.fuzzing import judge
from clearhold.discovery.harness.draft import Box, Harnesses, best, examples_of
from clearhold.discovery.harness.native import _native_target
from clearhold.discovery.harness.trial import Trial
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import Drafted, Parts, Pinned, native_drivers, write
from clearhold.validation.recipe import Flavour, Recipe, Side, parse
from reproduction_bench import CACHE

HEADER = """\
#include <stddef.h>
int toy_parse(const char *text, size_t length, size_t *taken);
int toy_load_null(const char *text, const char *must_be_given);
int toy_read_nothing(const char *text);
int toy_decode_absent(const char *text);
"""
CODE = """\
#include "toy.h"
#include <string.h>
int toy_parse(const char *text, size_t length, size_t *taken) {
  char kept[4] = {0};
  size_t at = 0, depth = 0;
  for (; at < length; at++) {
    if (text[at] == '[') kept[depth++ & (depth > 9 ? 63 : 3)] = 1;
    else if (text[at] == ']' && depth) depth--;
    else if (text[at] == '"') while (++at < length && text[at] != '"') kept[0] ^= text[at];
  }
  *taken = at;
  return kept[0];
}
int toy_load_null(const char *text, const char *must_be_given) {
  return strcmp(text, must_be_given);
}
int toy_read_nothing(const char *text) { return text != 0; }
"""
PACKAGE = '''\
"""A package that reads pairs."""


class Refused(Exception):
    """What it declares."""


def parse(text):
    """Pairs of a text."""
    pairs = {}
    for line in text.split(";"):
        if "=" in line:
            name, value = line.split("=")[:2]
            if value.startswith("("):
                value = value[1:].split(")")[1]
            pairs[name] = value
        elif line.strip():
            raise Refused(line)
    return pairs


class Table:
    """What is read from an open file."""

    def __init__(self, file):
        self.rows = [each.split(",") for each in file.readlines()]
        self.pairs = [parse(";".join(row)) for row in self.rows if "=" in row[0]]


def add(number):
    """No text."""
    return number + 1
'''


def subject(laboratory: Laboratory, tree: Path, scratch: Path, package: str) -> Subject:
    scratch.mkdir()
    fetched = Fetched(Settings(cache_directory=CACHE), scratch)
    return subject_of(laboratory, fetched, str(tree), package)


def drafted(laboratory: Laboratory, found: Subject) -> tuple[Harnesses, Recipe]:
    try:
        harnesses = _harnesses(laboratory, found, Box(seconds=2))
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    return harnesses, parse("toy", _draft(found, harnesses.parts).files)


def test_of_a_library_what_builds_is_sound_and_leads_somewhere_is_offered(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    tree = tmp_path / "toy"
    (tree / "tests").mkdir(parents=True)
    (tree / "toy.h").write_text(HEADER)
    (tree / "toy.c").write_text(CODE)
    (tree / "tests" / "pair.txt").write_text('["a"]')
    found = subject(laboratory, tree, tmp_path / "scratch", "pkg:generic/toy@1.0")
    harnesses, recipe = drafted(laboratory, found)
    assert [each.target for each in harnesses.offered] == ["toy-parse"]
    assert harnesses.left_out["toy-load-null"].startswith("it fails on a benign input")
    assert harnesses.left_out["toy-read-nothing"].startswith("searching reaches no more")
    assert harnesses.left_out["toy-decode-absent"] == "it does not compile or link"
    assert recipe.package == "pkg:generic/toy"
    assert b'["a"]' in recipe.seeds("toy-parse").values()
    # What is written is searched like any recipe, and what it meets is the target's own.
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.FUZZ)
    met = fuzz(laboratory, build, "toy-parse", seed=time.time_ns() % 2**31 + 1, budget_s=60)
    assert met.crash is not None, met.log
    crash = judge(Workspace(laboratory, recipe), "toy-parse", met.crash)
    assert (crash.standing, crash.signature[-1]) == ("confirmed", "toy_parse")


def test_of_a_python_package_what_takes_the_input_is_offered(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    tree = tmp_path / "toy"
    (tree / "toy").mkdir(parents=True)
    (tree / "toy" / "__init__.py").write_text(PACKAGE)
    (tree / "pyproject.toml").write_text("")
    found = subject(laboratory, tree, tmp_path / "scratch", "pkg:pypi/toy@1.0")
    harnesses, recipe = drafted(laboratory, found)
    if not harnesses.offered and "no atheris" in str(harnesses.left_out).lower():
        pytest.skip(str(harnesses.left_out))
    offered = {each.target for each in harnesses.offered}
    assert len(offered) == 2, harnesses.left_out
    (table,) = offered - {"toy-parse"}
    assert table.startswith("toy-table")
    assert "toy-add" not in recipe.targets
    assert not any("refused" in each for each in harnesses.left_out)
    workspace = Workspace(laboratory, recipe)
    mistake = judge(workspace, "toy-parse", b"a=(b")
    assert mistake.standing == "confirmed"
    assert mistake.signature == ("raised", "IndexError", "parse")
    assert judge(workspace, "toy-parse", b"refused").standing == "unconfirmed"
    assert judge(workspace, table, b"x,y\na=(b\n").signature[1:3] == ("IndexError", "parse")


def test_what_reaches_most_comes_first() -> None:
    done = [
        Trial("few", edges=3),
        Trial("fails", why_not="it fails"),
        Trial("meets", edges=90, met="a fault"),
        Trial("many", edges=40),
    ]
    assert [each.target for each in best(done)] == ["meets", "many", "few"]


def test_examples_are_small_files_of_tests_that_are_no_code(tmp_path: Path) -> None:
    for name, content in {
        "tests/a.json": b"{}",
        "tests/large.json": b"a" * 5000,
        "tests/main.c": b"int a;",
        "lib/b.json": b"[]",
        "examples/empty": b"",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "tests" / "link").symlink_to("/etc/hostname")
    assert examples_of(tmp_path) == (b"{}",)


def test_hostile_headers_are_read_in_bounded_time(tmp_path: Path) -> None:
    for number in range(20):
        many = "".join(f"int f{number}_{each}_parse(const char *a);\n" for each in range(20_000))
        (tmp_path / f"{number}.h").write_text(many + "int x(" + "int a, " * 100_000 + ");")
    drivers = native_drivers.calls("x", tmp_path)
    assert len(drivers) == len({each.name for each in drivers}) > 0


@pytest.mark.parametrize(
    "origin",
    [f"git:https://a.example/of/toy.git@{'0' * 40}", "tarball:https://a.example/@of/toy.tar.gz"],
)
def test_a_project_is_called_as_its_address_says(tmp_path: Path, origin: str) -> None:
    (tmp_path / "toy.h").write_text(HEADER)
    fetched: Any = SimpleNamespace(archive=lambda named: (Pinned(named, "a" * 64), tmp_path))
    nothing: Any = None
    assert str(subject_of(nothing, fetched, origin, "").purl) == "pkg:generic/toy@0"


def test_drivers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "fuzz" / "old").mkdir(parents=True)
    for place in ("fuzz", "fuzz/old"):
        harness = "int LLVMFuzzerTestOneInput(const char *d, long n);"
        (tmp_path / place / "parse.c").write_text(harness)
    (tmp_path / "toy.h").write_text("int Toy_parse(const char *a);int toy_parse(const char *a);")
    found = [*native_drivers.harnesses(tmp_path), *native_drivers.calls("toy", tmp_path)]
    names = [each.name for each in native_drivers.distinct(found)]
    assert names == ["fuzz-parse", "fuzz-parse-2", "toy-parse", "toy-parse-2"]


def test_a_name_that_no_file_or_key_can_have_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "fuzz").mkdir()
    harness = tmp_path / "fuzz" / f"{'a' * 250}.c"
    harness.write_text("int LLVMFuzzerTestOneInput(const char *d, long n);")
    names = ("null", f"parse_{'a' * 300}")
    declared = "".join(f"int {name}(const char *data);\n" for name in names)
    (tmp_path / "toy.h").write_text(declared)
    drivers = [*native_drivers.harnesses(tmp_path), *native_drivers.calls("toy", tmp_path)]
    parts = Parts(b"#!/bin/sh\n", [_native_target(each) for each in drivers])
    for each in drivers:
        parts.files |= each.files
    side = Drafted("1", (Pinned("tarball:https://a.example/a.tar.gz", "a" * 64),))
    draft = write(parts, purl="pkg:generic/toy", cve="", summary="", sides={"vulnerable": side})
    assert set(parse("draft", draft.files).targets) == {f"fuzz-{'a' * 100}", "null"}
    draft.write(tmp_path / "recipe")


def test_what_makes_a_type_is_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def maker(type_: str, _functions: object) -> None:
        asked.append(type_)

    monkeypatch.setattr(native_drivers, "_maker", maker)
    one = "thing *parse_{}(thing *subject, const char *text);\n"
    (tmp_path / "toy.h").write_text("".join(one.format(number) for number in range(200)))
    native_drivers.calls("toy", tmp_path)
    assert asked == ["thing *"]


@pytest.mark.parametrize("package", ["pkg:npm/a@1", "pkg:generic/a"])
def test_what_cannot_be_drafted_is_refused(
    laboratory: Laboratory, tmp_path: Path, package: str
) -> None:
    (tmp_path / "a.h").write_text(HEADER)
    fetched = Fetched(Settings(cache_directory=CACHE), tmp_path)
    source = package if "npm" in package else str(tmp_path)
    with pytest.raises(InvalidError):
        subject_of(laboratory, fetched, source, package)
    assert replace(Box(), seconds=1).seconds == 1

"""What is drafted for a native package of which there is a proof: drivers, and ways of building."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from clearhold.kernel.errors import InvalidError
from clearhold.validation import drafting
from clearhold.validation.builder import BuildFailedError, Laboratory
from clearhold.validation.drafting import (
    Drafted,
    Parts,
    Pinned,
    native,
    native_build,
    native_drivers,
    native_programs,
)
from clearhold.validation.drafting.trial import built_one_way
from clearhold.validation.recipe import Recipe, parse

HEADER = """\
#ifndef X_H
/* int x_parse_comment(const char *text); */
typedef struct x_doc x_doc;
X_PUBLIC(x_doc *) x_parse_bytes(const char *value, size_t length);
extern int x_parse_text(const char *text);
x_doc *x_load_file(FILE *from);
x_doc *x_new(void);
int x_feed_data(x_doc *doc, const unsigned char *data, size_t length);
void x_free(x_doc *doc);
int x_set_name(x_doc *doc, const char *name);
#endif
"""
SIDES = {
    side: Drafted(version, (Pinned(f"debian:x={version}:x.tar.gz", "a" * 64),))
    for side, version in (("vulnerable", "1:1.2.3-1"), ("fixed", "1:1.2.3-2"))
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "x.c").write_text("int x;\n")
    (tmp_path / "x.h").write_text(HEADER)
    (tmp_path / "version.h.in").write_text("#define X_MAJOR @X_VERSION_MAJOR@\n")
    (tmp_path / "fuzz").mkdir()
    (tmp_path / "fuzz" / "one.c").write_text("int LLVMFuzzerTestOneInput(const void *d, int s);\n")
    (tmp_path / "program.c").write_text("int main(void) { return 0; }\n")
    (tmp_path / "CMakeLists.txt").write_text("project(x)\n")
    return tmp_path


def _offers(tree: Path, words: str = "") -> dict[str, Parts]:
    offers = native.offered("x", "1:1.2.3-1", tree, oracle="hang", words=words, proof=b"[1")
    return dict(offers)


def _recipe(parts: Parts) -> Recipe:
    written = drafting.write(
        parts, purl="pkg:deb/debian/x", cve="CVE-2020-1", summary="x", sides=SIDES
    )
    return parse("x", written.files)


def test_the_proof_goes_to_harnesses_and_to_what_headers_declare(tree: Path) -> None:
    parts = _offers(tree, words="a flaw in x_feed_data()")["units"]
    names = list(dict.fromkeys(each.argv[0] for each in parts.targets))
    assert names == [
        f"/build/{each}"
        for each in (
            *("fuzz-one", "x-feed-data", "x-parse-bytes", "x-parse-text", "x-load-file"),
            "x-parse-bytes-then-x-feed-data",
        )
    ] + ["/usr/bin/python3"]
    assert {each.oracle for each in parts.targets} == {"hang", "address", "leak", "assertion"}
    texts = {name: content.decode() for name, content in parts.files.items()}
    assert "x_doc *result = x_parse_bytes(text, length);" in texts["x_parse_bytes.c"]
    assert "if (result != NULL) x_free(result);" in texts["x_parse_bytes.c"]
    assert "x_doc *subject = x_new();" in texts["x_feed_data.c"]
    assert "x_feed_data(subject, text, length);" in texts["x_feed_data.c"]
    assert "FILE *file = tmpfile();" in texts["x_load_file.c"]
    assert "x_load_file(file)" in texts["x_load_file.c"]
    story = texts["x_parse_bytes_then_x_feed_data.c"]
    assert "x_feed_data(result, word, strlen(word));" in story
    assert story.index("x_feed_data(") < story.index("x_free(result)")
    assert "text[length] = 0;" in texts["x_parse_text.c"]


def test_a_kept_target_brings_its_own_files_and_must_be_built(tree: Path) -> None:
    everything = _offers(tree)["units"]
    assert b'|| echo "left out: x-parse-text"' in everything.script
    recipe = _recipe(everything.only("x-parse-text-leak"))
    assert set(recipe.targets) == {"x-parse-text-leak"}
    assert "x_parse_text.c" in recipe.files
    assert "x_parse_bytes.c" not in recipe.files
    script = recipe.files["build.sh"].decode()
    assert script.endswith('drive x-parse-text "$RECIPE/x_parse_text.c" "$RECIPE/standalone.c"\n')
    assert "left out" not in script
    harness = everything.only("fuzz-one-address")
    assert set(harness.files) == {"standalone.c"}


def test_units_are_compiled_before_a_project_is_built_as_it_says(tree: Path) -> None:
    units, cmake = native_build.ways(tree, "1:1.2.3-1")
    assert (units.name, cmake.name) == ("units", "cmake")
    assert "for unit in 'x.c'; do" in units.body
    assert "'version.h.in' >'version.h'" in units.body
    assert "MAJOR[A-Za-z0-9_]*@/1/g" in units.body


def test_a_program_is_given_the_proof_with_the_options_that_are_told(tree: Path) -> None:
    parts = _offers(tree, words="`program -L pict2e FILE` crashes")
    for name, line in (
        ("units", "drive run-program \"$SRC\"/'program.c'"),
        ("cmake", "take program"),
    ):
        called = {each.argv[5:]: each for each in parts[name].targets if "run-" in each.name}
        assert set(called) == {
            ("/build/run-program", "-L", "pict2e", "/in/proof"),
            ("/build/run-program", "/in/proof"),
            ("/build/run-program",),
        }
        kept = parts[name].only(called["/build/run-program",].name)
        assert kept.script.decode().endswith(f"\n{line}\n")
        assert set(kept.files) == {"program.py"}


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("exit 0", 0),
        ("exit 3", 0),
        ("exit 77", 77),
        ("exit 127", 127),
        ("exit 139", 0),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -KILL $$", -signal.SIGKILL),
        ("kill -PIPE $$", -signal.SIGPIPE),
        ('read -r line && [ "$line" = proof ] && exit 77', 77),
    ],
)
def test_a_refusal_is_a_good_end_and_a_death_is_none(
    tmp_path: Path, program: str, ended: int
) -> None:
    runner, proof = tmp_path / "program.py", tmp_path / "proof"
    runner.write_text(native_programs.RUNNING)
    proof.write_text("proof\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(runner), str(proof), "/bin/sh", "-c", program],
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == ended


def test_a_command_line_that_is_given_is_the_only_one_that_is_tried(tree: Path) -> None:
    offers = native.offered(
        "x", "1.0-1", tree, oracle="hang", words="", proof=b"", command="program -t '@@' @@"
    )
    parts = dict(offers)["units"]
    assert {each.argv[5:] for each in parts.targets} == {
        ("/build/run-program", "-t", "/in/proof", "/in/proof")
    }
    assert parts.certain
    with pytest.raises(InvalidError, match="cannot be read"):
        list(native.offered("x", "1", tree, oracle="hang", words="", proof=b"", command="'"))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"configure.ac": "AC_INIT(x)"}, ["autoreconf"]),
        ({"configure.ac": "AC_INIT(x)", "configure": "config.status"}, ["configure"]),
        ({"meson.build": "project('x')"}, ["meson"]),
        ({"unix/Makefile": "generic:\n\ttrue\n", "Makefile.x": "all:"}, ["make"]),
        ({"README": "nothing"}, []),
    ],
)
def test_a_project_is_built_as_its_files_say(
    tmp_path: Path, files: dict[str, str], names: list[str]
) -> None:
    for place, content in files.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(content)
    ways = native_build.ways(tmp_path, "1.0")
    assert [way.name for way in ways] == names
    if names == ["make"]:
        assert "make -f 'unix/Makefile' generic CC=" in ways[0].body


class _Builds:
    """A laboratory in which some ways of building fail."""

    def __init__(self, failing: set[bytes]) -> None:
        self.failing = failing

    def build(self, recipe: Recipe, *_: object, flavour: object) -> object:
        if any(each in recipe.files["build.sh"] for each in self.failing):
            raise BuildFailedError("It fails.", next_step="", stage="build", log="a\nno x.h\n")
        return SimpleNamespace(flavour=flavour)


@pytest.mark.parametrize(
    ("failing", "kept", "said"),
    [
        (set(), b"for unit in", []),
        ({b"for unit in"}, b"cmake -S", []),
        (
            {b"for unit in", b"cmake -S"},
            b"otherwise",
            [
                "building by units fails: no x.h",
                "building by cmake fails: no x.h; it needs cmake, make",
            ],
        ),
    ],
)
def test_the_first_way_that_builds_both_sides_is_taken(
    tree: Path, failing: set[bytes], kept: bytes, said: list[str]
) -> None:
    made: Callable[[Parts], Recipe] = _recipe
    offers: Iterator[tuple[str, Parts]] = iter(_offers(tree).items())
    laboratory = cast("Laboratory", _Builds(failing))
    parts = built_one_way(laboratory, made, offers, otherwise=Parts(b"otherwise", []))
    assert kept in parts.script
    assert parts.missing == said


@pytest.mark.parametrize(
    "text",
    [
        ";int f(int a) " + "A" * 100_000 + "!",
        "/*" * 100_000,
        "\n" * 100_000,
        "X OF((" * 10_000,
        "a (\n" * 50_000,
        "#\\\n" * 50_000,
        "A ( )" * 50_000,
        ";" + "a " * 50_000,
    ],
    ids=["capitals", "comments", "lines", "macros", "versions", "continued", "calls", "words"],
)
def test_headers_and_changelogs_made_to_be_slow_are_read_to_their_end(
    tree: Path, text: str
) -> None:
    (tree / "x.h").write_text(HEADER + text)
    (tree / "changelog").write_text("x (1.0-1) unstable; urgency=low\n\n" + text)
    assert native_drivers.calls("x", tree, "")
    assert drafting.version_before(tree, "CVE-2026-0001", "1.0-1") == "1.0-1~unfixed"

"""A build with a fix compiles what the fix changes, and takes nothing that another fix compiled to."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from difflib import unified_diff
from pathlib import Path

import pytest
from benchmarks.root_cause.target import OwnSources

from clearhold.ports.sandbox import Job, Tier
from clearhold.validation import kept_builds
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.recipe import Flavour, Recipe, Side, parse

FILES = {
    "main.c": '#include <stdio.h>\nint a(void), b(void), c(void);\nint main(void) { printf("%d %d %d\\n", a(), b(), c()); }\n',
    "a.c": '#include "size.h"\nint a(void) { return SIZE; }\n',
    "b.c": "int b(void) { return 2; }\n",
    "c.c": 'extern const unsigned char d[];\n__asm__(".globl d\\nd: .incbin \\"data\\"\\n");\nint c(void) { return d[0] - 48; }\n',
    "size.h": "#define SIZE 1\n",
    "data": "3\n",
}
BUILD = """\
#!/bin/sh
set -eu
cd "$SRC"
for unit in main a b c; do
  mkdir -p "$WORK/deps"
  "$CC" $CFLAGS -MD -MF "$WORK/deps/$unit.d" -c $unit.c -o "$WORK/$unit.o"
  test -s "$WORK/deps/$unit.d"
done
"$CC" $CFLAGS -Wl,-z,noexecstack "$WORK"/*.o -o "$OUT/tell"
"""
RECIPE = """\
schema: 1
package: pkg:generic/three
summary: tells three numbers
sides:
  vulnerable: {{version: "1", sources: [{{origin: "own:1", sha256: {sha256}}}]}}
build: {{script: build.sh, flavours: [plain]}}
targets:
  tell:
    summary: takes no notice of its proof
    argv: [/build/tell, /in/proof]
    flavour: plain
    oracle: address
    control: seeds/any
"""


def _archive() -> bytes:
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w") as tar:
        for name, text in FILES.items():
            entry = tarfile.TarInfo(f"three/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return kept.getvalue()


ARCHIVE = _archive()


def _recipe() -> Recipe:
    text = RECIPE.format(sha256=hashlib.sha256(ARCHIVE).hexdigest())
    files = {"recipe.yaml": text.encode(), "build.sh": BUILD.encode(), "seeds/any": b"x"}
    return parse("three", files)


def _fix(name: str, old: str, new: str) -> bytes:
    before = FILES[name].splitlines(keepends=True)
    after = FILES[name].replace(old, new).splitlines(keepends=True)
    return "".join(unified_diff(before, after, f"a/{name}", f"b/{name}")).encode()


@pytest.fixture
def three(laboratory: Laboratory, open_path: Path) -> Laboratory:
    return Laboratory(
        laboratory.sandbox,
        OwnSources(open_path / "own", [ARCHIVE]),
        open_path / "cache",
        least_code=Tier.NAMESPACES,
    )


def _build(three: Laboratory, patch: bytes | None = None) -> Build:
    return three.build(_recipe(), Side.VULNERABLE, flavour=Flavour.PLAIN, patch=patch)


def _told(three: Laboratory, build: Build) -> str:
    job = Job(argv=("/build/tell",), trees={"/build": build.directory})
    return three.run(job).stdout.decode().strip()


def _lie(base: Build, *, name_it: bool) -> None:
    """Let the object of one unit be another's, with or without the digest that names it."""
    place = base.directory.parent / "objects"
    for file in place.iterdir():
        if b"b.c\0" in file.read_bytes():
            file.write_bytes(file.read_bytes().replace(b"\xb8\x02\0\0\0", b"\xb8\x09\0\0\0"))
    if name_it:
        told = base.directory.parent / "build.json"
        digest = kept_builds.digest(kept_builds.files(place))
        told.write_text(json.dumps(json.loads(told.read_text()) | {"objects": digest}))


def test_only_what_a_fix_changes_is_compiled(three: Laboratory) -> None:
    base = _build(three)
    assert _told(three, base) == "1 2 3"
    _lie(base, name_it=True)
    fixed = _build(three, _fix("a.c", "SIZE;", "SIZE + 4;"))
    assert _told(three, fixed) == "5 9 3", "the unit that the fix leaves alone was compiled anew"


def test_a_fix_of_a_header_or_of_data_reaches_the_units_that_read_it(three: Laboratory) -> None:
    _build(three)
    assert _told(three, _build(three, _fix("size.h", "1", "7"))) == "7 2 3"
    assert _told(three, _build(three, _fix("data", "3", "8"))) == "1 2 8"


def test_a_build_is_the_same_with_and_without_kept_objects(three: Laboratory) -> None:
    fix = _fix("a.c", "SIZE;", "SIZE + 4;")
    alone = _build(three, fix)
    assert kept_builds.objects(alone.directory.parent) is None, "a fix leaves objects"
    alone.directory.parent.rename(alone.directory.parent.with_name("aside"))
    assert kept_builds.objects(_build(three).directory.parent) is not None
    again = _build(three, fix)
    assert not again.cached
    assert again.digest == alone.digest


def test_damaged_objects_are_not_used(three: Laboratory) -> None:
    base = _build(three)
    _lie(base, name_it=False)
    assert _told(three, _build(three, _fix("a.c", "SIZE;", "SIZE + 4;"))) == "5 2 3"

"""A small project with a flaw that two of its entry points share, as a recipe with tests."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from clearhold.ports.sources import DEFAULT_SIZE_CAP
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, parse
from clearhold.validation.shelf import Shelf
from own_archives import archive

CODE = """\
import json, os, time, zipfile


def write(into, name, content):
    path = os.path.join(into, name)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(content)
    os.chmod(path, 0o640)


def unpack(text, into):
    done = 0
    for line in text.splitlines():
        name, _, content = line.partition("=")
        if name:
            write(into, name, content)
            done += 1
    return done


def restore(text, into):
    for line in text.splitlines()[::-1]:
        name, _, content = line.partition("=")
        if name:
            write(into, name, content)
    return "restored"


def pack(files, path):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, time.gmtime()[:6])
            made.writestr(entry, content)
"""
DRIVER = """\
import sys
sys.path.insert(0, "/build")
import parcel
try:
    text = open(sys.argv[2], encoding="ascii").read()
except ValueError:
    sys.exit(65)
print(getattr(parcel, sys.argv[1])(text, "into"))
"""
SUITE = """\
import os, sys
sys.path.insert(0, "/build")
import parcel
results = open("/out/results.tap", "w")
def check(name, good):
    results.write(("ok" if good else "not ok") + " - " + name + "\\n")
os.makedirs("/tmp/made")
parcel.pack({"a": "one", "b/c": "two"}, "/tmp/made/a.zip")
check("packs", os.path.exists("/tmp/made/a.zip"))
check("unpacks", parcel.unpack("x=1\\ny/z=2\\n", "/tmp/made/in") == 2)
check("reads", open("/tmp/made/in/y/z").read() == "2")
check("restores", parcel.restore("x=1\\n", "/tmp/made/back") == "restored")
"""
PACKAGE = "parcel-of-ours@1.0"
ESCAPES = b"a=1\n../../outside/b=2\n"


OPENS = (
    "    path = os.path.join(into, name)\n"
    '    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)\n'
)
INSIDE = (
    "    path = os.path.join(into, name)\n"
    "    if not os.path.realpath(path).startswith(os.path.realpath(into) + os.sep):\n"
    "        return\n"
    '    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)\n'
)
FIX = (OPENS, INSIDE)
"""The real fix: of what both entries share."""
OLDER = CODE.replace("file.write(content)", 'file.write(content or "")')
RELEASES = {"0.9": OLDER, "1.0": CODE, "1.1": CODE.replace(*FIX)}


def _recipe(digests: dict[str, str], entries: Sequence[str]) -> dict[str, bytes]:
    target = (
        "{{summary: none, argv: [/usr/bin/python3, -s, /recipe/call.py, {0}, /in/proof], flavour: plain,"
        " oracle: path-escape, host: python, control: benign}}"
    )
    targets = "\n".join(f"  {each}: {target.format(each)}" for each in entries)
    side = '{{version: "{0}", sources: [{{origin: "{1}", sha256: {2}}}]}}'
    return {
        "recipe.yaml": f"""\
schema: 1
package: pkg:pypi/parcel-of-ours
summary: unpacks parcels
sides:
  vulnerable: {side.format("1.0", origin("1.0"), digests["1.0"])}
  fixed: {side.format("1.1", origin("1.1"), digests["1.1"])}
build: {{flavours: [plain]}}
targets:
{targets}
tests: {{argv: [/usr/bin/python3, -s, /work/tests/suite.py], copy: [tests], flavour: plain}}
protected: [tests/]
limits: {{build_s: 60, run_s: 10, memory_mb: 512}}
""".encode(),
        "build.sh": b'cp "$SRC/parcel.py" "$OUT/"\n',
        "call.py": DRIVER.encode(),
        "benign": b"one=1\ntwo/three=23\n",
    }


def origin(version: str) -> str:
    """Where a release is said to come from."""
    return f"pypi:parcel-of-ours=={version}:parcel_of_ours-{version}.tar.gz"


class Registry:
    """Has the project's releases and nothing else: a list of them, and their archives."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.digests = {
            version: archive(
                place, {"parcel.py": code.encode(), "tests/suite.py": SUITE.encode()}, {}
            )
            for version, code in RELEASES.items()
        }

    def releases(self, package: str) -> dict[str, tuple[str, ...]]:
        assert package == "pkg:pypi/parcel-of-ours"
        return {version: (origin(version),) for version in RELEASES}

    def fetch(self, origin: str, sha256: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> Path:
        assert sha256 in self.digests.values(), origin
        return self._place / sha256

    def pin(self, origin: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> str:
        return self.digests[origin.partition("==")[2].partition(":")[0]]


def parcel(
    laboratory: Laboratory, place: Path, entries: Sequence[str] = ("unpack", "restore")
) -> tuple[Laboratory, Recipe, Registry]:
    """A laboratory that has the project's archives and recipe alone, and the registry of them.

    `entries` are the functions that the recipe has a target for.
    """
    registry = Registry(place)
    described = _recipe(registry.digests, entries)
    own = place / "recipes" / "parcel-of-ours"
    own.mkdir(parents=True)
    for name, content in described.items():
        (own / name).write_bytes(content)
    made = Laboratory(
        laboratory.sandbox,
        registry,
        laboratory._cache,
        recipes=Shelf(place / "recipes"),
        least_code=laboratory._least_code,
    )
    return made, parse("parcel-of-ours", described), registry


def changed(*edits: tuple[str, str]) -> bytes:
    """A diff of the project's code by replacements, each of a text that stands once in it."""
    after = CODE
    for old, new in edits:
        assert after.count(old) == 1, old
        after = after.replace(old, new)
    lines = [each.splitlines(keepends=True) for each in (CODE, after)]
    made = difflib.unified_diff(lines[0], lines[1], "a/parcel.py", "b/parcel.py")
    return "".join(made).encode()

"""A package whose code wants to be overlooked, in a laboratory's own cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearhold.ports.sources import DEFAULT_SIZE_CAP, Sources
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, parse
from clearhold.validation.shelf import Shelf
from own_archives import archive

WISHES = {
    "ruff.toml": b"lint.ignore = ['ALL']\n",
    "pyproject.toml": b"[tool.ruff]\nexclude = ['*']\n[tool.bandit]\nskips = ['B307']\n",
    ".gitignore": b"*\n",
    ".semgrepignore": b"*\n",
    "lib/ruff.toml": b"exclude = ['*']\n",
}
"""What it sets up so that nobody reads it."""

_CODE = b"""import os
def run(text):
    value = eval(text)  # noqa  # nosec  # nosemgrep
    os.system(value)
"""


@dataclass(frozen=True)
class Beside:
    """One archive of our own beside other sources."""

    sha256: str
    archive: Path
    others: Sources

    def fetch(self, origin: str, sha256: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> Path:
        if sha256 == self.sha256:
            return self.archive
        return self.others.fetch(origin, sha256, size_cap=size_cap)

    def pin(self, origin: str, *, size_cap: int = DEFAULT_SIZE_CAP) -> str:
        return self.others.pin(origin, size_cap=size_cap)


NESTED = b"x = " + b"(" * 150 + b"1" + b")" * 150 + b"\n"
DEEP = b"x = 1" + b" + 1" * 20_000 + b"\n"
"""What a parser, and what walks over a syntax tree, may give up on."""

HOSTILE = WISHES | {
    "lib/code.py": _CODE,
    "lib/-q.py": b"x = 1\n",
    "lib/odd\nname.py": b"y = 2\n",
    "lib/binary.py": b"\0eval(x)\n",
    "lib/huge.py": b"eval(x)\n" * 200_000,
    "private/notes.py": b"eval(input())\n",
}
HARD = {
    "lib/code.py": _CODE,
    "lib/nested.py": NESTED,
    "lib/deep.py": DEEP,
    "lib/latin.py": b"# coding: latin-1\nvalue = eval('\xe9')\n",
    "lib/wrong.py": b"# coding: no-such-thing\nvalue = eval(x)\n",
    "lib/code.c": b"#include <stdio.h>\nvoid f(char *to) { gets(to); }\n",
    "lib/odd.c": b"\xff\xfe #if 0\n" + b"{" * 5000 + b"\n",
}
LINKS = {"lib/link.py": "../private/notes.py"}


def packaged(
    laboratory: Laboratory,
    place: Path,
    files: dict[str, bytes],
    links: dict[str, str],
    build: bytes = b"true\n",
) -> tuple[Laboratory, Recipe]:
    """A package's recipe, and a laboratory that has its archive beside all others."""
    digest = archive(place, files, links)
    described = {
        "recipe.yaml": f"""\
schema: 1
package: pkg:generic/hostile
summary: a package that wants to be overlooked
sides:
  vulnerable: {{version: "1.0", sources: [{{origin: "none:x", sha256: {digest}}}]}}
build: {{flavours: [plain]}}
targets:
  run: {{summary: none, argv: [/bin/true], flavour: plain, oracle: address, control: benign}}
""".encode(),
        "build.sh": build,
        "benign": b"x\n",
    }
    own = place / "recipes" / "hostile-code"
    own.mkdir(parents=True)
    for name, content in described.items():
        (own / name).write_bytes(content)
    made = Laboratory(
        laboratory.sandbox,
        Beside(digest, place / digest, laboratory._sources),
        laboratory._cache,
        recipes=Shelf(place / "recipes"),
    )
    return made, parse("hostile-code", described)

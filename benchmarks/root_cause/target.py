"""The target with its flaws, their fixes, and recipes that build it; all of it is our own.

`orchard.c` is a template: a state of it is made by leaving lines with tags in or out, and a fix is
the unified diff between two states.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import UnavailableError
from clearhold.validation.recipe import Recipe, parse

TEMPLATE: Final = Path(__file__).with_name("orchard.c").read_text(encoding="utf-8")
FLAWS: Final = tuple(range(1, 26))
PARTIAL: Final = tuple(sorted({int(n) for n in re.findall(r"//partial:(\d+)", TEMPLATE)}))
BROAD: Final = tuple(sorted(set(re.findall(r"//broad:(\w+)", TEMPLATE))))
_TAG: Final = re.compile(r" //(fix|bug|partial|broad):(\w+)$")
_BUILD: Final = '#!/bin/sh\nset -e\n$CC $CFLAGS "$SRC/orchard.c" -o "$OUT/orchard"\n'
_RECIPE: Final = """\
schema: 1
package: pkg:generic/orchard
summary: a small format with many flaws
sides:
  vulnerable: {{version: "1", sources: [{{origin: "own:1", sha256: {old}}}]}}
  fixed: {{version: "2", sources: [{{origin: "own:2", sha256: {new}}}]}}
build: {{script: build.sh, flavours: [address, plain]}}
targets:
  read:
    summary: reads a file of records
    argv: [/build/orchard, /in/proof]
    flavour: address
    oracle: address
    control: seeds/all
    fuzz: {{binary: orchard, seeds: seeds}}
"""


def source(*, fixed: Iterable[int] = (), partial: Iterable[int] = (), broad: str = "") -> str:
    """The target's source with some flaws fixed, some fixed in part, or one fix that is too broad."""
    there = {("fix", str(each)) for each in fixed} | {("partial", str(each)) for each in partial}
    there |= {("broad", broad)}
    there |= {("bug", str(each)) for each in FLAWS if ("fix", str(each)) not in there}
    lines = []
    for line in TEMPLATE.splitlines():
        tag = _TAG.search(line)
        if tag is None or (tag[1], tag[2]) in there:
            lines.append(_TAG.sub("", line))
    return "\n".join(lines) + "\n"


def patch(changed: str) -> bytes:
    """The unified diff from the source with all flaws to another state."""
    before, after = (each.splitlines(keepends=True) for each in (source(), changed))
    return "".join(difflib.unified_diff(before, after, "a/orchard.c", "b/orchard.c")).encode()


def archive(text: str) -> bytes:
    """A source as a release is published: the same text, the same bytes."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w") as tar:
        entry = tarfile.TarInfo("orchard/orchard.c")
        entry.size = len(text.encode())
        tar.addfile(entry, io.BytesIO(text.encode()))
    return kept.getvalue()


class OwnSources:
    """Published archives that lie in a directory; asks nobody."""

    def __init__(self, directory: Path, archives: Iterable[bytes]) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for each in archives:
            (directory / f"{hashlib.sha256(each).hexdigest()}.tar").write_bytes(each)

    def fetch(self, origin: str, sha256: str, *, size_cap: int = 0) -> Path:  # noqa: ARG002
        """The archive of that hash; raises `UnavailableError` when it is not one of ours."""
        place = self._directory / f"{sha256}.tar"
        if not place.is_file():
            raise UnavailableError(f"{origin} is not here.", next_step="Make it first.")
        return place

    def pin(self, origin: str, *, size_cap: int = 0) -> str:  # noqa: ARG002
        """None of ours is named without its hash."""
        raise UnavailableError(f"{origin} is not here.", next_step="Name it by its hash.")


def recipe(old: bytes, new: bytes, seeds: dict[str, bytes]) -> Recipe:
    """The recipe of two releases, given as archives, and benign inputs by name."""
    text = _RECIPE.format(old=hashlib.sha256(old).hexdigest(), new=hashlib.sha256(new).hexdigest())
    files = {"recipe.yaml": text.encode(), "build.sh": _BUILD.encode()}
    files |= {f"seeds/{name}": content for name, content in seeds.items()}
    return parse("orchard", files)

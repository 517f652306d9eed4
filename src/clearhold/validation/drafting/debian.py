"""What a Debian source package tells: which patches mend a flaw, and which version came before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clearhold.validation.drafting.draft import text_of


def patches_of(tree: Path, cve: str) -> tuple[str, ...]:
    """The patches of a Debian series that name a flaw, in their file's name or in their text."""
    series = tree / "patches" / "series"
    if not series.is_file():
        return ()
    lines = series.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return tuple(name for name in names if cve in name or cve in text_of(tree / "patches" / name))


def words_of(tree: Path, patches: Sequence[str]) -> str:
    """What the heads of patches say in words, before the first change."""
    heads = (
        re.split(r"(?m)^(?:--- |diff )", text_of(tree / "patches" / name))[0] for name in patches
    )
    return "\n".join(heads)


def version_before(tree: Path, cve: str, version: str) -> str:
    """By Debian's changelog the version before the one that mended a flaw."""
    text = text_of(tree / "changelog")
    entries = re.split(r"(?m)^(?=\S+ \([^)]+\) )", text)
    told = [(found[1], each) for each in entries if (found := re.match(r"\S+ \(([^)]+)\)", each))]
    for place, (_, entry) in enumerate(told[:-1]):
        if cve in entry:
            return told[place + 1][0]
    return f"{version}~unfixed"

"""What a Debian source package tells: which patches mend a flaw, and which version came before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from clearhold.kernel.versions import scheme_for
from clearhold.validation.drafting.draft import text_of


def place_of(archive: str) -> str:
    """Where in the tree an archive belongs: packaging, a component of its own, or the root."""
    if ".debian.tar." in archive:
        return "debian"
    component = re.search(r"\.orig-([A-Za-z0-9-]+)\.tar\.", archive)
    return component[1] if component else ""


def patches_of(tree: Path, cve: str) -> tuple[str, ...]:
    """The patches of a Debian series that name a flaw, or that the changelog names beside it."""
    series = tree / "patches" / "series"
    if not series.is_file():
        return ()
    lines = text_of(series).splitlines()
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    named = _naming(cve)
    told = [each for each in _points(text_of(tree / "changelog")) if named.search(each)]
    found = tuple(
        name
        for name in names
        if named.search(name)
        or named.search(text_of(tree / "patches" / name))
        or any(_mentions(each, name) for each in told)
    )
    return found or _described(told, names)


def words_of(tree: Path, patches: Sequence[str]) -> str:
    """What the heads of patches say in words, before the first change."""
    heads = (
        re.split(r"(?m)^(?:--- |diff )", text_of(tree / "patches" / name))[0] for name in patches
    )
    return "\n".join(heads)


def version_before(tree: Path, cve: str, version: str) -> str:
    """By Debian's changelog the version before the one that mended a flaw."""
    told = _entries(text_of(tree / "changelog"))
    for place, (_, entry) in enumerate(told[:-1]):
        if _naming(cve).search(entry):
            return told[place + 1][0]
    return f"{version}~unfixed"


def entries_of(tree: Path, cve: str) -> str:
    """The entries of a changelog that name a flaw."""
    told = _entries(text_of(tree / "changelog"))
    return "\n".join(entry for _, entry in told if _naming(cve).search(entry))


def around_the_entry(changelogs: Mapping[str, str], cve: str) -> list[tuple[str, str]]:
    """Neighbouring versions between which a changelog says that a flaw was mended.

    `changelogs` has one for each version that can be had. The pairs that lie closest together,
    those of one upstream release, come first.
    """
    key = scheme_for("deb").key
    ordered = sorted(changelogs, key=key)
    pairs = []
    for low, high in itertools.pairwise(ordered):
        if _naming(cve).search(changelogs[low]):
            continue
        for stated, entry in _entries(changelogs[high]):
            if _naming(cve).search(entry) and key(low) < key(stated) <= key(high):
                pairs.append((low, high))
                break
    return sorted(pairs, key=lambda pair: _upstream(pair[0]) != _upstream(pair[1]))


def _upstream(version: str) -> str:
    return version.rpartition("-")[0] or version


def _naming(cve: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(cve)}(?!\d)", re.IGNORECASE)


def _entries(changelog: str) -> list[tuple[str, str]]:
    """The entries of a changelog, newest first, each with its version."""
    entries = re.split(r"(?m)^(?=\S+ \([^)\n]+\) )", changelog)
    return [(found[1], each) for each in entries if (found := re.match(r"\S+ \(([^)]+)\)", each))]


def _points(changelog: str) -> list[str]:
    """The points of all entries: what begins with an asterisk, and what stands below it."""
    return re.split(r"(?m)^  (?=\*)", changelog)


def _mentions(point: str, patch: str) -> bool:
    base = re.sub(r"\.(?:patch|diff|dpatch)$", "", patch.rsplit("/", 1)[-1])
    # A number that only orders the series is part of the name; so short a name proves nothing.
    return len(base) > len("fix.c") and base in re.sub(r"\s+", "", point)


def _described(points: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The one patch whose name holds every word by which the changelog describes the flaw."""
    for point in points:
        told = re.sub(r"CVE-[\d-]+|\(.*?\)", " ", point.split("\n\n")[0])
        words = set(re.findall(r"[a-z]{3,}", told.lower())) - {"fix", "fixes", "the", "for", "add"}
        alike = [name for name in names if words <= set(re.findall(r"[a-z]{3,}", name.lower()))]
        if len(words) > 1 and len(alike) == 1:
            return (alike[0],)
    return ()

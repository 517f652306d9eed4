"""A bundle of files about one flaw: what each member of it is, told by its name.

    README.md  report.md  report.txt  description.txt     the words; the first line is the title
    finding.json                                          our own JSON, without what files give
    osv.json                                              an OSV record of the flaw
    trace.txt  trace.log  crash.log  asan.log  …          what the sanitizer or runtime printed
    proof  proof.*  testcase*  crash-*  poc.bin           the input that triggers it: one file
    patch.diff  fix.patch  *.patch                        a fix, as a unified diff
    tests.diff  test.patch                                tests of the fix, likewise
    build.txt  build.json  build.log  Dockerfile          how the program was built

Any other member is an attachment. Of several files for one part the first in the order of names
counts and the others are attachments. One directory around everything is looked through. The
disclosure bundles of scrutineer (manifest.json, osv.json, report.md, patch.diff, poc/) are such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

ROLES: Final = (
    ("finding", re.compile(r"finding\.json")),
    ("osv", re.compile(r"osv\.json")),
    ("words", re.compile(r"(?:readme|report|description)(?:\.md|\.txt)?")),
    (
        "trace",
        re.compile(
            r"(?:stack)?trace(?:\.txt|\.log)?|crash\.(?:log|txt)|stderr(?:\.txt|\.log)?"
            r"|sanitizer\.(?:log|txt)|[a-z]{1,5}san\.(?:log|txt)"
        ),
    ),
    ("tests", re.compile(r"tests?\.(?:diff|patch)")),
    ("patch", re.compile(r"(?:patch|fix)\.(?:diff|patch)|[^/]{1,80}\.patch")),
    ("build", re.compile(r"build(?:\.txt|\.json|\.log|\.md)?|dockerfile|build-info\.(?:txt|json)")),
    ("proof", re.compile(r"(?:proof|testcase|poc|input)(?:\.[a-z0-9]{1,10})?|crash-[^/]{1,80}")),
)


@dataclass(frozen=True, slots=True)
class CrashBundle:
    """The members of a bundle by what they are: role to name and content; and all the others."""

    parts: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    others: tuple[tuple[str, bytes], ...] = ()

    def content(self, role: str) -> bytes:
        """The content of a part; empty without it."""
        return self.parts[role][1] if role in self.parts else b""

    def name(self, role: str) -> str:
        """The name of a part's file; empty without it."""
        return self.parts[role][0] if role in self.parts else ""


def read(members: Iterable[tuple[str, bytes]]) -> CrashBundle:
    """The bundle made of these files, whatever their order."""
    files = sorted(_without_common_directory(list(members)))
    parts: dict[str, tuple[str, bytes]] = {}
    others = []
    for name, content in files:
        role = _role(name)
        if role is not None and role not in parts:
            parts[role] = (name, content)
        else:
            others.append((name, content))
    return CrashBundle(parts, tuple(others))


def _role(name: str) -> str | None:
    return next((role for role, pattern in ROLES if pattern.fullmatch(name.lower())), None)


def _without_common_directory(files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    tops = {name.partition("/")[0] for name, _ in files}
    if len(tops) == 1 and all("/" in name for name, _ in files):
        return [(name.partition("/")[2], content) for name, content in files]
    return files

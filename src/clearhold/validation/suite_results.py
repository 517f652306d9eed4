"""Reads what test runners leave: JUnit's XML, CTest's XML and the Test Anything Protocol.

The project under test can write what it likes here, so a document is never trusted to be well
formed, and entities are refused.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from clearhold.kernel.errors import InvalidError

RESULTS: Final = ("results.xml", "Test.xml", "results.tap")
"""What is looked for below `/out`, in this order."""
_LARGEST_RESULTS: Final = 32 * 1024 * 1024
_MOST_NAMES: Final = 200_000
_LONGEST_NAME: Final = 300
_DECLARES: Final = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_CTEST: Final = {"passed": "passed", "failed": "failed", "notrun": "skipped"}
_POINT: Final = re.compile(
    r"^(?P<indent> *)(?P<ended>ok|not ok)\b *(?P<number>\d+)?(?: *-)? *(?P<name>.*?)"
    r"(?:\s+#\s*(?P<directive>skip|todo)\b.*)?\s*$",
    re.IGNORECASE,
)
_GROUP: Final = re.compile(r"^# (?:Subtest: )?(?P<name>.*\S)\s*$")


def read_results(artefacts: Mapping[str, bytes]) -> dict[str, str] | None:
    """Test names to passed, failed or skipped, from what a run left; None when it left nothing.

    Raises `InvalidError` for what cannot be read.
    """
    for name in RESULTS:
        if name in artefacts:
            content = artefacts[name]
            return read_tap(content) if name.endswith(".tap") else read_junit(content)
    return None


def read_junit(content: bytes) -> dict[str, str]:
    """Outcomes from JUnit's XML or CTest's `Test.xml`; repeated names are numbered.

    Raises `InvalidError` when it is no such document.
    """
    if len(content) > _LARGEST_RESULTS or _DECLARES.search(content):
        raise _unreadable()
    try:
        root = ET.fromstring(content)  # noqa: S314  (documents with declarations are refused above)
    except ET.ParseError as error:
        raise _unreadable() from error
    if root.tag == "Site":
        return _numbered(
            (each.findtext("Name", ""), _CTEST.get(each.get("Status", ""), "failed"))
            for each in root.iter("Test")
            if each.get("Status") is not None
        )
    return _numbered(
        (f"{case.get('classname', '')}::{case.get('name', '')}", _ending(case))
        for case in root.iter("testcase")
    )


def read_tap(content: bytes) -> dict[str, str]:
    """Outcomes from the Test Anything Protocol (versions 12 to 14), as far as it was written.

    A point bears the name of the comment before it, as `tape` groups its points. Raises
    `InvalidError` when it is too large.
    """
    if len(content) > _LARGEST_RESULTS:
        raise _unreadable()
    group = ""
    found: list[tuple[str, str]] = []
    for line in content.decode("utf-8", "replace").splitlines():
        heading = _GROUP.match(line.strip()) if line.lstrip().startswith("# ") else None
        if heading:
            group = heading["name"]
        point = _POINT.match(line)
        if point is None:
            continue
        directive = (point["directive"] or "").lower()
        ended = "passed" if point["ended"].lower() == "ok" else "failed"
        name = point["name"] or f"number {point['number'] or len(found) + 1}"
        found.append((f"{group}::{name}", "skipped" if directive else ended))
    return _numbered(found)


def _ending(case: ET.Element) -> str:
    endings = {child.tag for child in case}
    if endings & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in endings else "passed"


def _numbered(outcomes: Iterable[tuple[str, str]]) -> dict[str, str]:
    seen: Counter[str] = Counter()
    named: dict[str, str] = {}
    for name, ending in outcomes:
        short = name[:_LONGEST_NAME]
        seen[short] += 1
        named[short if seen[short] == 1 else f"{short}#{seen[short]}"] = ending
        if len(named) > _MOST_NAMES:
            raise _unreadable()
    return named


def _unreadable() -> InvalidError:
    return InvalidError(
        "The results of the tests cannot be read.",
        next_step="Check that the recipe's tests write JUnit XML to /out/results.xml, CTest's"
        " to /out/Test.xml or TAP to /out/results.tap.",
    )

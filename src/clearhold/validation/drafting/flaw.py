"""What a public record tells of a flaw: the oracle that sees it, and the releases around its fix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.kernel.matching import Affected
from clearhold.kernel.versions import scheme_for
from clearhold.validation.drafting.draft import text_of

_CHANGELOG: Final = re.compile(r"(?i)^(?:change|history|news|release|version)")
_HEADING: Final = re.compile(
    r"(?i)[\s#=*\[(<>a-z.:-]{0,40}?v?(\d+(?:\.\d+)+(?:-?[a-z]+\.?\d*)?)\b(?![.\w])"
)
_BY_WEAKNESS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("1321", "915"), "pollution"),
    **dict.fromkeys(("1333", "400", "407", "770"), "complexity"),
    **dict.fromkeys(("22", "23", "29", "35", "36", "59", "61"), "path-escape"),
    **dict.fromkeys(("77", "78", "88"), "command"),
    **dict.fromkeys(("94", "95", "502"), "eval"),
    "89": "sql",
    **dict.fromkeys(("79", "1336"), "template"),
    "918": "request",
    **dict.fromkeys(("200", "312", "532"), "secret"),
    "401": "leak",
    "617": "assertion",
    "674": "exhaustion",
    "835": "hang",
    "908": "memory",
    **dict.fromkeys(("190", "191", "369", "681", "704"), "undefined"),
}
_BY_WORDS: Final = (
    (r"prototype pollution", "pollution"),
    (r"redos|regular expression|catastrophic|quadratic|exponential", "complexity"),
    (r"path traversal|directory traversal|zip slip|outside (?:of )?the", "path-escape"),
    (r"command injection|shell", "command"),
    (r"deseriali[sz]|code (?:execution|injection)|\beval", "eval"),
    (r"sql injection", "sql"),
    (r"template injection", "template"),
    (r"request forgery|ssrf", "request"),
    (r"memory leak", "leak"),
    (r"assert", "assertion"),
    (r"infinite loop|endless|\bhang(?:s|ing)?\b", "hang"),
    (r"recursion|stack exhaustion", "exhaustion"),
    (r"uninitiali[sz]ed", "memory"),
)


def oracle_for(weaknesses: Sequence[str], words: str, *, kind: str) -> str:
    """The oracle that most likely sees a flaw of these weaknesses, or told in these words."""
    for each in weaknesses:
        number = each.removeprefix("CWE-")
        if number in _BY_WEAKNESS:
            return _BY_WEAKNESS[number]
    for pattern, oracle in _BY_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return oracle
    return {"npm": "pollution", "pypi": "hang"}.get(kind, "address")


def around_the_fix(kind: str, versions: Sequence[str], affected: Affected) -> tuple[str, str]:
    """The last release before a fix and the fix, of the newest range that has both.

    Raises `NotFoundError` when no published release lies in a range that was fixed.
    """
    scheme = scheme_for(kind)
    ordered = []
    for version in versions:
        try:
            ordered.append((scheme.key(version), version))
        except InvalidError:
            continue
    ordered.sort()
    for stated in reversed(affected.ranges):
        if stated.fixed is None:
            continue
        low = b"" if stated.introduced == "0" else scheme.key(stated.introduced)
        fixed = scheme.key(stated.fixed)
        before = [version for key, version in ordered if low <= key < fixed]
        after = [version for key, version in ordered if key >= fixed]
        if before and after:
            return before[-1], after[0]
    raise NotFoundError(
        "No published release lies just before a fix of this flaw.",
        next_step="Give --vulnerable and --fixed.",
    )


def fixed_by_changelog(tree: Path, cve: str, versions: Sequence[str]) -> str:
    """The release under whose heading a package's changelog names a flaw; empty when none does."""
    named = re.compile(rf"{re.escape(cve)}(?!\d)", re.IGNORECASE)
    known = set(versions)
    for file in sorted(tree.rglob("*")):
        if not _CHANGELOG.search(file.name) or not named.search(text := text_of(file)):
            continue
        heading = ""
        for line in text.splitlines():
            if named.search(line) and heading:
                return heading
            start = _HEADING.match(line)
            stated = start[1] if start else ""
            if stated in known:
                heading = stated
            elif stated and f"{stated}.0" in known:
                heading = f"{stated}.0"
    return ""

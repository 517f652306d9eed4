"""The public truth: issues of OSS-Fuzz, and which of them one commit fixed.

The records are OSS-Fuzz's, published in OSV form under CC-BY-4.0 (https://github.com/google/oss-fuzz-vulns).
Two issues are taken for one bug when they are of one project and name a `fixed` commit in common.
Withdrawn records, and those without a fix or a crash state, are left out. Nothing of a record but
its id is kept in this repository.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FOLDS: Final = 5
_PLACE: Final = Path("data/osv/OSS-Fuzz/all.zip")
_ISSUE: Final = re.compile(r"([0-9]{3,12})$")
# The tracker began in December 2016 and moved in 2024, which changed its numbers.
_BEGUN: Final = (
    (0, datetime(2016, 12, 1, tzinfo=UTC)),
    (12_500, datetime(2019, 1, 1, tzinfo=UTC)),
    (19_900, datetime(2020, 1, 1, tzinfo=UTC)),
)
_FIRST_PUBLISHED: Final = 23_700


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue; `number` is the tracker's, `day` about when it was reported, in days since 1970."""

    id: str
    project: str
    text: str
    fixed: frozenset[str]
    introduced: frozenset[str]
    number: int
    published: float
    day: float = 0.0


def archive() -> Path | None:
    """The records, beside or above this repository; None when they are not there."""
    for parent in Path(__file__).resolve().parents:
        for place in (parent / "shared" / _PLACE, parent / _PLACE):
            if place.is_file():
                return place
    return None


def fold_of(project: str) -> int:
    """The fold a project is in, by its name alone."""
    return int(hashlib.sha256(project.encode()).hexdigest(), 16) % FOLDS


def load(file: Path) -> dict[str, list[Issue]]:
    """The usable issues of each project, by number."""
    found: list[Issue] = []
    with zipfile.ZipFile(file) as records:
        for name in sorted(records.namelist()):
            issue = _issue(json.loads(records.read(name)))
            if issue is not None:
                found.append(issue)
    return grouped(found)


def grouped(issues: list[Issue]) -> dict[str, list[Issue]]:
    """Issues by project, with the days of their reports told."""
    projects: dict[str, list[Issue]] = defaultdict(list)
    days = _days(issues)
    for issue in sorted(issues, key=lambda each: (each.project, each.number, each.id)):
        projects[issue.project].append(
            Issue(
                issue.id,
                issue.project,
                issue.text,
                issue.fixed,
                issue.introduced,
                issue.number,
                issue.published,
                days[issue.number],
            )
        )
    return dict(projects)


def _issue(record: dict[str, Any]) -> Issue | None:
    details = record.get("details", "")
    if record.get("withdrawn") or "Crash state:" not in details:
        return None
    events = [
        event
        for affected in record["affected"]
        for ranges in affected.get("ranges", [])
        for event in ranges["events"]
    ]
    fixed = frozenset(event["fixed"] for event in events if "fixed" in event)
    number = _ISSUE.search(record["references"][0]["url"]) if record.get("references") else None
    if not fixed or number is None:
        return None
    published = datetime.fromisoformat(record["published"]).timestamp() / 86_400
    return Issue(
        id=record["id"],
        project=record["affected"][0]["package"]["name"],
        text=details,
        fixed=fixed,
        introduced=frozenset(event["introduced"] for event in events if "introduced" in event),
        number=int(number[1]),
        published=published,
    )


def _days(issues: list[Issue]) -> dict[int, float]:
    """When each number was given out: no later than any of that number or above was published."""
    published: dict[int, float] = {}
    for issue in issues:
        published[issue.number] = min(issue.published, published.get(issue.number, issue.published))
    bounds: list[tuple[int, float]] = []
    least = float("inf")
    for number in sorted(published, reverse=True):
        least = min(least, published[number])
        if number >= _FIRST_PUBLISHED:
            bounds.append((number, least))
    known = [(number, when.timestamp() / 86_400) for number, when in _BEGUN] + bounds[::-1]
    days = {}
    place = 0
    for number in sorted(published):
        while place + 2 < len(known) and known[place + 1][0] < number:
            place += 1
        (low, begun), (high, ended) = known[place], known[min(place + 1, len(known) - 1)]
        share = (number - low) / (high - low) if high > low else 0.0
        days[number] = begun + (max(ended, begun) - begun) * min(max(share, 0.0), 1.0)
    return days

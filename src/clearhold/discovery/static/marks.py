"""From what an analyser wrote to leads that keep their identity when lines move.

The log is as hostile as the source it was made from: it is read by the strict reader for SARIF, and
whatever it says of a file that was not laid out is dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from clearhold.discovery.engine import Lead
from clearhold.findings.report import one_line
from clearhold.wire import sarif

LONGEST_MESSAGE: Final = 600
LONGEST_RULE: Final = 160
LAST_LINE: Final = 10_000_000
_RULE: Final = re.compile(r"[^A-Za-z0-9_.:/@+-]")
_LEVELS: Final = ("error", "warning", "note", "none")


@dataclass(frozen=True, slots=True)
class Hit:
    """What a log says of one place: the rule, the path in the package, the line or 0, the level."""

    rule: str
    path: str
    line: int
    message: str
    level: str


@dataclass(frozen=True, slots=True)
class Around:
    """The text of a line, and what is shown of it with its neighbours."""

    text: str
    shown: str


def last_part(uri: str) -> str:
    """The name of the file that a log points at, whatever it lies below."""
    return PurePosixPath(uri).name


def hits(
    log: bytes, names: Mapping[str, str], *, named: Callable[[str], str] = last_part
) -> tuple[Hit, ...]:
    """The places that a log points at, one of each rule and line, in order.

    Bytes that are no UTF-8 are replaced: analysers quote what they read. `names` are the paths of the
    files that were laid out by the names they had there, which `named` makes of what the log says. Raises
    `InvalidError` for what is no SARIF, `TooLargeError` for more than is taken.
    """
    found: dict[tuple[str, str, int], Hit] = {}
    for run in sarif.read(log.decode("utf-8", "replace").encode()).runs:
        for result in run.results:
            if not result.locations or result.unwanted:
                continue
            place = result.locations[0]
            path = names.get(named(place.uri))
            if path is None or not result.rule_id:
                continue
            line = place.line if place.line <= LAST_LINE else 0
            rule = _RULE.sub("_", result.rule_id)[:LONGEST_RULE]
            message = one_line(result.message)[:LONGEST_MESSAGE]
            found.setdefault((rule, path, line), Hit(rule, path, line, message, result.level))
    return tuple(sorted(found.values(), key=lambda each: (each.path, each.line, each.rule)))


def leads(
    found: Iterable[Hit], lines: Mapping[tuple[str, int], Around], *, engine: str
) -> tuple[Lead, ...]:
    """Leads of hits, the gravest first; `lines` holds what stands at each place.

    The same rule at the same text in the same file is told apart by its place in order alone, so a
    lead stays itself when what stands around it changes.
    """
    times: Counter[str] = Counter()
    made = []
    for each in sorted(found, key=lambda hit: (hit.path, hit.line, hit.rule)):
        at = lines.get((each.path, each.line), Around("", ""))
        text = normal(at.text) or normal(each.message)
        rule = f"{engine}:{each.rule}"
        alike = fingerprint(rule, each.path, text, 0)
        made.append(
            Lead(
                rule=rule,
                path=each.path,
                line=each.line,
                message=each.message,
                fingerprint=fingerprint(rule, each.path, text, times[alike]),
                excerpt=at.shown,
                level=each.level,
            )
        )
        times[alike] += 1
    return tuple(sorted(made, key=lambda lead: (_LEVELS.index(lead.level), lead.path, lead.line)))


def normal(text: str) -> str:
    """A line without what indentation and line breaks change."""
    return " ".join(text.split())


def fingerprint(rule: str, path: str, text: str, number: int) -> str:
    """What names a lead: its rule, its path, its line's text, and the how-manieth of these it is."""
    return hashlib.sha256("\0".join((rule, path, text, str(number))).encode()).hexdigest()


def wanted_lines(found: Sequence[Hit]) -> dict[str, list[int]]:
    """The lines to read for some hits by path, each with the one before and the one after."""
    wanted: dict[str, set[int]] = {}
    for each in found:
        if each.line:
            near = {each.line - 1, each.line, each.line + 1} - {0}
            wanted.setdefault(each.path, set()).update(near)
    return {path: sorted(numbers) for path, numbers in wanted.items()}


def around(
    read: Mapping[tuple[str, int], str], found: Sequence[Hit]
) -> dict[tuple[str, int], Around]:
    """What stands at the hits, of the lines that were `read`."""
    made = {}
    for each in found:
        at = (each.path, each.line)
        if at not in read:
            continue
        near = (each.line - 1, each.line, each.line + 1)
        shown = [f"{n}: {read[each.path, n]}" for n in near if (each.path, n) in read]
        made[at] = Around(read[at], "\n".join(shown))
    return made

"""Fixes of SARIF 2.1.0 (sections 3.55 to 3.57) as a unified diff, where they say enough for one.

A fix names regions to delete and text to put there, and need not say what stands there now. A diff
needs that, so one is made only where each region is of whole lines and carries its snippet, or
deletes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

MAX_DIFF = 256 * 1024


class _Text(msgspec.Struct, omit_defaults=True):
    text: str | None = None


class _Region(msgspec.Struct, omit_defaults=True):
    start: int | None = msgspec.field(default=None, name="startLine")
    end: int | None = msgspec.field(default=None, name="endLine")
    start_column: int | None = msgspec.field(default=None, name="startColumn")
    end_column: int | None = msgspec.field(default=None, name="endColumn")
    snippet: _Text | None = None


class _Replacement(msgspec.Struct, omit_defaults=True):
    deleted: _Region | None = msgspec.field(default=None, name="deletedRegion")
    inserted: _Text | None = msgspec.field(default=None, name="insertedContent")


class _Artifact(msgspec.Struct, omit_defaults=True):
    uri: str | None = None
    index: int | None = None


class _Change(msgspec.Struct, omit_defaults=True):
    artifact: _Artifact | None = msgspec.field(default=None, name="artifactLocation")
    replacements: list[_Replacement] | None = None


class Fix(msgspec.Struct, omit_defaults=True):
    """A fix that a result proposes."""

    description: _Text | None = None
    changes: list[_Change] | None = msgspec.field(default=None, name="artifactChanges")


def unified_diff(fixes: Sequence[Fix], path: Callable[[str | None, int | None], str]) -> str:
    """The first fix as a unified diff; "" when it does not say what its lines replace.

    `path` finds the file's name by its address or its number among the run's artifacts.
    """
    parts: list[str] = []
    for change in (fixes[0].changes if fixes else None) or ():
        artifact = change.artifact or _Artifact()
        name = path(artifact.uri, artifact.index)
        hunks = _hunks(change.replacements or [])
        if not name or not name.isprintable() or not hunks:
            return ""
        parts.append(f"--- a/{name}\n+++ b/{name}\n{hunks}")
    text = "".join(parts)
    return text if len(text) <= MAX_DIFF else ""


def _hunks(replacements: Sequence[_Replacement]) -> str:
    hunks: list[str] = []
    shift = last = 0
    for each in sorted(replacements, key=_start):
        region, start = each.deleted, _start(each)
        whole = region is not None and region.start_column in {None, 1}
        if region is None or not whole or start <= last or len(hunks) > MAX_DIFF:
            return ""
        new = _lines(each.inserted)
        if region.end_column == region.start_column == 1 and region.end in {None, start}:
            old, before = [], start - 1
        elif region.snippet is not None and region.end_column in {None, 1}:
            old, before = _lines(region.snippet), start
            stated = (region.end or start) - start + (region.end_column is None)
            if not old or len(old) != stated:
                return ""
            last = start + len(old) - 1
        else:
            return ""
        after = before + shift + (not old) - (not new)
        hunks.append(f"@@ -{before},{len(old)} +{after},{len(new)} @@\n")
        hunks += [f"-{line}\n" for line in old] + [f"+{line}\n" for line in new]
        shift += len(new) - len(old)
    return "".join(hunks)


def _start(replacement: _Replacement) -> int:
    region = replacement.deleted
    return (region.start or 0) if region is not None else 0


def _lines(text: _Text | None) -> list[str]:
    given = (text.text or "") if text is not None else ""
    lines = given.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines

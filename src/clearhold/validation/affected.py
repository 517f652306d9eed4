"""Evidence of which releases a flaw is in: an in-toto Statement v1 about a replay over releases.

Every answer stands in it with the archives and the build it is of, by SHA-256, so that a stranger
can ask the same releases again. Ranges are what the answers show and no more: a boundary beside
releases that could not be asked says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from clearhold.validation.bisection import Stretch
from clearhold.validation.recipe import Recipe
from clearhold.validation.versions import Replayed
from clearhold.wire import dsse

PREDICATE_TYPE: Final = "urn:clearhold:attestation:affected-versions:v0.1"


def statement(
    recipe: Recipe, target: str, proof: bytes, done: Replayed, *, listed_by: str
) -> bytes:
    """The unsigned statement of a replay of `proof`; `listed_by` says who listed the releases."""
    predicate: dict[str, Any] = {
        "recipe": {"name": recipe.name, "sha256": recipe.digest},
        "package": recipe.package,
        "target": target,
        "proof": {"sha256": hashlib.sha256(proof).hexdigest()},
        "family": done.family,
        "toolchain_sha256": done.toolchain_sha256,
        "releases": {"listed_by": listed_by, "versions": list(done.releases)},
        "all_asked": done.affected.scanned,
        "asked": [
            {
                "version": each.version,
                "answer": str(each.answer),
                "why": each.why,
                "build_sha256": each.build_sha256,
                "sources": [
                    {"origin": source.origin, "sha256": source.sha256} for source in each.sources
                ],
            }
            for each in done.asked
        ],
        "stretches": [asdict(stretch) for stretch in done.affected.stretches],
        "ranges": ranges(done.affected.stretches, done.releases),
    }
    subjects = (
        dsse.Subject("proof", hashlib.sha256(proof).hexdigest()),
        *(
            dsse.Subject(f"build/{each.version}", each.build_sha256)
            for each in done.asked
            if each.build_sha256
        ),
    )
    return dsse.write_statement(dsse.Statement(subjects, PREDICATE_TYPE, predicate))


def facts(done: Replayed, *, listed_by: str) -> dict[str, Any]:
    """The same in short, for those who may read the validation."""
    return {
        "listed_by": listed_by,
        "first_bad": done.affected.stretches[0].first_bad if done.affected.stretches else "",
        "first_fixed": (done.affected.stretches[-1].first_fixed or "")
        if done.affected.stretches
        else "",
        "introduced_after": done.introduction[0] if done.introduction else "",
        "ranges": ranges(done.affected.stretches, done.releases),
        "answers": {each.version: str(each.answer) for each in done.asked},
        "passed_over": {each.version: each.why for each in done.asked if each.why},
        "releases": len(done.releases),
        "all_asked": done.affected.scanned,
    }


def ranges(stretches: Sequence[Stretch], releases: Sequence[str]) -> list[dict[str, Any]]:
    """What an advisory would say: `introduced`, then `fixed` or `last_affected`, as OSV has it.

    The flaw begins with `0` when the oldest release has it. `unsure` are releases beside the
    boundaries that could not be asked; the ranges leave them out before and take them in after,
    where `fixed` is the first release known to be free.
    """
    told = []
    for each in stretches:
        oldest = bool(releases) and each.first_bad == releases[0]
        stated: dict[str, Any] = {"introduced": "0" if oldest else each.first_bad}
        if each.first_fixed is None:
            stated["last_affected"] = each.last_bad
        else:
            stated["fixed"] = each.first_fixed
        stated["unsure"] = [*each.unsure_before, *each.unsure_after]
        told.append(stated)
    return told


def introduction(told: Mapping[str, Any]) -> tuple[str, ...]:
    """The last release without the flaw and the first with it, of `facts`; empty when not told."""
    before, first = told.get("introduced_after"), told.get("first_bad")
    if not (isinstance(before, str) and isinstance(first, str) and before and first):
        return ()
    return (before, first)

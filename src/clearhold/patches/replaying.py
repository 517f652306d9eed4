"""Running a judgement again from its evidence, and comparing what comes out.

The hub may have tried proofs of other cases that it tells nobody of. A replay that knows fewer
proofs can therefore accept what was refused; the difference is told, and which way it goes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.kernel.ids import FindingId
from clearhold.patches import attestation
from clearhold.patches.attestation import Recorded
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.releases import release_said
from clearhold.validation.replay import envelope_payload


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was recorded, what was seen now, and every difference in words."""

    agrees: bool
    recorded: str
    seen: str
    reason: str
    same_toolchain: bool
    differences: tuple[str, ...]


def read(envelope: bytes, *, key: Ed25519PublicKey | None) -> Recorded:
    """Read evidence of a judgement; with `key`, only when that key signed it.

    Raises as `validation.replay.read` does.
    """
    payload, signed_by = envelope_payload(envelope, key)
    return attestation.read(payload, signed_by=signed_by)


def replay(
    laboratory: Laboratory, recipe: Recipe, recorded: Recorded, given: Mapping[str, bytes]
) -> Replayed:
    """Judge the diff again and compare; `given` are proofs that evidence only names, by SHA-256.

    Raises `IntegrityError` for another recipe than the recorded one, `InvalidError` when a proof is
    missing, and what the laboratory raises.
    """
    facts = recorded.judgement.facts
    if facts.get("recipe_sha256") != recipe.digest:
        raise IntegrityError(
            f"The recipe {recipe.name} of this release is not the one that the evidence names.",
            next_step=f"Use the release whose recipe has SHA-256 {facts.get('recipe_sha256')}.",
        )
    if (release := release_said(laboratory, recipe, facts.get("release"))) is not None:
        recipe = replace(recipe, sides={Side.VULNERABLE: release})
    proofs = tuple(
        CaseProof(
            FindingId(f"proof-{number}"), recorded.package, each.target, _content(each, given)
        )
        for number, each in enumerate(recorded.proofs)
    )
    search_s = facts.get("search_s")
    judge = LaboratoryJudge(laboratory, search_s=search_s if isinstance(search_s, int) else 0)
    seen, _ = judge.judge_by(recipe, Candidate(recorded.diff, proofs, (), recorded.tests))
    same = facts.get("toolchain_sha256") == laboratory.toolchain().digest
    differences = tuple(_differences(recorded.judgement, seen, same_toolchain=same))
    return Replayed(
        agrees=not differences,
        recorded=recorded.judgement.kind,
        seen=seen.kind,
        reason=seen.reason,
        same_toolchain=same,
        differences=differences,
    )


def _content(said: attestation.SaidProof, given: Mapping[str, bytes]) -> bytes:
    content = base64.b64decode(said.base64) if said.base64 else given.get(said.sha256)
    if content is None:
        raise InvalidError(
            "The evidence names a proof by its hash alone.",
            next_step=f"Give the file with SHA-256 {said.sha256} as --proof.",
        )
    if hashlib.sha256(content).hexdigest() != said.sha256:
        raise IntegrityError("A proof of the evidence is not the one it names.")
    return content


def _differences(before: Judgement, now: Judgement, *, same_toolchain: bool) -> list[str]:
    found = []
    if before.kind != now.kind:
        found.append(f"the verdict was {before.kind} and is {now.kind}")
    stopped = [[each.stopped for each in judgement.proofs] for judgement in (before, now)]
    if stopped[0] and stopped[0] != stopped[1]:
        found.append("other proofs are stopped")
    lost = [_part(judgement, "tests", "no_longer_passing") for judgement in (before, now)]
    if lost[0] != lost[1]:
        found.append("other tests no longer pass")
    if same_toolchain and _part(before, "builds") != _part(now, "builds"):
        found.append("the builds were made of something else")
    return found


def _part(judgement: Judgement, *path: str) -> Any:
    value: Any = judgement.facts
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value

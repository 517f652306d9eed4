"""Evidence of a judgement: an in-toto Statement v1 that a maintainer can check and run again.

Its subjects are the diff and the proofs by SHA-256; the predicate holds the diff, the proofs when
they are small, and the judgement with all that is needed to repeat it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import InvalidError
from clearhold.patches.judging import Judgement
from clearhold.wire import dsse

PREDICATE_TYPE: Final = "urn:clearhold:attestation:patch-judgement:v0.1"
LARGEST_PROOF_WITHIN: Final = 256 * 1024
LARGEST_PROOFS_WITHIN: Final = 2 * 1024 * 1024


class SaidProof(msgspec.Struct, frozen=True):
    """A proof as evidence names it; `base64` is empty for one that is not part of it."""

    target: str
    sha256: str
    base64: str = ""


class _Said(msgspec.Struct, frozen=True):
    diff: str
    package: str
    proofs: tuple[SaidProof, ...]
    judgement: Judgement
    tests: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What evidence of a judgement says; `signed_by` is the key that verified, or empty."""

    diff: bytes = field(repr=False)
    tests: bytes = field(repr=False)
    package: str
    proofs: tuple[SaidProof, ...]
    judgement: Judgement
    signed_by: str


def statement(
    judgement: Judgement,
    *,
    package: str,
    diff: bytes,
    proofs: Sequence[CaseProof],
    tests: bytes = b"",
) -> bytes:
    """The unsigned statement of a judgement of `diff` by `proofs`.

    Raises `InvalidError` when nothing was run, so that there is nothing to attest.
    """
    if "recipe_sha256" not in judgement.facts:
        raise InvalidError(
            "Nothing was run, so there is nothing to attest.",
            next_step="Read the verdict and its reason.",
        )
    room = LARGEST_PROOFS_WITHIN
    said = []
    for proof in proofs:
        within = len(proof.proof) <= min(LARGEST_PROOF_WITHIN, room)
        room -= len(proof.proof) if within else 0
        encoded = base64.b64encode(proof.proof).decode() if within else ""
        said.append(SaidProof(proof.target, hashlib.sha256(proof.proof).hexdigest(), encoded))
    predicate: dict[str, Any] = msgspec.to_builtins(
        _Said(
            diff=base64.b64encode(diff).decode(),
            package=package,
            proofs=tuple(said),
            judgement=judgement,
            tests=base64.b64encode(tests).decode(),
        )
    )
    subjects = (
        dsse.Subject("diff", hashlib.sha256(diff).hexdigest()),
        *(dsse.Subject(f"proof/{number}", each.sha256) for number, each in enumerate(said)),
    )
    return dsse.write_statement(dsse.Statement(subjects, PREDICATE_TYPE, predicate))


def read(payload: bytes, *, signed_by: str) -> Recorded:
    """What a statement says. Raises `InvalidError` for one that is none of a judgement."""
    read_as = dsse.read_statement(payload, PREDICATE_TYPE)
    try:
        said = msgspec.convert(read_as.predicate, _Said)
        diff, tests = (base64.b64decode(each, validate=True) for each in (said.diff, said.tests))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidError(
            f"The evidence lacks what running it again needs: {error}",
            next_step="Ask for it again from who signed it.",
        ) from error
    named = {each.name: each.sha256 for each in read_as.subjects}
    whole = {f"proof/{number}": each.sha256 for number, each in enumerate(said.proofs)}
    if named != {"diff": hashlib.sha256(diff).hexdigest(), **whole}:
        raise InvalidError(
            "The evidence contradicts itself.", next_step="Ask for it again from who signed it."
        )
    return Recorded(diff, tests, said.package, said.proofs, said.judgement, signed_by)

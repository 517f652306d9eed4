"""Replaying evidence: the same proof by the same recipe on this machine, compared with what was signed.

Evidence says what was found; whoever holds it need not believe it. Builds are bit for bit the same
under the same toolchain, so there a difference means something; under another one the verdict and
its level are what is compared, since signatures belong to a toolchain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clearhold.kernel.errors import IntegrityError, InvalidError, TooLargeError
from clearhold.validation.builder import Laboratory
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examination import Examination, examine
from clearhold.validation.recipe import Recipe
from clearhold.validation.releases import release_said
from clearhold.validation.verdict import MINIMISED_LEVEL, Claim
from clearhold.wire import dsse


class _Named(msgspec.Struct, frozen=True):
    name: str
    sha256: str


class _Proof(msgspec.Struct, frozen=True):
    sha256: str
    base64: str = ""


class _Claimed(msgspec.Struct, frozen=True):
    violation: str = ""
    version: str = ""
    frames: tuple[str, ...] = ()
    toolchain: str = ""


class _Built(msgspec.Struct, frozen=True):
    version: str
    toolchain_sha256: str


class _Decided(msgspec.Struct, frozen=True):
    label: str
    level: int
    reason: str
    signature: tuple[str, ...]


class _Minimised(msgspec.Struct, frozen=True):
    runs: int


class _Predicate(msgspec.Struct, frozen=True):
    recipe: _Named
    target: str
    proof: _Proof
    builds: dict[str, _Built]
    minimised: _Minimised
    verdict: _Decided
    claim: _Claimed = _Claimed()
    release: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What evidence says that a replay needs or is compared with.

    `release` is what was built in place of the recipe's own vulnerable side, as it was written.
    `proof` is None when the evidence names it by hash alone; `builds` are the SHA-256 of the files
    that were made, by side; `signed_by` is the key that verified, or empty when none was given.
    """

    recipe: str
    recipe_sha256: str
    release: Mapping[str, Any] | None
    target: str
    claim: Claim
    proof_sha256: str
    proof: bytes | None
    builds: Mapping[str, str]
    toolchain_sha256: str
    minimised: bool
    label: str
    level: int
    signature: tuple[str, ...]
    signed_by: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: what was recorded, what was seen now, and every difference in words.

    `agrees` says whether the verdict, its level and, under the same toolchain, its signature and
    the builds are the same.
    """

    agrees: bool
    recorded: str
    seen: str
    level: int
    reason: str
    same_toolchain: bool
    differences: tuple[str, ...]


def read(envelope: bytes, *, key: Ed25519PublicKey | None) -> Recorded:
    """Read evidence; with `key`, only when that key signed it.

    Raises `TooLargeError`, `InvalidError` for what is no evidence of a reproduction, and
    `IntegrityError` when the signature does not verify or the proof is not the one it names.
    """
    payload, signed_by = envelope_payload(envelope, key)
    statement = dsse.read_statement(payload, PREDICATE_TYPE)
    try:
        said = msgspec.convert(statement.predicate, _Predicate)
        proof = base64.b64decode(said.proof.base64, validate=True) if said.proof.base64 else None
    except (msgspec.ValidationError, binascii.Error) as error:
        raise InvalidError(
            f"The evidence lacks what a replay needs: {error}",
            next_step="Ask for evidence of this release; older evidence named the proof by hash.",
        ) from error
    subjects = {each.name: each.sha256 for each in statement.subjects}
    if subjects.get("proof") != said.proof.sha256 or "vulnerable" not in said.builds:
        raise InvalidError(
            "The evidence contradicts itself.", next_step="Ask for it again from who signed it."
        )
    if proof is not None:
        check_proof(proof, said.proof.sha256)
    return Recorded(
        recipe=said.recipe.name,
        recipe_sha256=said.recipe.sha256,
        release=said.release,
        target=said.target,
        claim=Claim(
            said.claim.violation, said.claim.version, said.claim.frames, said.claim.toolchain
        ),
        proof_sha256=said.proof.sha256,
        proof=proof,
        builds={
            name.removeprefix("build/"): sha256
            for name, sha256 in subjects.items()
            if name.startswith("build/")
        },
        toolchain_sha256=said.builds["vulnerable"].toolchain_sha256,
        minimised=said.minimised.runs > 0,
        label=said.verdict.label,
        level=said.verdict.level,
        signature=said.verdict.signature,
        signed_by=signed_by,
    )


def envelope_payload(envelope: bytes, key: Ed25519PublicKey | None) -> tuple[bytes, str]:
    """What an envelope holds, and the id of the key that signed it: empty when none was given.

    Raises as `read` does.
    """
    if key is None:
        return _unverified(envelope), ""
    return dsse.verify(envelope, {dsse.key_id(key): key}, dsse.IN_TOTO), dsse.key_id(key)


def check_proof(proof: bytes, sha256: str) -> None:
    """Raise `IntegrityError` unless `proof` is the one that evidence names."""
    if hashlib.sha256(proof).hexdigest() != sha256:
        raise IntegrityError(
            f"This is not the proof of the evidence, whose SHA-256 is {sha256}.",
            next_step="Give the file with that hash.",
        )


def replay(laboratory: Laboratory, recipe: Recipe, recorded: Recorded, proof: bytes) -> Replayed:
    """Examine the proof again as the evidence says it was examined, and compare.

    Raises `IntegrityError` for another proof or recipe than the recorded ones, and what the
    laboratory raises when this machine lacks a sandbox.
    """
    check_proof(proof, recorded.proof_sha256)
    if recipe.digest != recorded.recipe_sha256:
        raise IntegrityError(
            f"The recipe {recipe.name} of this release is not the one that the evidence names.",
            next_step="Replay with the release that made the evidence; its recipe has the "
            f"SHA-256 {recorded.recipe_sha256}.",
        )
    options: dict[str, Any] = {} if recorded.minimised else {"minimising_runs": 0}
    done = examine(
        laboratory,
        recipe,
        target=recorded.target,
        proof=proof,
        claim=recorded.claim,
        compare_with_fix="fixed" in recorded.builds,
        second_environment=recorded.level > MINIMISED_LEVEL,
        release=release_said(laboratory, recipe, recorded.release),
        **options,
    )
    same_toolchain = (
        done.vulnerable_build is not None
        and done.vulnerable_build.toolchain.digest == recorded.toolchain_sha256
    )
    differences = tuple(_differences(done, recorded, same_toolchain=same_toolchain))
    return Replayed(
        agrees=not differences,
        recorded=recorded.label,
        seen=done.verdict.label,
        level=done.verdict.level,
        reason=done.verdict.reason,
        same_toolchain=same_toolchain,
        differences=differences,
    )


def _differences(done: Examination, recorded: Recorded, *, same_toolchain: bool) -> list[str]:
    found = []
    # Some verdicts name the build in their brackets, which is another one under another toolchain.
    before, now = (label.partition("(")[0] for label in (recorded.label, done.verdict.label))
    if before != now:
        found.append(f"the verdict was {recorded.label} and is {done.verdict.label}")
    if recorded.level != done.verdict.level:
        found.append(f"the level was {recorded.level} and is {done.verdict.level}")
    if not same_toolchain:
        return found
    if recorded.signature != done.verdict.signature:
        found.append("the signature of the fault is another one")
    for side, build in (("vulnerable", done.vulnerable_build), ("fixed", done.fixed_build)):
        if build is not None and recorded.builds.get(side) != build.digest:
            found.append(f"the {side} build has other bytes")
    return found


def _unverified(envelope: bytes) -> bytes:
    if len(envelope) > dsse.MAX_ENVELOPE_BYTES:
        raise TooLargeError(
            f"The evidence has {len(envelope)} bytes; at most {dsse.MAX_ENVELOPE_BYTES} are read.",
            next_step="Check that this is the right file.",
        )
    try:
        return dsse.payload_of(envelope)
    except msgspec.DecodeError as error:
        raise InvalidError(
            f"This is no signed evidence: {error}", next_step="Give the file as it was fetched."
        ) from error

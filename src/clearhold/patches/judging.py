"""What is asked of whoever judges a candidate fix, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from clearhold.cases.material import CaseProof
from clearhold.patches.records import State
from clearhold.wire.bundle import Ending


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is judged: a unified diff against the vulnerable version of a package.

    `proofs` are those of its case, which it must stop. `others` are proofs for the same package
    from elsewhere, perhaps under other embargoes: they serve to judge and are never told of.
    `tests` is a diff of tests that came with it, which must fail before and pass after.
    """

    diff: bytes = field(repr=False)
    proofs: tuple[CaseProof, ...]
    others: tuple[CaseProof, ...]
    tests: bytes = field(default=b"", repr=False)


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shows on an installed package whether the proof of concept works.

    As `wire.bundle.Probe`, with the content of `files` instead of references to it. `wall_s` is in
    seconds, `memory_mb` in MiB.
    """

    argv: tuple[str, ...]
    files: dict[str, bytes]
    works: Ending
    clean: Ending
    wall_s: int = 20
    memory_mb: int = 1024


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a delivery brings: the package URL without version, the fixed version, the wheel's name."""

    package: str
    version: str
    wheel_name: str
    probe: Probe | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """From what `to_bytes` wrote."""
        return msgspec.json.decode(content, type=cls)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An accepted fix made ready to install."""

    manifest: Manifest
    wheel: bytes = field(repr=False)


class ProofOutcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one proof of the case: whether the candidate stops it, and how that showed."""

    finding: str
    stopped: bool
    observed: str = ""


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a candidate is a fix, by which kind of verdict, and why.

    `reason` names no finding. `proofs` tells each proof of the case, `tests` compares the project's
    own tests with the unpatched baseline, `limits` says what such a judgement cannot show, and
    `facts` is what a reader needs to run it again.
    """

    state: State
    kind: str
    reason: str
    proofs: tuple[ProofOutcome, ...] = ()
    tests: str = ""
    limits: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_bytes(cls, content: bytes) -> Judgement:
        """From what `to_bytes` wrote."""
        return msgspec.json.decode(content, type=cls)


class PatchJudge(Protocol):
    """Whoever can judge a candidate: the laboratory here, or a worker elsewhere."""

    def judge(self, candidate: Candidate) -> tuple[Judgement, Delivery | None]:
        """Judge `candidate`, and make an accepted one ready to install where the recipe can.

        Raises `ClearholdError` when the environment lacks what judging needs.
        """
        ...

"""An examiner that answers as a test says, and the desk it works at."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly import Hub
from clearhold.findings.intake import Format
from clearhold.kernel.ids import FindingId
from clearhold.validation.examiner import Examined, Report
from clearhold.validation.matrix import FixRow, KnownProof, Shown, relations
from clearhold.validation.service import ValidationService
from clearhold.validation.verdict import Verdict, VerdictKind

FRAMES = ("stack-buffer-overflow", "indent", "encode")


def examined(kind: VerdictKind, *, signature: tuple[str, ...] = FRAMES) -> Examined:
    """What an examination that ran came to."""
    confirmed = kind is VerdictKind.REPRODUCED
    verdict = Verdict(
        kind, 3 if confirmed else 0, "It ran.", signature=signature if confirmed else ()
    )
    facts = {"verdict": verdict.label, "reason": verdict.reason, "signature": list(signature)}
    return Examined(verdict, facts, b'{"_type": "https://in-toto.io/Statement/v1"}')


@dataclass
class StandIn:
    """An examiner that answers what it was told to, and keeps what it was asked.

    `verdicts` holds answers by proof, or errors to raise; `stops` says of each patch which proofs
    it stops.
    """

    verdicts: dict[bytes, Examined | Exception] = field(default_factory=dict)
    stops: dict[bytes, set[bytes]] = field(default_factory=dict)
    asked: list[Report] = field(default_factory=list)
    compared: int = 0

    def examine(self, report: Report) -> Examined:
        self.asked.append(report)
        answer = self.verdicts.get(report.proof, examined(VerdictKind.REPRODUCED))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def compare(
        self, package: str, proofs: Sequence[KnownProof], patches: Sequence[bytes]
    ) -> tuple[Shown, ...]:
        self.compared += 1
        assert package == "pkg:pypi/quuxlib"
        rows = [
            FixRow(
                uuid.uuid5(uuid.NAMESPACE_OID, patch.decode()).hex * 2,
                {proof.id: proof.content in self.stops.get(patch, set()) for proof in proofs},
            )
            for patch in patches
        ]
        return relations(proofs, rows)


@dataclass(frozen=True)
class Desk:
    """The hub with that examiner, and two labs."""

    hub: Hub
    engine: MemoryEngine
    examiner: StandIn
    service: ValidationService
    key: Ed25519PrivateKey
    labs: tuple[Actor, Actor]

    def submit(self, actor: Actor, proof: bytes | None, **changes: Any) -> FindingId:
        document = {
            "schema": "clearhold-finding/1",
            "package": "pkg:pypi/quuxlib@1.0",
            "title": "Overflow",
            "description": "A boundless copy.",
            "target": "encode",
            "claim": {"kind": "crash"},
        } | changes
        if proof is not None:
            document["proof"] = base64.b64encode(proof).decode()
        receipt = self.hub.findings.submit(
            actor, json.dumps(document).encode(), form=Format.CLEARHOLD_JSON, key=uuid.uuid4().hex
        )
        return FindingId(receipt.findings[0].finding)

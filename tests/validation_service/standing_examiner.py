"""An examiner that answers as a test says, and the desk it works at."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.kernel.ids import FindingId
from clearhold.validation.affected import PREDICATE_TYPE
from clearhold.validation.examiner import Affecting, Examined, Report
from clearhold.validation.matrix import FixRow, KnownProof, Shown, relations
from clearhold.validation.service import ValidationService
from clearhold.validation.verdict import Verdict, VerdictKind
from clearhold.wire import dsse

FRAMES = ("stack-buffer-overflow", "indent", "encode")


def examined(kind: VerdictKind, *, signature: tuple[str, ...] = FRAMES) -> Examined:
    """What an examination that ran came to."""
    confirmed = kind is VerdictKind.REPRODUCED
    verdict = Verdict(
        kind, 3 if confirmed else 0, "It ran.", signature=signature if confirmed else ()
    )
    facts = {"verdict": verdict.label, "reason": verdict.reason, "signature": list(signature)}
    return Examined(verdict, facts, b'{"_type": "https://in-toto.io/Statement/v1"}')


def replayed(proof: bytes) -> Affecting:
    """What a replay of `proof` over three releases came to."""
    subject = dsse.Subject("proof", hashlib.sha256(proof).hexdigest())
    told = {"first_bad": "1.1", "introduced_after": "1.0", "ranges": [{"introduced": "1.1"}]}
    statement = dsse.Statement((subject,), PREDICATE_TYPE, {"ranges": told["ranges"]})
    return Affecting(told, dsse.write_statement(statement))


@dataclass
class StandIn:
    """An examiner that answers what it was told to, and keeps what it was asked.

    `verdicts` and `replayed` hold answers by proof, or errors to raise; `stops` says of each patch which proofs
    it stops.
    """

    verdicts: dict[bytes, Examined | Exception] = field(default_factory=dict)
    stops: dict[bytes, set[bytes]] = field(default_factory=dict)
    replayed: dict[bytes, Affecting | Exception] = field(default_factory=dict)
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

    def affected(self, report: Report, *, builds: int) -> Affecting:
        assert (report.package, report.target) == ("pkg:pypi/quuxlib", "encode")
        assert (report.claim.version, builds) == ("1.0", 7)
        answer = self.replayed.get(report.proof, Affecting())
        if isinstance(answer, Exception):
            raise answer
        return answer


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

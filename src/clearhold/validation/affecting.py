"""Replaying reproduced proofs over a package's releases, and keeping what that shows.

One task for each finding, queued when its proof has reproduced and run after what is urgent. A
task that was cut off starts again from its start; builds and archives are cached, so it is quick
where it was before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings import observed
from clearhold.findings.model import State
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import ConflictError, NotFoundError
from clearhold.kernel.ids import FindingId
from clearhold.ports.engine import Task
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation import affected, records
from clearhold.validation.examiner import Examiner, Report
from clearhold.validation.records import ValidationRecord
from clearhold.validation.verdict import Claim
from clearhold.vault.service import Vault
from clearhold.wire import dsse

READER: Final = "service:validation"
RUN: Final = "validation.affected"


class AffectedVersions:
    """Finds out which releases a reproduced proof shows the flaw on; with `builds` 0, never."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        findings: FindingService,
        *,
        examiner: Examiner,
        signing_key: Ed25519PrivateKey,
        builds: int,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._findings = findings
        self._examiner = examiner
        self._signing_key = signing_key
        self._builds = builds

    def queue(self, finding: FindingId, *, key: str) -> None:
        """Queue the replay of a finding whose proof reproduced."""
        if not self._builds:
            return
        with self._sessions.transaction() as unit:
            if self._findings.head(unit, finding).state is State.REPRODUCED:
                unit.enqueue(Task(RUN, f"{RUN}:{key}", {"finding": finding}, "patient"))

    def run(self, finding: FindingId) -> None:
        """Replay a proof and keep the signed evidence; again changes nothing that is kept.

        Raises `UnavailableError` when a registry or a worker could not be asked.
        """
        with self._sessions.transaction() as unit:
            known = self._open_question(unit, finding)
            if known is None:
                return
            body = self._findings.open_for(unit, finding, reader=READER)
            proof = self._findings.proof_of(unit, finding, reader=READER)
        if proof is None:
            return
        package = str(body.purl.package)
        report = Report(package, body.target, proof, Claim("", body.purl.version or ""))
        found = self._examiner.affected(report, builds=self._builds)
        if not found.evidence:
            return
        envelope = dsse.sign(found.evidence, dsse.IN_TOTO, self._signing_key)
        with self._sessions.transaction() as unit:
            known = self._open_question(unit, finding)
            if known is None:
                return
            artifact = self._vault.store(
                unit, known.compartment, content=envelope, media_type="application/vnd.dsse+json"
            )
            sealed = self._vault.seal(
                unit,
                known.compartment,
                place=affected_place(known),
                content=json.dumps(dict(found.facts), sort_keys=True).encode(),
            )
            records.note_affected(unit, known.id, evidence=artifact, sealed=sealed)
            unit.record(
                "validation:validation:affected",
                actor=READER,
                subject=finding,
                compartment=known.compartment,
            )
            told = affected.introduction(found.facts)
            observed.note_introduction(unit, self._vault, finding, package, told)
            observed.propose_introduced_together(unit, finding)

    def evidence(self, actor: Actor, finding: FindingId) -> bytes:
        """The signed evidence of which releases are affected, a DSSE envelope.

        Raises `NotFoundError`, and `ConflictError` while there is none.
        """
        actor.need(Permission.VALIDATION_READ)
        with self._sessions.transaction() as unit:
            known = records.seen_by(unit, actor, finding)
            if known is None:
                raise NotFoundError("There is no such finding.", next_step="Check the id.")
            if known.affected is None:
                raise ConflictError(
                    "The proof has not been replayed over releases, or not yet.",
                    next_step="It follows a verdict of reproduced, when the package has a recipe.",
                )
            return self._vault.fetch(unit, known.affected, reader=actor.principal)

    def _open_question(self, unit: UnitOfWork, finding: FindingId) -> ValidationRecord | None:
        """The validation, when its proof has reproduced and was not replayed yet."""
        known = records.of_finding(unit, finding)
        if known is None or known.affected is not None:
            return None
        reproduced = self._findings.head(unit, finding).state is State.REPRODUCED
        return known if reproduced else None


def affected_place(known: ValidationRecord) -> tuple[str, str, str]:
    """Where what a replay found stands in short."""
    return ("validation", "sealed_affected", known.id)


def read_affected(
    unit: UnitOfWork, vault: Vault, known: ValidationRecord, *, reader: str
) -> Mapping[str, Any] | None:
    """What a replay found in short, released to `reader`; None when there was none."""
    if known.sealed_affected is None:
        return None
    content = vault.unseal(
        unit,
        known.compartment,
        place=affected_place(known),
        sealed=known.sealed_affected,
        reader=reader,
    )
    told: dict[str, Any] = json.loads(content)
    return told

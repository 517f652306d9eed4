"""Validating findings: queueing, examining outside any transaction, recording the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings import observed
from clearhold.findings.model import FindingBody, Match, Method, State
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    NotFoundError,
    machine_error,
)
from clearhold.kernel.events import Event
from clearhold.kernel.ids import ArtifactId, FindingId, ValidationId, new_id
from clearhold.ports.engine import AGAIN_AFTER, Task, next_try
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation import logs as run_logs
from clearhold.validation import records
from clearhold.validation.affecting import read_affected
from clearhold.validation.crash import likeness
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examiner import Examined, Examiner, Report
from clearhold.validation.logs import RunLog
from clearhold.validation.matrix import KnownProof
from clearhold.validation.records import ValidationRecord
from clearhold.validation.verdict import (
    BLAMELESS,
    Claim,
    Verdict,
    VerdictKind,
    of_the_machine,
)
from clearhold.vault.service import Vault
from clearhold.wire import dsse

READER: Final = "service:validation"
RUN: Final = "validation.run"
_MOST_NAMES: Final = 32
_LONGEST_NAME: Final = 500
ROOT_CAUSE: Final = "validation.root_cause"
_OBSERVABLE: Final = frozenset({"crash", "hang", "wrong-result"})


@dataclass(frozen=True, slots=True)
class ValidationView:
    """A validation as those who may see its finding see it.

    `summary` holds the reason, the frames of the fault, the runs and the recipe; None until decided.
    Once the proof was replayed over releases it holds under `affected` which of them show the flaw.
    """

    id: ValidationId
    finding: FindingId
    state: str
    verdict: str | None
    level: int | None
    decided_at: datetime | None
    summary: Mapping[str, Any] | None


class ValidationService:
    """Validates what was submitted."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        findings: FindingService,
        *,
        examiner: Examiner,
        signing_key: Ed25519PrivateKey,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._findings = findings
        self._examiner = examiner
        self._signing_key = signing_key

    def of_finding(self, actor: Actor, finding: FindingId) -> ValidationView:
        """The validation of a finding the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.VALIDATION_READ)
        with self._sessions.transaction() as unit:
            known = _found(records.seen_by(unit, actor, finding))
            facts = self._facts(unit, known, actor.principal)
            replayed = read_affected(unit, self._vault, known, reader=actor.principal)
            if replayed is not None:
                facts["affected"] = replayed
            return ValidationView(
                known.id,
                known.finding,
                known.state,
                known.verdict,
                known.level,
                known.decided_at,
                facts or None,
            )

    def evidence(self, actor: Actor, finding: FindingId) -> bytes:
        """The signed evidence of a finding's validation, a DSSE envelope.

        Raises `ConflictError` while there is none.
        """
        actor.need(Permission.VALIDATION_READ)
        with self._sessions.transaction() as unit:
            known = _found(records.seen_by(unit, actor, finding))
            if known.evidence is None:
                raise ConflictError(
                    "There is no evidence yet, or nothing could be run.",
                    next_step="Read the validation's verdict and reason.",
                )
            return self._vault.fetch(unit, known.evidence, reader=actor.principal)

    def logs(self, actor: Actor, finding: FindingId) -> tuple[RunLog, ...]:
        """What each run of a finding's validation printed, for those who may read its proof.

        Raises `NotFoundError`, and `ConflictError` when nothing was run or its logs were not kept.
        """
        actor.need(Permission.VALIDATION_READ)
        with self._sessions.transaction() as unit:
            known = _found(records.seen_by(unit, actor, finding, tier=Tier.EVERYTHING))
            if known.evidence is None or known.logs is None:
                raise ConflictError(
                    "There are no logs: nothing has run yet, or it ran before logs were kept.",
                    next_step="Read the validation's verdict and reason.",
                )
            envelope = self._vault.fetch(unit, known.evidence, reader=actor.principal)
            kept = self._vault.fetch(unit, known.logs, reader=actor.principal)
        statement = dsse.read_statement(dsse.payload_of(envelope), PREDICATE_TYPE)
        return run_logs.read(statement.predicate, run_logs.unpack(kept))

    def queue(self, finding: FindingId) -> None:
        """Queue the validation of a finding, once."""
        with self._sessions.transaction() as unit:
            if records.of_finding(unit, finding) is not None:
                return
            head = self._findings.head(unit, finding)
            identity = ValidationId(new_id(unit.now))
            records.add(unit, identity, finding=finding, compartment=head.compartment)
            unit.record(
                "validation:validation:queue",
                actor=READER,
                subject=finding,
                compartment=head.compartment,
            )
            unit.enqueue(_task(identity, finding))

    def repeat(self, actor: Actor, finding: FindingId) -> ValidationView:
        """Ask for another try of a validation that this machine could not carry out.

        It is tried again by itself, too, after growing pauses. Raises `NotFoundError`, and
        `ConflictError` when there is a verdict or a try is under way.
        """
        actor.need(Permission.VALIDATION_REPEAT)
        with self._sessions.transaction() as unit:
            known = _found(records.seen_by(unit, actor, finding))
            if known.state != "decided" or _final(known):
                raise ConflictError(
                    "The validation is decided, or still under way.",
                    next_step="Read its verdict; a better proof is a new finding.",
                )
            records.reopen(unit, known.id)
            task = _task(known.id, finding, attempt=len(AGAIN_AFTER))
            unit.enqueue(replace(task, key=f"{task.key}:asked:{to_microseconds(unit.now)}"))
            unit.record(
                "validation:validation:repeat",
                actor=actor.principal,
                subject=finding,
                compartment=known.compartment,
            )
        return self.of_finding(actor, finding)

    def run(self, finding: FindingId, *, attempt: int = 0) -> None:
        """Examine a finding and record the verdict; running it again changes nothing decided.

        What the machine could not carry out is decided as such, and tried again later.
        """
        with self._sessions.transaction() as unit:
            known = _found(records.of_finding(unit, finding))
            if _final(known):
                return
            body = self._findings.open_for(unit, finding, reader=READER)
            proof = self._findings.proof_of(unit, finding, reader=READER)
            self._findings.set_verdict(unit, finding, state=State.VALIDATING, verdict="", level=0)
        examined = self._examine(body, proof)
        with self._sessions.transaction() as unit:
            if not _final(_found(records.of_finding(unit, finding))):
                self._decide(unit, known, examined, str(body.purl.package), attempt=attempt)

    def queue_root_cause(self, finding: FindingId, *, key: str) -> None:
        """Queue the comparison of a reproduced finding with others of its package."""
        with self._sessions.transaction() as unit:
            head = self._findings.head(unit, finding)
            if head.state is State.REPRODUCED:
                task = Task(ROOT_CAUSE, f"{ROOT_CAUSE}:{key}", {"finding": finding}, "heavy")
                unit.enqueue(task)

    def root_cause(self, finding: FindingId) -> None:
        """Let candidate fixes tell a finding from others of its package, and assert what they show.

        The fixes are those that came with the findings themselves. What they leave open waits for a
        person when the minimised traces are alike. Asserting twice changes nothing.
        """
        with self._sessions.transaction() as unit:
            package, proofs, patches = self._material(unit, finding)
        if len(proofs) < 2:
            return
        shown = self._examiner.compare(package, proofs, patches) if patches else ()
        with self._sessions.transaction() as unit:
            for each in shown:
                self._findings.assert_match(
                    unit,
                    FindingId(each.a),
                    FindingId(each.b),
                    verdict=Match(each.relation),
                    method=Method.BEHAVIOUR,
                    evidence={"patch_sha256": each.patches[0]},
                    by=READER,
                )
            # Of what no fix tells apart or joins, what was seen ranks, and decides nothing.
            own = next((each.trace for each in proofs if each.id == finding), ())
            alike = {FindingId(e.id): likeness(own, e.trace) for e in proofs if e.id != finding}
            observed.propose(unit, finding, alike)

    def _material(
        self, unit: UnitOfWork, finding: FindingId
    ) -> tuple[str, list[KnownProof], list[bytes]]:
        proofs, patches, package = [], [], ""
        for identity in (finding, *self._findings.candidates(unit, finding)):
            known = records.of_finding(unit, identity)
            head = self._findings.head(unit, identity)
            if head.state is not State.REPRODUCED or known is None or not known.sealed_summary:
                continue
            body = self._findings.open_for(unit, identity, reader=READER)
            content = self._findings.proof_of(unit, identity, reader=READER)
            facts = self._facts(unit, known, READER)
            if content is not None:
                signature, trace = (_names(facts.get(each)) for each in ("signature", "trace"))
                proofs.append(KnownProof(identity, body.target, content, signature, trace))
            if body.patch:
                patches.append(self._vault.fetch(unit, ArtifactId(body.patch), reader=READER))
            package = str(body.purl.package)
        return package, proofs, patches

    def _facts(self, unit: UnitOfWork, known: ValidationRecord, reader: str) -> dict[str, Any]:
        if known.sealed_summary is None:
            return {}
        opened = self._vault.unseal(
            unit,
            known.compartment,
            place=_place(known.id),
            sealed=known.sealed_summary,
            reader=reader,
        )
        facts: dict[str, Any] = json.loads(opened)
        return facts

    def _examine(self, body: FindingBody, proof: bytes | None) -> Examined:
        if proof is None:
            reason = "The report holds no proof that could be run."
            return Examined.nothing_run(VerdictKind.NOT_VALIDATED, reason, detail="no_proof")
        report = Report(
            package=str(body.purl.package),
            target=body.target,
            proof=proof,
            claim=Claim(
                body.claim if body.claim in _OBSERVABLE else "",
                body.purl.version or "",
                body.signature,
                body.toolchain,
            ),
        )
        try:
            return self._examiner.examine(report)
        except (ClearholdError, OSError) as problem:
            # What the machine lacks is never held against whoever sent the report.
            error = machine_error(problem) if isinstance(problem, OSError) else problem
            return Examined.nothing_run(
                VerdictKind.ENVIRONMENT_FAILURE, f"{error.message} {error.next_step}"
            )

    def _decide(
        self,
        unit: UnitOfWork,
        known: ValidationRecord,
        examined: Examined,
        package: str,
        *,
        attempt: int,
    ) -> None:
        verdict = examined.verdict
        evidence = logs = None
        if examined.evidence:
            envelope = dsse.sign(examined.evidence, dsse.IN_TOTO, self._signing_key)
            evidence = self._vault.store(
                unit, known.compartment, content=envelope, media_type="application/vnd.dsse+json"
            )
            logs = self._vault.store(
                unit,
                known.compartment,
                content=run_logs.pack(examined.logs),
                media_type=run_logs.MEDIA_TYPE,
            )
        summary = json.dumps(dict(examined.facts), sort_keys=True).encode()
        records.decide(
            unit,
            known.id,
            {
                "verdict": verdict.label,
                "level": verdict.level,
                "evidence": evidence,
                "logs": logs,
                "sealed_summary": self._vault.seal(
                    unit, known.compartment, place=_place(known.id), content=summary
                ),
            },
        )
        self._findings.set_verdict(
            unit,
            known.finding,
            state=_state(verdict),
            verdict=verdict.label,
            level=verdict.level,
        )
        if verdict.confirmed:
            self._findings.index_signature(unit, known.finding, verdict.signature)
            trace = _names(examined.facts.get("trace"))
            observed.note_trace(unit, self._vault, known.finding, package, trace)
        elif of_the_machine(verdict.label):
            later = next_try(_task(known.id, known.finding, attempt=attempt))
            if later is not None:
                unit.enqueue(later[0], delay=later[1])
        ids = {"finding": known.finding, "validation": known.id}
        key = f"{known.id}:{to_microseconds(unit.now)}"  # one verdict can follow another
        unit.publish(Event("validation.decided", key, ids))


def _task(identity: ValidationId, finding: FindingId, *, attempt: int = 0) -> Task:
    arguments = {"finding": finding, "validation": identity, "attempt": str(attempt)}
    return Task(RUN, f"{RUN}:{identity}", arguments, "heavy")


def _final(known: ValidationRecord) -> bool:
    """Whether there is a verdict on the finding, not on the machine that looked at it."""
    return known.state == "decided" and not of_the_machine(known.verdict or "")


def _names(told: object) -> tuple[str, ...]:
    """Names as a worker told them; anything that is no list of such counts as none."""
    if not isinstance(told, list | tuple) or not all(isinstance(each, str) for each in told):
        return ()
    return tuple(each[:_LONGEST_NAME] for each in told[:_MOST_NAMES])


def _place(identity: ValidationId) -> tuple[str, str, str]:
    return ("validation", "sealed_summary", identity)


def _state(verdict: Verdict) -> State:
    if verdict.confirmed:
        return State.REPRODUCED
    return State.NOT_VALIDATED if verdict.kind in BLAMELESS else State.REFUSED


def _found(known: ValidationRecord | None) -> ValidationRecord:
    if known is None:
        raise NotFoundError(
            "There is no such finding.",
            next_step="Check the id; a report that was just sent is taken up in a moment.",
        )
    return known

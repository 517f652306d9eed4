"""What a case is about: the findings it links, and their proofs for those who judge fixes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from clearhold.cases import collisions, records
from clearhold.cases.admission import enter, open_to_readers
from clearhold.cases.model import IN_FORCE, OPEN_TO_ANSWER, ReportState, Role
from clearhold.cases.records import CaseRecord, LinkedFinding, ParticipantRecord
from clearhold.findings import records as findings
from clearhold.findings.model import FindingHead, State
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import CaseId, FindingId
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork

LEAST_LEVEL: Final = 2
"""A finding below this level of evidence, a crash reproduced on a known build, opens no case."""

WITHOUT_FIX: Final = "reproduced(no fix yet)"
"""The verdict on a proof that no fixed version existed for when it was validated."""


@dataclass(frozen=True, slots=True)
class CaseProof:
    """A proof of concept: of which finding, for which package version and recipe target."""

    finding: FindingId
    package: str
    target: str
    proof: bytes = field(repr=False)


class CaseMaterial:
    """Reaches from cases to findings, for services and never for an answer to a caller."""

    def __init__(self, findings: FindingService) -> None:
        self._findings = findings

    def proven(self, unit: UnitOfWork, finding: FindingId) -> tuple[FindingHead, ...]:
        """The findings of one vulnerability that reproduced, the one with priority first.

        Their rows stay locked until the transaction ends; whoever also locks a case or writes to
        the ledger does so afterwards, so that no two transactions wait for each other. Raises
        `NotFoundError` for an unknown finding.
        """
        members = self._findings.cluster_of(unit, finding).members
        heads = {each: findings.head(unit, each, lock=True) for each in sorted(members)}
        found = (heads[member] for member in members)
        return tuple(head for head in found if head is not None and _reproduced(head))

    def link(
        self, unit: UnitOfWork, case: CaseRecord, found: Iterable[FindingHead], *, by: str
    ) -> None:
        """Link findings to a case, make their finders participants, and read in who must act.

        What is linked already stays as it is; a finding that another case links is left there.
        """
        before = records.linked_to(unit, case.id)
        known = {each.finding for each in before}
        joined = []
        for head in found:
            if head.id in known or head.case not in (None, case.id):
                continue
            linked = LinkedFinding(head.id, head.compartment, head.party, case.id)
            records.link(unit, case.id, linked)
            self._findings.note_case(unit, [head.id], case.id)
            unit.record(
                "cases:finding:link",
                actor=by,
                subject=head.id,
                compartment=case.compartment,
                detail={"case": case.id},
            )
            everyone = records.participants(unit, case.id)
            if all(part.party != head.party for part in everyone):
                enter(unit, case, _finder(case, head, unit), by=by)
            open_to_readers(unit, case, linked, by=by)
            joined.append(linked)
        quiet = case.embargo_state in IN_FORCE | OPEN_TO_ANSWER
        if quiet and not {each.party for each in joined} <= {each.party for each in before}:
            _tell_collision(unit, case, (*before, *joined))

    def packages(self, unit: UnitOfWork, case: CaseId, *, reader: str) -> tuple[Purl, ...]:
        """The packages a case is about, released to the service `reader`."""
        linked = records.linked_to(unit, case)
        bodies = (self._findings.open_for(unit, each.finding, reader=reader) for each in linked)
        return tuple(dict.fromkeys(Purl.parse(body.package).package for body in bodies))

    def level(self, unit: UnitOfWork, case: CaseId) -> int:
        """The best level of evidence among the findings of a case, 0 to 4."""
        linked = records.linked_to(unit, case)
        return max((self._findings.head(unit, each.finding).level for each in linked), default=0)

    def compared_with_fix(self, unit: UnitOfWork, case: CaseId, *, by: str) -> None:
        """Raise what lacked only a fix to be compared with, now that one stops every proof.

        A new bug has no fixed side when it is validated, and so stays at level 2; the judging of a
        fix runs the same proofs on both sides. Others keep their level.
        """
        for finding in sorted(each.finding for each in records.linked_to(unit, case)):
            head = self._findings.head(unit, finding)
            if _reproduced(head) and head.verdict == WITHOUT_FIX and head.proof is not None:
                self._findings.set_verdict(
                    unit, finding, state=head.state, verdict="reproduced", level=3, by=by
                )

    def with_proof(self, unit: UnitOfWork, case: CaseId) -> frozenset[FindingId]:
        """The findings of a case that came with a proof."""
        linked = (each.finding for each in records.linked_to(unit, case))
        return frozenset(
            finding for finding in linked if self._findings.head(unit, finding).proof is not None
        )

    def proofs_of_case(
        self, unit: UnitOfWork, case: CaseId, *, reader: str
    ) -> tuple[CaseProof, ...]:
        """The proofs of every finding the case links, released to the service `reader`."""
        linked = records.linked_to(unit, case)
        return self._proofs(unit, (each.finding for each in linked), reader=reader)

    def other_cases_proofs(
        self, unit: UnitOfWork, case: CaseId, *, reader: str
    ) -> tuple[CaseProof, ...]:
        """Reproduced proofs for the same package that are not of this case.

        They may be under other embargoes: they go into the sandbox and nowhere else, and nothing
        that is told of a verdict may show that they exist.
        """
        linked = [each.finding for each in records.linked_to(unit, case)]
        others = {
            other: None
            for finding in linked
            for other in self._findings.candidates(unit, finding)
            if other not in linked and _reproduced(self._findings.head(unit, other))
        }
        return self._proofs(unit, others, reader=reader)

    def _proofs(
        self, unit: UnitOfWork, findings: Iterable[FindingId], *, reader: str
    ) -> tuple[CaseProof, ...]:
        proofs = []
        for finding in findings:
            proof = self._findings.proof_of(unit, finding, reader=reader)
            if proof is not None:
                body = self._findings.open_for(unit, finding, reader=reader)
                proofs.append(CaseProof(finding, body.package, body.target, proof))
        return tuple(proofs)


def _tell_collision(unit: UnitOfWork, case: CaseRecord, linked: tuple[LinkedFinding, ...]) -> None:
    """Say to who is bound to keep the case quiet, or asked to be, that one more party found it."""
    found = collisions.collisions_in(unit, linked)[case.id]
    unit.record(
        collisions.COLLIDED,
        actor=collisions.SERVICE,
        subject=case.id,
        compartment=case.compartment,
        detail={"fact": "collision", "collision": found.danger},
    )


def _finder(case: CaseRecord, head: FindingHead, unit: UnitOfWork) -> ParticipantRecord:
    # A finder comes with a report that it has itself received, judged and accepted.
    return ParticipantRecord(
        case=case.id,
        party=head.party,
        role=Role.FINDER,
        tier=0,
        report_state=ReportState.ACCEPTED,
        path={},
        joined_at=unit.now,
    )


def _reproduced(head: FindingHead) -> bool:
    return head.state is State.REPRODUCED and head.level >= LEAST_LEVEL

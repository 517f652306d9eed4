"""From test to defence: what a tested model found goes to the clearinghouse, maintainer first.

The developer signed in the agreement that findings go to maintainers first, so what either side hands
over is submitted in the developer's name, with credit to its model. It then is a finding like any other:
validated by its oracle, deduplicated, under embargo. The evaluator, also where it is an authority, is
read in to nothing of it. What the public knows already is kept as a record for calibration, no more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import engagement_records as records
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagements import Engagements
from clearhold.evaluations.model import Act
from clearhold.evaluations.papers import Kind, Papers
from clearhold.findings.intake import Format, read
from clearhold.findings.public import PublicKnowledge
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import ConflictError, InvalidError
from clearhold.kernel.ids import PrincipalId
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire.finding_json import MAX_TEXT

READER: Final = "service:evaluations"
_SHA256: Final = frozenset("0123456789abcdef")


class HandedOver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of something a tested model found, as both sides of the engagement read it.

    `finding`: it was submitted as `submission`, which its submitter alone may open. `calibration`: the
    public knows it as `known`. `sha256` is of the finding as it was given, `trials_sha256` of the
    trials in which it came up, in `task`.
    """

    credit: str
    known: tuple[str, ...]
    outcome: Literal["finding", "calibration"]
    sha256: str
    submission: str
    task: str
    trials_sha256: str


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was checked before anything was written."""

    known: tuple[str, ...]
    submitter: Actor
    credit: str


class Handovers:
    """Hands over what tested models found."""

    def __init__(
        self, sessions: Sessions, engagements: Engagements, kept: Papers, findings: FindingService
    ) -> None:
        self._sessions = sessions
        self._engagements = engagements
        self._papers = kept
        self._findings = findings

    def hand_over(
        self, actor: Actor, engagement: str, raw: bytes, *, trials_sha256: str, task: str
    ) -> HandedOver:
        """Hand over a finding in the project's own JSON, for either side; again, it changes nothing.

        Raises `InvalidError` for what is no finding, and `ConflictError` before access began.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        if len(trials_sha256) != 64 or not set(trials_sha256) <= _SHA256:
            raise InvalidError("The trials are named by their SHA-256.")
        if not 0 < len(task) <= 200 or not task.isprintable():
            raise InvalidError("A task's name is one line of 1 to 200 characters.")
        sha256 = hashlib.sha256(raw).hexdigest()
        checked = self._check(actor, engagement, raw)
        submission = ""
        if not checked.known:
            receipt = self._findings.submit(
                checked.submitter,
                _credited(raw, checked.credit, trials_sha256),
                form=Format.CLEARHOLD_JSON,
                key=f"handover:{engagement}:{sha256}:{trials_sha256}",
            )
            submission = receipt.submission
        told = HandedOver(
            credit=checked.credit,
            known=checked.known,
            outcome="calibration" if checked.known else "finding",
            sha256=sha256,
            submission=submission,
            task=task,
            trials_sha256=trials_sha256,
        )
        with self._sessions.transaction() as unit:
            stored, _ = self._engagements.held(unit, actor, engagement)
            content = msgspec.json.encode(told, order="deterministic")
            within = (stored.id, stored.compartment)
            self._papers.add(unit, actor, within, Kind.HANDOVER, content, about=sha256)
        return told

    def list(self, actor: Actor, engagement: str) -> tuple[HandedOver, ...]:
        """What was handed over in an engagement, in its order."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            self._engagements.found(unit, actor, engagement)
            return tuple(
                msgspec.json.decode(content, type=HandedOver)
                for _, content in self._papers.seen(unit, actor, engagement, [Kind.HANDOVER])
            )

    def _check(self, actor: Actor, engagement: str, raw: bytes) -> _Checked:
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, engagement)
            if not any(each.act == Act.VERIFY_ACCESS for each in records.happened(unit, stored.id)):
                raise ConflictError("Access has not begun, so no tested model found anything.")
            (report,) = read(raw, Format.CLEARHOLD_JSON)
            with unit.as_service():
                public = PublicKnowledge(unit, [report.document.package.package])
                known = public.recognise(report).named
            return _Checked(known, *self._submitter(unit, stored, stands))

    def _submitter(
        self, unit: UnitOfWork, stored: StoredEngagement, stands: StoredAgreement
    ) -> tuple[Actor, str]:
        """The developer, as whom the hub submits, and the words of credit."""
        body = self._engagements.body(unit, stored, reader=READER)
        with unit.as_service():
            party = parties.by_id(unit, stands.developer)
        submitter = Actor(
            PrincipalId(READER), party.id, party.kind, frozenset({Permission.FINDINGS_SUBMIT})
        )
        return submitter, f"{body.model}, a model of {party.name}, while it was tested"


def _credited(raw: bytes, credit: str, trials_sha256: str) -> bytes:
    """The finding with who found it in its description."""
    members: dict[str, Any] = json.loads(raw)
    said = f"Found by {credit} (trials {trials_sha256}).\n\n{members.get('description', '')}"
    return json.dumps(members | {"description": said[:MAX_TEXT]}).encode()

"""Writing a submission that has been read: its findings, their keys and the receipt.

However many findings a submission brings, it takes the same number of queries: everything is made
first and written table by table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from clearhold.access.grants import Grantee, read_in_to_new
from clearhold.access.model import Actor
from clearhold.findings import records
from clearhold.findings.intake import Format
from clearhold.findings.match_index import index_batch
from clearhold.findings.model import (
    FindingHead,
    FindingReceipt,
    KeptFile,
    Receipt,
    State,
)
from clearhold.findings.public import PublicKnowledge
from clearhold.findings.report import Report, Taken
from clearhold.kernel.events import Event
from clearhold.kernel.ids import ArtifactId, FindingId, LeaseId, SubmissionId, new_id
from clearhold.ports.engine import Task
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Fresh, Kept, Vault

SUBMITTED: Final = "finding.submitted"
ANNOUNCE: Final = "findings:announce"
"""The flow that announces each finding of a submission with several."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission as it came: the bytes, what was read in them, and what came with them.

    `request` is the keyed digest by which a repeated request is recognised.
    """

    raw: bytes
    form: Format
    taken: Taken
    lease: LeaseId | None
    fence: int | None
    key: str
    request: bytes

    @property
    def reports(self) -> tuple[Report, ...]:
        """The findings that were read."""
        return self.taken.reports


def receive(
    unit: UnitOfWork, vault: Vault, actor: Actor, sent: Sent, *, under_lease: bool | None
) -> Receipt:
    """Write the submission and its findings, each in a compartment of its own."""
    whole, *each = vault.open_many(unit, 1 + len(sent.reports))
    read_in_to_new(
        unit,
        [fresh.id for fresh in (whole, *each)],
        Grantee(actor.party),
        tier=0,
        reason="submitter",
        granted_by="service:findings",
    )
    arrivals = [
        _Arrival(FindingId(new_id(unit.now)), report, fresh)
        for report, fresh in zip(sent.reports, each, strict=True)
    ]
    keys = {arrival.id: index_keys(vault, arrival.report) for arrival in arrivals}
    receipt = Receipt(
        submission=SubmissionId(new_id(unit.now)),
        received_at=unit.now,
        findings=_receipts(unit, actor, arrivals, keys),
        under_lease=under_lease,
        skipped=sent.taken.skipped,
        records=sent.taken.records,
    )
    _write_submission(unit, vault, actor, sent, receipt=receipt, within=whole)
    _write_findings(unit, vault, actor, receipt, arrivals)
    records.add_all_keys(unit, keys)
    index_batch(unit, vault, [(arrival.id, arrival.report) for arrival in arrivals])
    _announce(unit, receipt)
    return receipt


def index_keys(vault: Vault, report: Report) -> list[tuple[str, bytes]]:
    """What a finding is indexed under when it comes: keyed values, by kind."""
    prints = [vault.matching_hash(records.FINGERPRINT, text) for text in report.fingerprints]
    keys = [(records.FINGERPRINT, value) for value in prints]
    if report.copied:
        keys.append((records.COPY, vault.matching_hash(records.COPY, report.copied)))
    return keys


def receipt_place(submission: SubmissionId) -> tuple[str, str, str]:
    """Where a sealed receipt stands."""
    return ("submission", "receipt", submission)


def body_place(finding: FindingId) -> tuple[str, str, str]:
    """Where a sealed finding stands."""
    return ("finding", "body", finding)


@dataclass(slots=True)
class _Arrival:
    id: FindingId
    report: Report
    within: Fresh
    parts: dict[str, ArtifactId] = field(default_factory=dict)
    files: list[KeptFile] = field(default_factory=list)


def _write_submission(
    unit: UnitOfWork, vault: Vault, actor: Actor, sent: Sent, *, receipt: Receipt, within: Fresh
) -> None:
    identity = SubmissionId(receipt.submission)
    (raw,) = vault.store_many(unit, [Kept(within, sent.raw, f"clearhold/{sent.form}")])
    records.add_submission(
        unit,
        records.StoredSubmission(
            id=identity,
            party=actor.party,
            compartment=within.id,
            received_at=unit.now,
            format=sent.form,
            raw=raw,
            lease=sent.lease if receipt.under_lease else None,
            idempotency_key=sent.key,
            request=sent.request,
            receipt=within.seal(receipt_place(identity), receipt.to_bytes()),
        ),
    )
    unit.record(
        "findings:submission:receive",
        actor=actor.principal,
        subject=identity,
        compartment=within.id,
        detail={"raw": raw, "request": sent.request.hex()},
    )


def _write_findings(
    unit: UnitOfWork, vault: Vault, actor: Actor, receipt: Receipt, arrivals: Sequence[_Arrival]
) -> None:
    _keep_files(unit, vault, arrivals)
    rows = []
    for position, arrival in enumerate(arrivals):
        head = FindingHead(
            id=arrival.id,
            submission=SubmissionId(receipt.submission),
            position=position,
            party=actor.party,
            compartment=arrival.within.id,
            received_at=unit.now,
            state=State.RECEIVED,
            verdict="",
            level=0,
            proof=arrival.parts.get("proof"),
            case=None,
        )
        body = arrival.report.body(
            proof=arrival.parts.get("proof"),
            patch=arrival.parts.get("patch"),
            tests=arrival.parts.get("tests"),
            attachments=tuple(arrival.files),
        )
        rows.append((head, arrival.within.seal(body_place(head.id), body.to_bytes())))
        unit.record(
            "findings:finding:receive",
            actor=actor.principal,
            subject=head.id,
            compartment=head.compartment,
            detail={"submission": receipt.submission},
        )
    records.add_all(unit, rows)


def _keep_files(unit: UnitOfWork, vault: Vault, arrivals: Sequence[_Arrival]) -> None:
    """Store proofs, patches, tests and attachments as artefacts of their findings."""
    kept: list[Kept] = []
    places: list[tuple[_Arrival, str]] = []
    for arrival in arrivals:
        document = arrival.report.document
        for part, content, media_type in (
            ("proof", document.proof, "application/octet-stream"),
            ("patch", document.patch.encode(), "text/x-diff"),
            ("tests", document.tests.encode(), "text/x-diff"),
        ):
            if content:
                kept.append(Kept(arrival.within, content, media_type))
                places.append((arrival, part))
        for attachment in arrival.report.attachments:
            kept.append(Kept(arrival.within, attachment.content, "application/octet-stream"))
            places.append((arrival, f"file:{attachment.name}"))
    stored = vault.store_many(unit, kept)
    for (arrival, part), artifact, each in zip(places, stored, kept, strict=True):
        if part.startswith("file:"):
            name = part.removeprefix("file:")
            arrival.files.append(KeptFile(name, artifact, len(each.content)))
        else:
            arrival.parts[part] = artifact


def _announce(unit: UnitOfWork, receipt: Receipt) -> None:
    # One task for the whole submission, so that what it costs does not grow with its findings.
    if len(receipt.findings) == 1:
        finding = receipt.findings[0].finding
        unit.publish(Event(SUBMITTED, finding, {"finding": finding}))
    elif receipt.findings:
        unit.enqueue(
            Task(ANNOUNCE, f"{ANNOUNCE}:{receipt.submission}", {"submission": receipt.submission})
        )


def _receipts(
    unit: UnitOfWork,
    actor: Actor,
    arrivals: Sequence[_Arrival],
    keys: dict[FindingId, list[tuple[str, bytes]]],
) -> tuple[FindingReceipt, ...]:
    # Only the submitter's own findings and public knowledge are looked at: an answer that
    # depended on anyone else's would tell made-up text what is under embargo.
    prints = {
        identity: [value for kind, value in each if kind == records.FINGERPRINT]
        for identity, each in keys.items()
    }
    every = {value for values in prints.values() for value in values}
    own = records.own_with_fingerprint(unit, actor.party, every) if every else {}
    packages = {arrival.report.document.package.package for arrival in arrivals}
    public = PublicKnowledge(unit, packages)
    receipts = []
    for arrival in arrivals:
        report, values = arrival.report, prints[arrival.id]
        recognised = public.recognise(report)
        duplicates = dict.fromkeys(other for value in values for other in own.get(value, []))
        receipts.append(
            FindingReceipt(
                finding=arrival.id,
                missing=report.document.completeness.missing,
                own_duplicates=tuple(duplicates),
                public=recognised.named,
                perhaps_public=recognised.perhaps,
                public_seen=recognised.seen,
                parts=report.parts,
                place=report.place,
            )
        )
        for value in values:
            own.setdefault(value, []).append(arrival.id)
    return tuple(receipts)

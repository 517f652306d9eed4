"""Writing a submission that has been read: its findings, their keys and the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.catalogue import records as catalogue
from clearhold.catalogue.model import KnownVulnerability
from clearhold.findings import records
from clearhold.findings.intake import Format, Report
from clearhold.findings.model import FindingHead, FindingReceipt, Receipt, State
from clearhold.kernel.events import Event
from clearhold.kernel.ids import ArtifactId, CompartmentId, FindingId, LeaseId, SubmissionId, new_id
from clearhold.kernel.matching import Verdict
from clearhold.kernel.purl import Purl
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission as it came: the bytes, what was read in them, and what came with them.

    `request` is the keyed digest by which a repeated request is recognised.
    """

    raw: bytes
    form: Format
    reports: tuple[Report, ...]
    lease: LeaseId | None
    fence: int | None
    key: str
    request: bytes


def receive(
    unit: UnitOfWork, vault: Vault, actor: Actor, sent: Sent, *, under_lease: bool | None
) -> Receipt:
    """Write the submission and its findings, each in a compartment of its own."""
    identities = [FindingId(new_id(unit.now)) for _ in sent.reports]
    prints = [_fingerprints(vault, report) for report in sent.reports]
    receipt = Receipt(
        submission=SubmissionId(new_id(unit.now)),
        received_at=unit.now,
        findings=_receipts(unit, actor, sent.reports, identities=identities, prints=prints),
        under_lease=under_lease,
    )
    _write_submission(unit, vault, actor, sent, receipt=receipt)
    for position, report in enumerate(sent.reports):
        identity = identities[position]
        body, new = _sealed(
            unit,
            vault,
            actor,
            report,
            submission=receipt.submission,
            position=position,
            identity=identity,
        )
        records.add(unit, new, body=body)
        package = vault.matching_hash(records.PACKAGE, str(report.document.package.package))
        keys = [(records.FINGERPRINT, value) for value in prints[position]]
        records.add_keys(unit, identity, [(records.PACKAGE, package), *keys])
        unit.record(
            "findings:finding:receive",
            actor=actor.principal,
            subject=identity,
            compartment=new.compartment,
            detail={"submission": receipt.submission},
        )
        unit.publish(Event("finding.submitted", identity, {"finding": identity}))
    return receipt


def receipt_place(submission: SubmissionId) -> tuple[str, str, str]:
    """Where a sealed receipt stands."""
    return ("submission", "receipt", submission)


def body_place(finding: FindingId) -> tuple[str, str, str]:
    """Where a sealed finding stands."""
    return ("finding", "body", finding)


def _own_compartment(unit: UnitOfWork, vault: Vault, actor: Actor) -> CompartmentId:
    within = vault.open_compartment(unit)
    submitter = Grantee(actor.party)
    read_in(unit, within, submitter, tier=0, reason="submitter", granted_by="service:findings")
    return within


def _write_submission(
    unit: UnitOfWork, vault: Vault, actor: Actor, sent: Sent, *, receipt: Receipt
) -> None:
    within = _own_compartment(unit, vault, actor)
    identity = SubmissionId(receipt.submission)
    raw = vault.store(unit, within, content=sent.raw, media_type=f"clearhold/{sent.form}")
    sealed = vault.seal(unit, within, place=receipt_place(identity), content=receipt.to_bytes())
    records.add_submission(
        unit,
        records.StoredSubmission(
            id=identity,
            party=actor.party,
            compartment=within,
            received_at=unit.now,
            format=sent.form,
            raw=raw,
            lease=sent.lease if receipt.under_lease else None,
            idempotency_key=sent.key,
            request=sent.request,
            receipt=sealed,
        ),
    )
    unit.record(
        "findings:submission:receive",
        actor=actor.principal,
        subject=identity,
        compartment=within,
        detail={"raw": raw, "request": sent.request.hex()},
    )


def _sealed(
    unit: UnitOfWork,
    vault: Vault,
    actor: Actor,
    report: Report,
    *,
    submission: str,
    position: int,
    identity: FindingId,
) -> tuple[bytes, FindingHead]:
    within = _own_compartment(unit, vault, actor)
    document = report.document

    def keep(content: bytes, media_type: str) -> ArtifactId | None:
        if not content:
            return None
        return vault.store(unit, within, content=content, media_type=media_type)

    proof = keep(document.proof, "application/octet-stream")
    body = report.body(
        proof=proof,
        patch=keep(document.patch.encode(), "text/x-diff"),
        tests=keep(document.tests.encode(), "text/x-diff"),
    )
    new = FindingHead(
        id=identity,
        submission=SubmissionId(submission),
        position=position,
        party=actor.party,
        compartment=within,
        received_at=unit.now,
        state=State.RECEIVED,
        verdict="",
        level=0,
        proof=proof,
        case=None,
    )
    return vault.seal(unit, within, place=body_place(identity), content=body.to_bytes()), new


def _fingerprints(vault: Vault, report: Report) -> tuple[bytes, ...]:
    return tuple(vault.matching_hash(records.FINGERPRINT, text) for text in report.fingerprints)


def _receipts(
    unit: UnitOfWork,
    actor: Actor,
    reports: Sequence[Report],
    *,
    identities: Sequence[FindingId],
    prints: Sequence[tuple[bytes, ...]],
) -> tuple[FindingReceipt, ...]:
    # Only the submitter's own findings and public knowledge are looked at: an answer that
    # depended on anyone else's would tell made-up text what is under embargo.
    every = {value for values in prints for value in values}
    own = records.own_with_fingerprint(unit, actor.party, every)
    public: dict[Purl, tuple[KnownVulnerability, ...]] = {}
    receipts = []
    for report, identity, values in zip(reports, identities, prints, strict=True):
        package = report.document.package.package
        if package not in public:
            public[package] = catalogue.known_in(unit, package)
        named, others = _public_matches(report, public[package])
        duplicates = dict.fromkeys(other for value in values for other in own.get(value, []))
        receipts.append(
            FindingReceipt(
                finding=identity,
                missing=report.document.completeness.missing,
                own_duplicates=tuple(duplicates),
                public=named,
                perhaps_public=others,
            )
        )
        for value in values:
            own.setdefault(value, []).append(identity)
    return tuple(receipts)


def _public_matches(
    report: Report, known: Sequence[KnownVulnerability]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    version = report.document.package.version or ""
    affecting = [
        each for each in known if each.affects(version).verdict is not Verdict.NOT_AFFECTED
    ]
    named = tuple(each.id for each in affecting if each.names & report.names)
    return named, tuple(each.id for each in affecting if each.id not in named)

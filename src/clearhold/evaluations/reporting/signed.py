"""The signed report: an in-toto Statement v1 in a DSSE envelope, and a file that proves itself offline.

The file holds the report's bytes, the evaluator's envelope and, once there is one, the leaf of the
project's transparency log that names both. Whoever has the evaluator's public key needs no hub.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.evaluations.reporting import document
from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.reporting.document import Report, Written
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.ledger import bundle
from clearhold.wire import dsse, json_bounds
from clearhold.wire.signed_note import NoteVerifier

FORMAT: Final = "clearhold-signed-report/1"
PREDICATE_TYPE: Final = "urn:clearhold:attestation:model-test:v0.1"
LOGGED: Final = "evaluations:report:final"
"""The act of the ledger's leaf that names a final report."""
LARGEST: Final = 3 * document.LARGEST


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    envelope: str
    format: Literal["clearhold-signed-report/1"]
    inclusion: dict[str, Any] | None
    report: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A report that proved itself: who signed it, and when the log told of it, if it did."""

    written: Written
    key: str
    logged_at: str | None


def statement(written: Written) -> bytes:
    """What is signed of a report: its digest, and what can be checked without reading it whole."""
    report = written.report
    closing = report.closing
    if closing is None:
        raise InvalidError("A draft is not signed; close it first.")
    return dsse.write_statement(
        dsse.Statement(
            subjects=(dsse.Subject("report.json", written.sha256),),
            predicate_type=PREDICATE_TYPE,
            predicate=_predicate(report),
        )
    )


def _predicate(report: Report) -> dict[str, Any]:
    closing = report.closing
    held = report.results.containment
    beside = {} if report.beside is None else {"beside": _beside(report.beside)}
    return beside | {
        "access": msgspec.to_builtins(report.access),
        "agreement": report.tested.agreement_sha256,
        "containment": {
            "attemptedPackets": held.egress_attempts,
            "isolation": dict(held.isolation),
            "packetsOut": held.egress_left,
            "trials": held.trials,
        },
        "engagement": report.tested.engagement,
        "model": report.tested.model,
        "plan": report.plan_sha256,
        "redactions": len(closing.redactions) if closing else 0,
        "reply": {"how": closing.reply.how, "sha256": closing.reply.sha256} if closing else None,
        "says": report.says,
        "suites": {each.name: each.commitment for each in report.plan.suites},
        "trials": {each.model: each.sha256 for each in report.sources},
    }


def _beside(beside: Beside) -> dict[str, Any]:
    """Each finding and decision by the digest of what its author wrote, and the burden in numbers."""
    return {
        "asOf": msgspec.to_builtins(beside.as_of),
        "burden": msgspec.to_builtins(beside.burden),
        "decisions": {each.sha256: each.decision for each in beside.decisions},
        "safeguards": {each.sha256: str(each.stands) for each in beside.safeguards},
    }


def sign(written: Written, key: Ed25519PrivateKey) -> bytes:
    """The envelope in which an evaluator signs a final report."""
    return dsse.sign(statement(written), dsse.IN_TOTO, key)


def check_payload(payload: bytes, written: Written) -> None:
    """Raise `InvalidError` unless what was signed is the statement of exactly this report."""
    if payload != statement(written):
        raise InvalidError(
            "What was signed is not the statement of this report.",
            next_step="Let `clearhold model report final` write and sign it.",
        )


def pack(content: bytes, envelope: bytes, inclusion: dict[str, Any] | None) -> bytes:
    """The file that proves itself, from a report's bytes."""
    whole = _File(
        envelope=envelope.decode(), format=FORMAT, inclusion=inclusion, report=content.decode()
    )
    return msgspec.json.encode(whole, order="deterministic")


def with_proof(packed: bytes, inclusion: dict[str, Any] | None) -> bytes:
    """The file with the log's proof that it is told of."""
    file = _read(packed)
    return msgspec.json.encode(
        msgspec.structs.replace(file, inclusion=inclusion), order="deterministic"
    )


def unpacked(packed: bytes) -> Written:
    """The report that stands in a file, whoever signed it."""
    return document.read(_read(packed).report.encode())


def _read(packed: bytes) -> _File:
    limits = json_bounds.Limits(size=LARGEST, depth=16)
    return json_bounds.decode(packed, _File, limits=limits, what="signed report")


def verify(
    content: bytes, keys: dict[str, Ed25519PublicKey], log: NoteVerifier | None = None
) -> Verified:
    """A report from its file, if one of `keys` signed it; with `log`, if that log tells of it too.

    Raises `InvalidError` for what is no such file, and `IntegrityError` for what does not verify.
    """
    file = _read(content)
    written = document.read(file.report.encode())
    envelope = file.envelope.encode()
    payload, key = dsse.verify_with_signer(envelope, keys, dsse.IN_TOTO)
    if payload != statement(written):
        raise IntegrityError("The report is not the one that was signed: one of them was changed.")
    return Verified(written, key, _logged(file, written, envelope, log))


def _logged(file: _File, written: Written, envelope: bytes, log: NoteVerifier | None) -> str | None:
    if log is None:
        return None
    if file.inclusion is None:
        raise IntegrityError(
            "The file has no proof that the log tells of this report.",
            next_step="Fetch it again with `clearhold model report fetch`, once the log is published.",
        )
    checked = bundle.check(msgspec.json.encode(file.inclusion), log)
    told = checked.leaf.detail
    named = {"report": written.sha256, "envelope": hashlib.sha256(envelope).hexdigest()}
    if checked.leaf.action != LOGGED or any(told.get(name) != each for name, each in named.items()):
        raise IntegrityError("The log's leaf in the file tells of another report.")
    return checked.leaf.at.isoformat()

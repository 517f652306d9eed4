"""An operator's signed receipt for one fix: an in-toto Statement v1 in a DSSE envelope.

The predicate says who (a pseudonym), what (advisory, package, from and to) and how far it got,
with hashes of the evidence that stays at the operator's. `counter` grows by one with every receipt
of one agent, so that a receiver sees repetition, loss and replay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.kernel.errors import InvalidError
from clearhold.wire import dsse

PREDICATE_TYPE: Final = "urn:clearhold:receipt:1"
MAX_EVIDENCE: Final = 64

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ReceiptState(StrEnum):
    """How far a fix has come in one environment."""

    RECEIVED = "received"
    VERIFIED = "verified"
    STAGED = "staged"
    APPLIED = "applied"
    VERIFIED_FIXED = "verified_fixed"
    ROLLED_BACK = "rolled_back"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One step of one fix in one environment.

    `operator` and `environment` are pseudonyms; `action` groups the receipts of one attempt.
    `package` is a purl without version. `evidence` maps what was looked at to its SHA-256.
    `counter` starts at 1; `issued` is an aware instant.
    """

    operator: str
    environment: str
    action: str
    advisory: str
    package: str
    from_version: str
    to_version: str
    state: ReceiptState
    reason: str
    evidence: Mapping[str, str]
    counter: int
    issued: datetime


class _Predicate(msgspec.Struct, forbid_unknown_fields=True):
    operator: str
    environment: str
    action: str
    advisory: str
    package: str
    from_version: str
    to_version: str
    state: ReceiptState
    reason: str
    evidence: dict[str, str]
    counter: int
    issued: datetime


def sign(receipt: Receipt, key: Ed25519PrivateKey) -> bytes:
    """The receipt as a DSSE envelope signed with the operator's key.

    Raises `InvalidError` when a field is not acceptable, as `verify` would.
    """
    _check(receipt)
    issued = receipt.issued.astimezone(UTC)
    statement = dsse.Statement(
        subjects=(
            dsse.Subject(receipt.advisory, receipt.evidence["bundle"]),
            *(
                dsse.Subject(f"{receipt.package}@{receipt.to_version}", digest)
                for name, digest in receipt.evidence.items()
                if name == "artefact"
            ),
        ),
        predicate_type=PREDICATE_TYPE,
        predicate={
            "operator": receipt.operator,
            "environment": receipt.environment,
            "action": receipt.action,
            "advisory": receipt.advisory,
            "package": receipt.package,
            "from_version": receipt.from_version,
            "to_version": receipt.to_version,
            "state": receipt.state.value,
            "reason": receipt.reason,
            "evidence": dict(receipt.evidence),
            "counter": receipt.counter,
            "issued": issued.isoformat().replace("+00:00", "Z"),
        },
    )
    return dsse.sign(dsse.write_statement(statement), dsse.IN_TOTO, key)


def verify(envelope: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """Read a receipt signed by one of `keys` (key id to public key).

    Raises `IntegrityError` when no such key signed it, `InvalidError` when it is no receipt, and
    `TooLargeError` beyond the envelope's limit.
    """
    statement = dsse.read_statement(dsse.verify(envelope, keys, dsse.IN_TOTO), PREDICATE_TYPE)
    try:
        predicate = msgspec.convert(dict(statement.predicate), _Predicate)
    except msgspec.ValidationError as error:
        raise InvalidError(
            f"The statement is not a receipt: {error}",
            next_step="Send a receipt as the agent wrote it.",
        ) from error
    receipt = Receipt(
        operator=predicate.operator,
        environment=predicate.environment,
        action=predicate.action,
        advisory=predicate.advisory,
        package=predicate.package,
        from_version=predicate.from_version,
        to_version=predicate.to_version,
        state=predicate.state,
        reason=predicate.reason,
        evidence=predicate.evidence,
        counter=predicate.counter,
        issued=predicate.issued,
    )
    _check(receipt)
    subject = statement.subjects[0]
    if (subject.name, subject.sha256) != (receipt.advisory, receipt.evidence["bundle"]):
        raise InvalidError(
            "The receipt's subject is not the advisory it reports on.",
            next_step="Send a receipt as the agent wrote it.",
        )
    return receipt


def _check(receipt: Receipt) -> None:
    problem = ""
    names = (receipt.operator, receipt.environment, receipt.action, receipt.advisory)
    if not all(_NAME.fullmatch(name) for name in names):
        problem = "operator, environment, action and advisory are short plain names"
    elif not receipt.package.startswith("pkg:") or len(receipt.package) > 512:
        problem = "the package is a purl of at most 512 characters"
    elif max(len(receipt.from_version), len(receipt.to_version)) > 128:
        problem = "versions have at most 128 characters"
    elif len(receipt.reason) > 2000:
        problem = "the reason has at most 2000 characters"
    elif not 0 < receipt.counter < 1 << 53:
        problem = "the counter is a positive whole number"
    elif receipt.issued.tzinfo is None:
        problem = "the instant of issue has a time zone"
    elif len(receipt.evidence) > MAX_EVIDENCE or not all(
        _NAME.fullmatch(name) and _SHA256.fullmatch(digest)
        for name, digest in receipt.evidence.items()
    ):
        problem = f"evidence is at most {MAX_EVIDENCE} names with a SHA-256 each"
    elif "bundle" not in receipt.evidence:
        problem = "evidence names the bundle that carried the advisory"
    if problem:
        raise InvalidError(
            f"The receipt is not acceptable: {problem}.",
            next_step="Send a receipt as the agent wrote it.",
        )

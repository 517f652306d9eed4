"""What a hub hands to a validation worker, and what comes back: sealed both ways, signed on return.

A job holds one question and nothing else: proofs, fixes and claims of one package, and a public key
made for this job alone. It is sealed (age) to the workers that the hub knows. The answer is signed
(DSSE, Ed25519) by the worker, bound to the job by its hash, and sealed to the job's own key, so
neither a worker nor whoever carries the files holds a key that opens another case. What the runs
printed is part of it, by SHA-256, and goes no other way.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.kernel.errors import (
    ClearholdError,
    IntegrityError,
    InvalidError,
    TooLargeError,
    UnavailableError,
    machine_error,
)
from clearhold.validation import logs
from clearhold.validation.affected import PREDICATE_TYPE as AFFECTED_TYPE
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examiner import Affecting, Examined, Examiner, Report
from clearhold.validation.matrix import KnownProof, Relation, Shown
from clearhold.validation.verdict import Claim, Verdict, VerdictKind
from clearhold.wire import dsse

RESULT_TYPE: Final = "application/vnd.clearhold.validation-result+json"
LARGEST: Final = 64 * 1024 * 1024
T = TypeVar("T")


class _Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    target: str
    content: bytes
    signature: tuple[str, ...]


class _Claimed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    violation: str
    version: str
    frames: tuple[str, ...]
    toolchain: str = ""


class _Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    schema: Literal[1] = 1
    nonce: str
    reply_to: str
    kind: Literal["examine", "compare", "affected"]
    package: str
    target: str = ""
    proof: bytes = b""
    claim: _Claimed = _Claimed("", "", ())
    proofs: tuple[_Proof, ...] = ()
    patches: tuple[bytes, ...] = ()
    not_by: tuple[str, ...] = ()
    builds: int = 0


class _Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: VerdictKind
    level: Literal[0, 1, 2, 3, 4]
    reason: str
    detail: str
    signature: tuple[str, ...]


class _Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: str
    b: str
    relation: Relation
    patches: tuple[str, ...]


class _Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    next_step: str


class _Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    job_sha256: str
    verdict: _Verdict | None = None
    facts: dict[str, Any] = {}
    evidence: bytes = b""
    logs: dict[str, bytes] = {}
    shown: tuple[_Shown, ...] = ()
    failure: _Failure | None = None


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker the hub knows: its name, the key it signs with and its age recipient."""

    name: str
    key: Ed25519PublicKey
    recipient: str

    @property
    def identity(self) -> str:
        """Its public key in hexadecimal digits."""
        return self.key.public_bytes_raw().hex()


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """What a worker holds: the key it signs results with, and the age identity that opens jobs."""

    key: Ed25519PrivateKey
    opener: pyrage.x25519.Identity


class DeclinedError(UnavailableError):
    """This worker has answered the question before, and another one is asked."""

    code = "declined"


@dataclass(frozen=True, slots=True)
class Sent:
    """A job on its way: its sealed bytes, and what opens and checks the answer. Never stored."""

    sealed: bytes
    _job: _Job
    _sha256: str
    _reply: pyrage.x25519.Identity

    def examined(self, answer: bytes, workers: Iterable[KnownWorker]) -> Examined:
        """The answer to a report.

        Raises `IntegrityError` unless a known worker that was asked signed it for this very job,
        and `UnavailableError` with what the worker lacked.
        """
        return self.examined_by(answer, workers)[0]

    def examined_by(self, answer: bytes, workers: Iterable[KnownWorker]) -> tuple[Examined, str]:
        """As `examined`, with the identity of the worker that answered."""
        result, by = self._opened(answer, workers)
        if result.verdict is None:
            raise _wrong("it holds no verdict")
        predicate: Mapping[str, Any] = {}
        if result.evidence:
            predicate = self._about_the_proof(result.evidence, PREDICATE_TYPE).predicate
        try:
            logs.check(result.logs, predicate)
        except IntegrityError as problem:
            raise _wrong("its logs are not what its evidence names") from problem
        said = result.verdict
        verdict = Verdict(said.kind, said.level, said.reason, said.detail, said.signature)
        if verdict.level >= 1 and not result.evidence:
            raise _wrong("it gives a level without evidence")
        return Examined(verdict, result.facts, result.evidence, result.logs), by

    def affecting(self, answer: bytes, workers: Iterable[KnownWorker]) -> Affecting:
        """The answer to which releases are affected; raises as `examined` does."""
        result, _ = self._opened(answer, workers)
        if result.evidence:
            self._about_the_proof(result.evidence, AFFECTED_TYPE)
        return Affecting(result.facts if result.evidence else {}, result.evidence)

    def shown(self, answer: bytes, workers: Iterable[KnownWorker]) -> tuple[Shown, ...]:
        """The answer to a comparison; raises as `examined` does."""
        result, _ = self._opened(answer, workers)
        ids = {proof.id for proof in self._job.proofs}
        fixes = {hashlib.sha256(patch).hexdigest() for patch in self._job.patches}
        for each in result.shown:
            if not {each.a, each.b} <= ids or each.a == each.b or not set(each.patches) <= fixes:
                raise _wrong("it speaks of proofs or fixes that were not sent")
            if not each.patches:
                raise _wrong("it names no fix")
        return tuple(Shown(each.a, each.b, each.relation, each.patches) for each in result.shown)

    def _about_the_proof(self, evidence: bytes, predicate_type: str) -> dsse.Statement:
        statement = dsse.read_statement(evidence, predicate_type)
        proof = hashlib.sha256(self._job.proof).hexdigest()
        if ("proof", proof) not in {(each.name, each.sha256) for each in statement.subjects}:
            raise _wrong("its evidence is about another proof")
        return statement

    def _opened(self, answer: bytes, workers: Iterable[KnownWorker]) -> tuple[_Result, str]:
        envelope = _unsealed(answer, self._reply)
        keys = {worker.identity: worker.key for worker in workers}
        asked = {name: key for name, key in keys.items() if name not in self._job.not_by}
        payload, by = dsse.verify_with_signer(envelope, asked, RESULT_TYPE)
        result = _decoded(payload, _Result)
        if result.job_sha256 != self._sha256:
            raise _wrong("it answers another job")
        if result.failure is not None:
            raise UnavailableError(result.failure.message, next_step=result.failure.next_step)
        return result, by


def send_report(
    report: Report, workers: Iterable[KnownWorker], *, not_by: tuple[str, ...] = ()
) -> Sent:
    """A job that asks for the examination of a report, by others than the identities `not_by`.

    Raises `UnavailableError` without workers.
    """
    return _send(workers, kind="examine", **_told(report), not_by=not_by)


def send_replay(report: Report, workers: Iterable[KnownWorker], *, builds: int) -> Sent:
    """A job that asks which releases a proof shows the flaw on; raises as `send_report` does."""
    return _send(workers, kind="affected", **_told(report), builds=builds)


def _told(report: Report) -> dict[str, Any]:
    said = report.claim
    return {
        "package": report.package,
        "target": report.target,
        "proof": report.proof,
        "claim": _Claimed(said.violation, said.version, said.frames, said.toolchain),
    }


def send_comparison(
    package: str,
    proofs: Iterable[KnownProof],
    patches: Iterable[bytes],
    workers: Iterable[KnownWorker],
) -> Sent:
    """A job that asks what fixes show of proofs. Raises `UnavailableError` without workers."""
    return _send(
        workers,
        kind="compare",
        package=package,
        proofs=tuple(_Proof(p.id, p.target, p.content, p.signature) for p in proofs),
        patches=tuple(patches),
    )


def run_step(sealed: bytes, examiner: Examiner, identity: WorkerIdentity) -> bytes:
    """Carry a job out and return the sealed answer; what the machine lacks is an answer, too.

    The same job gives the same answer, whoever carries it out and however often. Raises
    `IntegrityError` when the job is not sealed to this worker, `InvalidError` when it is no job and
    `DeclinedError` when another worker is asked.
    """
    content = _unsealed(sealed, identity.opener)
    job = _decoded(content, _Job)
    if identity.key.public_key().public_bytes_raw().hex() in job.not_by:
        raise DeclinedError("Another worker is asked.", next_step="Leave the job to it.")
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        result = _answered(job, sha256, examiner)
    except (ClearholdError, OSError) as problem:
        error = problem if isinstance(problem, ClearholdError) else machine_error(problem)
        result = _Result(job_sha256=sha256, failure=_Failure(error.message, error.next_step))
    envelope = dsse.sign(msgspec.json.encode(result), RESULT_TYPE, identity.key)
    return _sealed(envelope, [job.reply_to])


def _answered(job: _Job, sha256: str, examiner: Examiner) -> _Result:
    if job.kind == "compare":
        proofs = [KnownProof(p.id, p.target, p.content, p.signature) for p in job.proofs]
        shown = examiner.compare(job.package, proofs, job.patches)
        return _Result(
            job_sha256=sha256,
            shown=tuple(_Shown(s.a, s.b, s.relation, s.patches) for s in shown),
        )
    said = job.claim
    claim = Claim(said.violation, said.version, said.frames, said.toolchain)
    report = Report(job.package, job.target, job.proof, claim)
    if job.kind == "affected":
        replayed = examiner.affected(report, builds=job.builds)
        return _Result(job_sha256=sha256, facts=dict(replayed.facts), evidence=replayed.evidence)
    done = examiner.examine(report)
    verdict = done.verdict
    return _Result(
        job_sha256=sha256,
        verdict=_Verdict(
            verdict.kind,
            verdict.level,  # type: ignore[arg-type]  # the list of levels is closed
            verdict.reason,
            verdict.detail,
            verdict.signature,
        ),
        facts=dict(done.facts),
        evidence=done.evidence,
        logs=dict(done.logs),
    )


def _send(workers: Iterable[KnownWorker], **question: Any) -> Sent:
    recipients = [each.recipient for each in workers]
    if not recipients:
        raise UnavailableError(
            "The hub knows no validation worker.",
            next_step="Enrol one: see the page on validation workers.",
        )
    reply = pyrage.x25519.Identity.generate()
    job = _Job(nonce=secrets.token_hex(16), reply_to=str(reply.to_public()), **question)
    content = msgspec.json.encode(job)
    if len(content) > LARGEST:
        raise TooLargeError(
            f"The job has {len(content)} bytes; at most {LARGEST} are sent.",
            next_step="Send smaller proofs or fewer fixes.",
        )
    return Sent(_sealed(content, recipients), job, hashlib.sha256(content).hexdigest(), reply)


def _sealed(content: bytes, recipients: Iterable[str]) -> bytes:
    try:
        keys = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
        sealed: bytes = pyrage.encrypt(content, keys)
    except (pyrage.RecipientError, pyrage.EncryptError) as error:
        raise InvalidError(
            "A recipient of the job is no age recipient.",
            next_step="Enrol the worker again with what it prints.",
        ) from error
    return sealed


def _unsealed(sealed: bytes, identity: pyrage.x25519.Identity) -> bytes:
    if len(sealed) > 2 * LARGEST:
        raise TooLargeError("The sealed file is too large.", next_step="Send less at a time.")
    try:
        opened: bytes = pyrage.decrypt(sealed, [identity])
    except pyrage.DecryptError as error:
        raise IntegrityError(
            "The file is not sealed to this key, or was altered.",
            next_step="Check that the worker is enrolled with the identity it has now.",
        ) from error
    return opened


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(
            f"This is no job or answer of this release: {error}",
            next_step="Run the same release on the hub and its workers.",
        ) from error


def _wrong(why: str) -> IntegrityError:
    return IntegrityError(
        f"The worker's answer cannot be right: {why}.",
        next_step="Withdraw the worker and look at its machine.",
    )


def worker_facts(worker: Mapping[str, str]) -> KnownWorker:
    """A worker as the hub keeps it: `name`, `key` (64 hexadecimal digits) and `recipient` (age1…).

    Raises `InvalidError` for anything else.
    """
    try:
        pyrage.x25519.Recipient.from_str(worker["recipient"])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(worker["key"]))
        return KnownWorker(worker["name"], key, worker["recipient"])
    except (KeyError, ValueError, TypeError, pyrage.RecipientError) as error:
        raise InvalidError(
            "A validation worker is described wrongly.",
            next_step="Use what `clearhold validate enrol` printed on the worker.",
        ) from error

"""Nothing is refused on one worker's word when more are enrolled, and nobody answers twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standing_examiner import StandIn, examined

from clearhold.kernel.errors import IntegrityError, UnavailableError
from clearhold.validation import jobs
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examiner import Examined, Report
from clearhold.validation.jobs import DeclinedError, KnownWorker, WorkerIdentity, run_step
from clearhold.validation.remote import SpoolExaminer
from clearhold.validation.spool import Pace, Spool
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

PROOF = b"a proof"
REPORT = Report("pkg:pypi/quuxlib", "encode", PROOF, Claim("crash", toolchain="clang"))
NOT, SHOWN = VerdictKind.NOT_REPRODUCED, VerdictKind.REPRODUCED
PACE = Pace(look=0.01, renew=0.05, lost=5.0, patience=10.0)


def said(kind: VerdictKind) -> Examined:
    subject = dsse.Subject("proof", hashlib.sha256(PROOF).hexdigest())
    evidence = dsse.write_statement(dsse.Statement((subject,), PREDICATE_TYPE, {}))
    return replace(examined(kind), evidence=evidence)


@dataclass
class Yard:
    """A spool with workers that answer, in the order in which they are asked, what they are told."""

    place: Path
    answers: list[Examined | Exception]
    asked: list[int] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.place / "workers").mkdir()
        self._turn = threading.Lock()

    def examine(self, *, enrolled: int) -> Examined:
        with ExitStack() as stack:
            for number in range(enrolled):
                stack.enter_context(self._working(number))
            return SpoolExaminer(Spool(self.place, PACE), self.place / "workers").examine(REPORT)

    @contextmanager
    def _working(self, number: int) -> Iterator[None]:
        held = WorkerIdentity(Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate())
        known = {
            "name": str(number),
            "key": held.key.public_key().public_bytes_raw().hex(),
            "recipient": str(held.opener.to_public()),
        }
        (self.place / "workers" / f"{number}.json").write_text(json.dumps(known))
        stop = threading.Event()
        spool = Spool(self.place, PACE)
        thread = threading.Thread(
            target=lambda: spool.serve(
                lambda sealed: run_step(sealed, _Told(self, number), held), stop=stop, once=False
            )
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def answer(self, number: int, report: Report) -> Examined:
        with self._turn:
            self.asked.append(number)
            self.claims.append(report.claim)
            told = self.answers[len(self.asked) - 1]
        if isinstance(told, Exception):
            raise told
        return told


class _Told(StandIn):
    def __init__(self, yard: Yard, number: int) -> None:
        super().__init__()
        self._yard, self._number = yard, number

    def examine(self, report: Report) -> Examined:
        return self._yard.answer(self._number, report)


def test_what_one_worker_does_not_see_another_is_asked_for(tmp_path: Path) -> None:
    made = Yard(tmp_path, [said(NOT), said(SHOWN)])
    done = made.examine(enrolled=3)
    assert done.verdict.kind is SHOWN
    assert done.verdict.reason.endswith("Another worker had not seen it.")
    assert done.facts["reason"] == done.verdict.reason
    assert len(set(made.asked)) == 2
    assert made.claims == [REPORT.claim] * 2


def test_two_that_see_nothing_are_enough(tmp_path: Path) -> None:
    made = Yard(tmp_path, [said(NOT), said(NOT)])
    done = made.examine(enrolled=3)
    assert done.verdict.kind is NOT
    assert done.verdict.reason.endswith("A second worker saw none either.")
    assert len(set(made.asked)) == 2


@pytest.mark.parametrize("kind", [kind for kind in VerdictKind if kind is not NOT])
def test_any_other_verdict_needs_no_second_worker(tmp_path: Path, kind: VerdictKind) -> None:
    made = Yard(tmp_path, [said(kind)])
    assert made.examine(enrolled=2) == said(kind)


def test_one_worker_alone_is_believed(tmp_path: Path) -> None:
    made = Yard(tmp_path, [said(NOT)])
    assert made.examine(enrolled=1) == said(NOT)


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (UnavailableError("No compiler.", next_step="Install one."), "No second worker gave"),
        (said(VerdictKind.ENVIRONMENT_FAILURE), "A second worker could not tell."),
    ],
)
def test_a_second_worker_that_cannot_tell_changes_nothing(
    tmp_path: Path, answer: Examined | Exception, note: str
) -> None:
    done = Yard(tmp_path, [said(NOT), answer]).examine(enrolled=2)
    assert done.verdict.kind is NOT
    assert note in done.verdict.reason


def test_who_answered_before_declines_and_is_not_believed() -> None:
    held = WorkerIdentity(Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate())
    known = KnownWorker("first", held.key.public_key(), str(held.opener.to_public()))
    sent = jobs.send_report(REPORT, [known], not_by=(known.identity,))
    with pytest.raises(DeclinedError):
        run_step(sent.sealed, StandIn(), held)
    result = jobs._Result(job_sha256=sent._sha256)
    envelope = dsse.sign(msgspec.json.encode(result), jobs.RESULT_TYPE, held.key)
    with pytest.raises(IntegrityError):
        sent.examined(pyrage.encrypt(envelope, [sent._reply.to_public()]), [known])

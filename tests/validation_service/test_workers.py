"""Validating elsewhere: sealed both ways, signed on return, and nothing is lost when a process is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standing_examiner import StandIn, examined
from typer.testing import CliRunner

from clearhold.adapters.sandbox_bwrap import enterable
from clearhold.delivery.cli.main import app
from clearhold.kernel.errors import (
    ClearholdError,
    IntegrityError,
    InvalidError,
    UnavailableError,
)
from clearhold.validation import jobs
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examiner import Examined, Report
from clearhold.validation.jobs import (
    KnownWorker,
    WorkerIdentity,
    run_step,
    send_comparison,
    send_report,
    worker_facts,
)
from clearhold.validation.matrix import KnownProof, Relation
from clearhold.validation.remote import SpoolExaminer, known_workers
from clearhold.validation.spool import Pace, Spool
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

PROOF = b"a secret proof"
REPORT = Report("pkg:pypi/quuxlib", "encode", PROOF, Claim("crash", "1.0", ("indent",)))
QUICK = Pace(look=0.01, renew=0.05, lost=0.4, patience=5.0)
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def worker() -> WorkerIdentity:
    return WorkerIdentity(Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate())


def known(held: WorkerIdentity, name: str = "first") -> KnownWorker:
    return KnownWorker(name, held.key.public_key(), str(held.opener.to_public()))


def evidence_of(proof: bytes) -> bytes:
    subject = dsse.Subject("proof", hashlib.sha256(proof).hexdigest())
    return dsse.write_statement(dsse.Statement((subject,), PREDICATE_TYPE, {}))


def confirmed(proof: bytes = PROOF) -> Examined:
    return replace(examined(VerdictKind.REPRODUCED), evidence=evidence_of(proof))


def standing(answer: Examined | Exception | None = None) -> StandIn:
    return StandIn(verdicts={PROOF: answer or confirmed()})


@contextmanager
def serving(spool: Spool, work: Callable[[bytes], bytes]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=lambda: spool.serve(work, stop=stop, once=False))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_an_answer_is_what_the_examiner_said() -> None:
    held, examiner = worker(), standing()
    sent = send_report(REPORT, [known(held)])
    assert PROOF not in sent.sealed
    answer = run_step(sent.sealed, examiner, held)
    assert b"indent" not in answer
    assert sent.examined(answer, [known(held)]) == confirmed()
    assert examiner.asked == [REPORT]


def test_a_comparison_comes_back_whole() -> None:
    held = worker()
    examiner = StandIn(stops={b"FIX": {b"ONE", b"TWO"}})
    proofs = [
        KnownProof(each, "encode", each.upper().encode(), ("f", "a")) for each in ("one", "two")
    ]
    sent = send_comparison("pkg:pypi/quuxlib", proofs, [b"FIX"], [known(held)])
    # The stand-in names fixes otherwise than by their hash, which is refused.
    with pytest.raises(IntegrityError, match="not sent"):
        sent.shown(run_step(sent.sealed, examiner, held), [known(held)])
    fix = sent._job.patches[0]

    class Naming(StandIn):
        def compare(self, package: object, proofs: object, patches: object) -> object:
            shown = super().compare(package, proofs, patches)  # type: ignore[arg-type]
            return tuple(replace(s, patches=(hashlib.sha256(fix).hexdigest(),)) for s in shown)

    naming = Naming(stops={b"FIX": {b"ONE", b"TWO"}})
    (shown,) = sent.shown(run_step(sent.sealed, naming, held), [known(held)])
    assert (shown.a, shown.b, shown.relation) == ("one", "two", Relation.SAME)


def test_what_a_worker_lacks_is_told_and_never_a_verdict() -> None:
    held = worker()
    for problem in (
        UnavailableError("No compiler.", next_step="Install one."),
        OSError(28, "full"),
    ):
        sent = send_report(REPORT, [known(held)])
        with pytest.raises(UnavailableError):
            sent.examined(run_step(sent.sealed, standing(problem), held), [known(held)])


def test_only_a_known_worker_is_believed_and_only_about_this_job() -> None:
    held, stranger = worker(), worker()
    sent, other = (send_report(REPORT, [known(held), known(stranger)]) for _ in range(2))
    answer = run_step(sent.sealed, standing(), stranger)
    with pytest.raises(IntegrityError):
        sent.examined(answer, [known(held)])
    with pytest.raises(IntegrityError):
        other.examined(answer, [known(stranger)])
    # Sealed to the right key, but about another job.
    envelope = pyrage.decrypt(answer, [sent._reply])
    moved = pyrage.encrypt(envelope, [other._reply.to_public()])
    with pytest.raises(IntegrityError, match="another job"):
        other.examined(moved, [known(stranger)])
    with pytest.raises(IntegrityError):
        run_step(send_report(REPORT, [known(held)]).sealed, standing(), stranger)


def test_a_level_needs_evidence_about_the_proof_that_was_sent() -> None:
    held = worker()
    for answer in (
        replace(confirmed(), evidence=b""),
        replace(confirmed(), evidence=evidence_of(b"another")),
        replace(confirmed(), evidence=b"{}"),
    ):
        sent = send_report(REPORT, [known(held)])
        with pytest.raises((IntegrityError, InvalidError)):
            sent.examined(run_step(sent.sealed, standing(answer), held), [known(held)])


@given(st.binary(max_size=300), st.sampled_from(["answer", "envelope", "job"]))
def test_no_bytes_break_either_side(noise: bytes, where: str) -> None:
    held = worker()
    sent = send_report(REPORT, [known(held)])
    with pytest.raises(ClearholdError):
        if where == "job":
            run_step(pyrage.encrypt(noise, [held.opener.to_public()]), standing(), held)
        elif where == "answer":
            sent.examined(noise, [known(held)])
        else:
            envelope = dsse.sign(noise, jobs.RESULT_TYPE, held.key)
            sent.examined(pyrage.encrypt(envelope, [sent._reply.to_public()]), [known(held)])


def test_without_a_worker_the_hub_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="knows no"):
        SpoolExaminer(Spool(tmp_path), tmp_path / "workers").examine(REPORT)
    spool = Spool(tmp_path, replace(QUICK, patience=0.05))
    spool.prepare()
    with pytest.raises(UnavailableError, match="No validation worker"):
        spool.ask(b"x")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
    for use in (
        lambda: Spool(tmp_path / "nowhere").ask(b"x"),
        lambda: Spool(tmp_path / "nowhere").serve(bytes, stop=threading.Event(), once=True),
    ):
        with pytest.raises(UnavailableError, match="not there"):
            use()


def test_jobs_are_answered_once_each_by_whichever_worker_is_free(tmp_path: Path) -> None:
    spool = Spool(tmp_path, QUICK)
    spool.prepare()
    worked: list[bytes] = []

    def work(sealed: bytes) -> bytes:
        worked.append(sealed)
        time.sleep(0.01)
        return sealed[::-1]

    answers: dict[bytes, bytes] = {}

    def ask(content: bytes) -> None:
        answers[content] = spool.ask(content)

    questions = [b"question %d" % number for number in range(12)]
    with serving(spool, work), serving(spool, work):
        threads = [threading.Thread(target=ask, args=(each,)) for each in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {each: each[::-1] for each in questions}
    assert sorted(worked) == sorted(questions)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_worker_that_takes_long_keeps_its_job(tmp_path: Path) -> None:
    spool = Spool(tmp_path, QUICK)
    spool.prepare()
    worked = []

    def work(sealed: bytes) -> bytes:
        worked.append(sealed)
        time.sleep(4 * QUICK.lost)
        return b"done"

    with serving(spool, work), serving(spool, work):
        assert spool.ask(b"slow") == b"done"
    assert len(worked) == 1


KILLED = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from clearhold.validation.spool import Pace, Spool
def work(sealed):
    print("took it", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
Spool(Path(sys.argv[2]), Pace(look=.01, renew=.05)).serve(work, stop=threading.Event(), once=False)
"""


def killed_worker(tmp_path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, SOURCE, str(tmp_path)], stdout=subprocess.PIPE
    )


def test_a_job_outlives_workers_that_are_killed_in_the_middle(tmp_path: Path) -> None:
    spool = Spool(tmp_path, replace(QUICK, patience=60.0))
    spool.prepare()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(spool.ask(b"question")))
    with killed_worker(tmp_path) as first:
        asking.start()
        assert first.wait(timeout=60) == -signal.SIGKILL
    with serving(spool, lambda sealed: sealed.upper()):
        asking.join(timeout=60)
    assert answers == [b"QUESTION"]


def test_a_job_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path, replace(QUICK, patience=60.0, tries=2))
    spool.prepare()
    problems: list[UnavailableError] = []

    def ask() -> None:
        try:
            spool.ask(b"poison")
        except UnavailableError as problem:
            problems.append(problem)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(2):
        with killed_worker(tmp_path) as one:
            assert one.wait(timeout=60) == -signal.SIGKILL
    asking.join(timeout=60)
    assert "died" in problems[0].message
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


OTHER_USER = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from clearhold.validation.spool import Pace, Spool
pace = Pace(look=.01, renew=.05)
stop = threading.Event()
def work(sealed):
    stop.set()
    stop.wait(.2)
    return sealed.upper()
Spool(Path(sys.argv[2]), pace).serve(work, stop=stop, once=False)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a worker as another user")
def test_a_worker_of_another_user_shares_nothing_but_the_group() -> None:
    if not (enterable(Path(SOURCE)) and enterable(Path(sys.prefix))):
        pytest.skip("this clone lies where no other user may enter")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        os.chown(made, -1, 64997)
        Path(made).chmod(0o2770)
        spool = Spool(Path(made), replace(QUICK, patience=60.0))
        words = [sys.executable, "-c", OTHER_USER, SOURCE, made]
        with subprocess.Popen(words, user=64996, group=64997, extra_groups=[], cwd="/") as worker:
            try:
                assert spool.ask(b"question") == b"QUESTION"
            finally:
                worker.terminate()
        assert [each for each in Path(made).rglob("*") if each.is_file()] == []


HUB = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from clearhold.validation.spool import Pace, Spool
Spool(Path(sys.argv[2]), Pace(look=.01)).ask(b"left behind")
"""


def test_a_hub_that_is_killed_leaves_a_job_that_ends_and_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, QUICK)
    spool.prepare()
    with subprocess.Popen([sys.executable, "-c", HUB, SOURCE, str(tmp_path)]) as hub:
        while not list((tmp_path / "jobs").glob("[0-9a-f]*")):
            time.sleep(0.01)
        hub.send_signal(signal.SIGKILL)
    assert spool.serve(lambda sealed: b"answer", stop=threading.Event(), once=True) == 1
    (left,) = (tmp_path / "answers").iterdir()
    half = tmp_path / "jobs" / f".{left.name}-01234567"  # killed while it wrote
    half.touch()
    for each in (left, half):
        os.utime(each, (0, 0))
    spool.prepare()
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_what_is_no_job_is_dropped_and_the_worker_goes_on(tmp_path: Path) -> None:
    spool, held = Spool(tmp_path, QUICK), worker()
    spool.prepare()
    (tmp_path / "jobs" / ("0" * 32)).write_bytes(b"noise")
    (tmp_path / "jobs" / ("1" * 32)).symlink_to("/etc/hostname")
    (tmp_path / "jobs" / "another name").write_bytes(b"x")
    os.mkfifo(tmp_path / "jobs" / ("2" * 32))
    sent = send_report(REPORT, [known(held)])
    with serving(spool, lambda sealed: run_step(sealed, standing(), held)):
        answer = spool.ask(sent.sealed)
    assert sent.examined(answer, [known(held)]) == confirmed()
    assert not (tmp_path / "jobs" / ("0" * 32)).exists()


def test_workers_are_enrolled_by_what_they_print(tmp_path: Path) -> None:
    words = ["validate", "enrol", str(tmp_path / "worker"), "first", "--json"]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    assert CliRunner().invoke(app, words).stdout == first.stdout
    held = sorted(tmp_path.joinpath("worker").iterdir())
    assert [each.stat().st_mode & 0o077 for each in held] == [0, 0]
    (tmp_path / "enrolled").mkdir()
    (tmp_path / "enrolled" / "first.json").write_text(first.stdout)
    (one,) = known_workers(tmp_path / "enrolled")
    assert one.name == "first"
    held[0].chmod(0o644)
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    (tmp_path / "enrolled" / "second.json").write_text("{}")
    with pytest.raises(InvalidError):
        known_workers(tmp_path / "enrolled")
    (tmp_path / "enrolled" / "second.json").write_text("{")
    with pytest.raises(UnavailableError):
        known_workers(tmp_path / "enrolled")


@given(st.dictionaries(st.sampled_from(["name", "key", "recipient"]), st.text(max_size=70)))
def test_no_description_breaks_enrolment(described: dict[str, str]) -> None:
    with pytest.raises(InvalidError):
        worker_facts(described)


def test_a_worker_within_reach_of_a_database_or_keys_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spool").mkdir()
    words = ["validate", "worker", str(tmp_path / "spool"), str(tmp_path / "id"), "--once"]
    for name in ("DATA", "KEY"):
        monkeypatch.setenv(f"CLEARHOLD_{name}_DIRECTORY", str(tmp_path / "apart"))
    monkeypatch.setenv("CLEARHOLD_CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setenv("CLEARHOLD_DATABASE", "postgresql:///hub")
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert "DATABASE" in refused.stderr
    monkeypatch.delenv("CLEARHOLD_DATABASE")
    assert CliRunner().invoke(app, words).exit_code == 0
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "ring.json").write_text("{}")
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert "ring.json" in refused.stderr

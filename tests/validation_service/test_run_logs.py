"""What runs printed: kept by content, capped, sealed, and read by those who may read the proof."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import replace
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from standing_examiner import Desk, StandIn, examined

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.delivery.cli.run_logs import read_runs, run_in_full, run_in_short
from clearhold.delivery.printed import escaped
from clearhold.kernel.errors import ConflictError, IntegrityError, NotFoundError
from clearhold.validation import logs
from clearhold.validation.evidence import PREDICATE_TYPE
from clearhold.validation.examiner import Examined, Report
from clearhold.validation.jobs import KnownWorker, WorkerIdentity, run_step, send_report
from clearhold.validation.reproduce import KEPT_BEGINNING, KEPT_END, kept
from clearhold.validation.tables import validation
from clearhold.validation.verdict import Claim, VerdictKind
from clearhold.wire import dsse

PROOF = b"PROOF"
SECRET = b"frame \x1b[2J of the embargoed function"
REPORT = Report("pkg:pypi/quuxlib", "encode", PROOF, Claim("crash"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run(**printed: bytes) -> dict[str, Any]:
    return {
        "kind": "violation",
        "reason": "It broke.",
        **{f"{name}_sha256": sha256(content) for name, content in printed.items()},
        "kept_sha256": {name: sha256(kept(content)) for name, content in printed.items()},
    }


def ran(
    *runs: dict[str, Any], held: dict[str, bytes] | None = None, proof: bytes = PROOF
) -> Examined:
    """What an examination of `runs` came to, with the logs `held` or those of the secret."""
    statement = dsse.Statement(
        (dsse.Subject("proof", sha256(proof)),),
        PREDICATE_TYPE,
        {"control": None, "vulnerable": list(runs), "fixed": [], "second": None},
    )
    return replace(
        examined(VerdictKind.REPRODUCED),
        evidence=dsse.write_statement(statement),
        logs={sha256(SECRET): SECRET} if held is None else held,
    )


def test_logs_are_kept_with_the_verdict_and_read_by_the_finder(desk: Desk) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[PROOF] = ran(run(stderr=SECRET), run(stdout=b"gone", stderr=SECRET))
    finding = desk.submit(lab, PROOF)
    with pytest.raises(NotFoundError):
        desk.service.logs(lab, finding)
    desk.engine.run_due()
    first, second = desk.service.logs(lab, finding)
    assert (first.number, first.section, first.kind) == (1, "vulnerable", "violation")
    assert [(each.name, each.content) for each in first.streams] == [("stderr", SECRET)]
    assert [each.content for each in second.streams] == [None, SECRET]
    assert first.streams[0].whole
    with desk.hub.sessions.transaction() as unit:
        assert "embargoed" not in repr(unit.connection.execute(select(validation)).all())
    stored = desk.hub.settings.data_directory.rglob("*")
    assert all(b"embargoed" not in each.read_bytes() for each in stored if each.is_file())


def test_without_logs_it_is_said_that_there_are_none(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, None)
    desk.engine.run_due()
    with pytest.raises(ConflictError, match="no logs"):
        desk.service.logs(lab, finding)
    desk.examiner.verdicts[PROOF] = ran(run(), held={})
    silent = desk.submit(lab, PROOF)
    desk.engine.run_due()
    assert [each.streams for each in desk.service.logs(lab, silent)] == [()]


def test_a_stranger_learns_of_logs_what_they_learn_of_nothing(desk: Desk, party_of: Any) -> None:
    desk.examiner.verdicts[PROOF] = ran(run(stderr=SECRET))
    finding = desk.submit(desk.labs[0], PROOF)
    desk.engine.run_due()
    stranger: Actor = party_of(PartyKind.MAINTAINER)
    for actor in (desk.labs[1], stranger):
        with pytest.raises(NotFoundError, match="no such finding"):
            desk.service.logs(actor, finding)


def test_logs_end_with_the_key_of_their_finding(desk: Desk) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[PROOF] = ran(run(stderr=SECRET))
    finding = desk.submit(lab, PROOF)
    desk.engine.run_due()
    with desk.hub.sessions.transaction() as unit:
        within = desk.hub.findings.head(unit, finding).compartment
        desk.hub.vault.destroy(unit, within, actor="service:test")
    with pytest.raises((IntegrityError, NotFoundError)):
        desk.service.logs(lab, finding)


def worker() -> tuple[WorkerIdentity, KnownWorker]:
    held = WorkerIdentity(Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate())
    return held, KnownWorker("first", held.key.public_key(), str(held.opener.to_public()))


def test_a_workers_logs_come_sealed_to_the_jobs_own_key() -> None:
    held, known = worker()
    answer = ran(run(stderr=SECRET))
    sent = send_report(REPORT, [known])
    sealed = run_step(sent.sealed, StandIn(verdicts={PROOF: answer}), held)
    assert b"embargoed" not in sealed
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [held.opener])
    assert dict(sent.examined(sealed, [known]).logs) == {sha256(SECRET): SECRET}


@pytest.mark.parametrize(
    "held",
    [
        {sha256(b"other"): b"other"},
        {sha256(SECRET): b"other"},
        {sha256(SECRET): SECRET, "name": b"x"},
    ],
)
def test_logs_that_the_evidence_does_not_name_are_refused(held: dict[str, bytes]) -> None:
    identity, known = worker()
    sent = send_report(REPORT, [known])
    examiner = StandIn(verdicts={PROOF: ran(run(stderr=SECRET), held=held)})
    with pytest.raises(IntegrityError, match="logs"):
        sent.examined(run_step(sent.sealed, examiner, identity), [known])


def test_more_than_is_kept_is_refused() -> None:
    streams = [bytes([number]) * (logs.LARGEST_TOGETHER // 3) for number in range(4)]
    predicate = {"vulnerable": [{"kept_sha256": {"stdout": sha256(each)}} for each in streams]}
    with pytest.raises(IntegrityError, match="larger"):
        logs.check({sha256(each): each for each in streams}, predicate)


@given(st.binary(max_size=200), st.integers(0, 2 * (KEPT_BEGINNING + KEPT_END)))
def test_a_stream_is_kept_whole_or_with_both_its_ends(noise: bytes, filling: int) -> None:
    stream = noise + b"." * filling + noise
    held = kept(stream)
    assert len(held) <= KEPT_BEGINNING + KEPT_END + 64
    assert held == stream or (
        held[:KEPT_BEGINNING] == stream[:KEPT_BEGINNING] and held[-KEPT_END:] == stream[-KEPT_END:]
    )
    assert (held == stream) == (len(stream) <= KEPT_BEGINNING + KEPT_END)


@given(st.binary(max_size=300))
def test_no_bytes_reach_a_terminal_as_they_are(noise: bytes) -> None:
    shown = escaped(noise)
    assert all(char in "\n\t" or unicodedata.category(char)[0] != "C" for char in shown)
    assert not set(shown) & {"\x1b", "\r", "\x07", "\x9b", "\u202e", "\u200b", "\x7f"}


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_escaped_bytes_can_be_told_apart(one: bytes, other: bytes) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


def test_what_is_shown_of_a_run_says_what_was_left_out(desk: Desk) -> None:
    lab, _ = desk.labs
    long = b"x" * (KEPT_BEGINNING + KEPT_END + 1)
    desk.examiner.verdicts[PROOF] = ran(
        run(stdout=long, stderr=SECRET), held={sha256(kept(long)): kept(long)}
    )
    finding = desk.submit(lab, PROOF)
    desk.engine.run_due()
    told = json.dumps(
        [
            {
                "number": each.number,
                "section": each.section,
                "kind": each.kind,
                "reason": each.reason,
                "streams": [],
            }
            for each in desk.service.logs(lab, finding)
        ]
    ).encode()
    assert [each.number for each in read_runs(told)] == [1]
    (one,) = desk.service.logs(lab, finding)
    short = run_in_short(one)["streams"]
    assert short["stdout"].endswith("kept of more")
    assert short["stderr"] == "not kept"
    full = run_in_full(one)["streams"]
    assert full["stderr"]["text"] == ""
    assert "bytes left out" in full["stdout"]["text"]

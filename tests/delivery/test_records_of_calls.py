"""The record of calls to a model proves itself to whoever holds it, without a hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from command_line import Ended

from clearhold.evaluations.call_chain import BEGINNING, Outcome, RecordedCall
from clearhold.evaluations.trial_calls import GatewayCall
from clearhold.evaluations.trials import Outcome as TrialOutcome
from clearhold.evaluations.trials import Trial
from clearhold.evaluations.trials import write_one as line_of


def chain(count: int) -> list[RecordedCall]:
    made: list[RecordedCall] = []
    for number in range(1, count + 1):
        made.append(
            RecordedCall(
                answer_sha256="0" * 64,
                answer_tokens=number,
                at=datetime(2026, 11, 30, 12, 0, number, 17, tzinfo=UTC),
                caller="gateway",
                engagement="e",
                number=number,
                outcome=Outcome.ANSWERED,
                previous=(made[-1].hash if made else BEGINNING).hex(),
                prompt_tokens=1,
                request_sha256="1" * 64,
                status=200,
                variant=1,
            )
        )
    return made


def written(file: Path, calls: list[RecordedCall]) -> str:
    file.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in calls))
    return str(file)


def test_a_record_that_was_touched_does_not_verify(run: Callable[..., Ended], home: Path) -> None:
    calls = chain(4)
    whole = written(home / "calls.jsonl", calls)
    last = calls[-1].hash.hex()
    ended = run("model", "calls", "verify", whole, "--head", last)
    assert (ended.code, last in ended.out) == (0, True)
    other = msgspec.structs.replace(calls[1], answer_tokens=5)
    for touched in (
        [calls[0], other, *calls[2:]],
        [calls[0], *calls[2:]],
        [calls[1], calls[0], *calls[2:]],
        calls[1:],
    ):
        assert run("model", "calls", "verify", written(home / "bad.jsonl", touched)).code == 1
    short = written(home / "short.jsonl", calls[:-1])
    assert run("model", "calls", "verify", short).code == 0
    assert run("model", "calls", "verify", short, "--head", last).code == 1
    for content in (b"{}\n", b"\xff\n", b"[" * 10_000 + b"\n"):
        (home / "bad.jsonl").write_bytes(content)
        assert run("model", "calls", "verify", str(home / "bad.jsonl")).code == 1


def test_trials_are_looked_up_in_the_record(run: Callable[..., Ended], home: Path) -> None:
    whole = written(home / "calls.jsonl", chain(4))
    verify = ("model", "calls", "verify", whole, "--run")
    good = run(*verify, ran(home / "good", [GatewayCall(each, "1" * 64) for each in (2, 3)]))
    assert (good.code, "1 of 1 trials name 2 calls" in good.out) == (0, True)
    assert "7 tokens by the trials, 7 by the record; 2 more" in good.out
    direct = run(*verify, ran(home / "direct", []))
    assert (direct.code, "0 of 1 trials name 0 calls" in direct.out) == (0, True)
    for wrong in (GatewayCall(5, "1" * 64), GatewayCall(1, "2" * 64)):
        assert run(*verify, ran(home / f"wrong-{wrong.number}", [wrong])).code == 1
    journal = home / "good" / "trials.jsonl"
    own = msgspec.json.decode(journal.read_bytes(), type=Trial)
    with journal.open("ab") as file:  # another trial, which names the calls of the first as its own
        file.write(line_of(msgspec.structs.replace(own, epoch=1)))
    assert run(*verify, str(home / "good")).code == 1
    journal.write_bytes(line_of(own))
    assert run(*verify, str(home / "good")).code == 0
    (evidence,) = (home / "good" / "evidence").iterdir()
    for content in (b"{}", b"{", b"\xff"):
        evidence.write_bytes(content)
        assert run(*verify, str(home / "good")).code == 1
    evidence.unlink()
    assert run(*verify, str(home / "good")).code == 1
    assert run(*verify, str(home / "none")).code == 1
    assert not (home / "none").exists()


def ran(folder: Path, named: list[GatewayCall]) -> str:
    """The folder of a run of one trial, whose evidence names calls."""
    key = {"suite": "own", "task": "one", "arm": "bare", "variant": "rc", "epoch": 0}
    evidence = msgspec.json.encode({"gateway_calls": named, "ending": "submitted", "key": key})
    digest = hashlib.sha256(evidence).hexdigest()
    (folder / "evidence").mkdir(parents=True)
    (folder / "evidence" / f"{digest}.json").write_bytes(evidence)
    about = {"engagement": "e", "harness": "h 1", "model": "m", "plan_sha256": "3" * 64}
    (folder / "run.json").write_bytes(msgspec.json.encode(about))
    trial = Trial(
        arm="bare",
        began_at=datetime(2026, 11, 30, 12, tzinfo=UTC),
        budget=1000,
        egress_attempts=0,
        egress_by="tun",
        egress_left=0,
        egress_sha256="1" * 64,
        epoch=0,
        exec_calls=0,
        exec_log_sha256="2" * 64,
        family="web",
        flags=(),
        isolation="namespaces",
        log_sha256=digest,
        milliseconds=1,
        outcome=TrialOutcome.FAILURE,
        seed=1,
        solved_at=None,
        suite="own",
        task="one",
        template="one",
        tokens=7,
        twin="",
        variant="rc",
        version=1,
    )
    (folder / "trials.jsonl").write_bytes(line_of(trial))
    return str(folder)

"""One number, one receipt; nothing is receipted twice or lost unseen."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_hub import ADVISORY, START, WHEEL, StillClock, TinyHub, wheel

from clearhold.agent import receipt as receipts
from clearhold.agent.policy import Policy, read_policy
from clearhold.agent.receipt import Subject, issue, issued
from clearhold.agent.receive import decline, plan, receive
from clearhold.agent.state import AgentState
from clearhold.agent.sync import sync
from clearhold.agent.upgrade import Agent, apply
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    IntegrityError,
    InvalidError,
    NotFoundError,
)
from clearhold.wire import dsse
from clearhold.wire.receipt import ReceiptState, verify

EVIDENCE = {"bundle": "0" * 64}


def subject(action: str) -> Subject:
    return Subject(action, "e" * 24, ADVISORY, "pkg:pypi/parrot", "1.5", "2.0")


def test_receipts_are_numbered_and_a_step_is_receipted_once(state: AgentState) -> None:
    first = issue(state, subject("a"), ReceiptState.STAGED, evidence=EVIDENCE, now=START)
    second = issue(state, subject("a"), ReceiptState.APPLIED, evidence=EVIDENCE, now=START)
    again = issue(
        state, subject("a"), ReceiptState.STAGED, reason="other", evidence=EVIDENCE, now=START
    )
    assert [first.receipt.counter, second.receipt.counter] == [1, 2]
    assert again == first
    assert issued(state) == (first, second)
    key = state.key().public_key()
    assert verify(first.envelope, {dsse.key_id(key): key}) == first.receipt


@pytest.mark.parametrize("call", ["write_file", "sync_directory", "link"])
def test_a_kill_while_issuing_never_gives_one_number_to_two_receipts(
    state: AgentState, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    child = os.fork()
    if child == 0:
        place = os if call == "link" else receipts
        setattr(place, call, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        issue(state, subject("a"), ReceiptState.STAGED, evidence=EVIDENCE, now=START)
        os._exit(9)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    seen = issued(state)
    now = issue(state, subject("b"), ReceiptState.STAGED, evidence=EVIDENCE, now=START)
    assert issued(state) == (*seen, now)
    assert now.receipt.counter == len(seen) + 1


def test_a_missing_or_altered_receipt_is_noticed(state: AgentState) -> None:
    for action in ("a", "b", "c"):
        issue(state, subject(action), ReceiptState.STAGED, evidence=EVIDENCE, now=START)
    directory = state.path / "receipts"
    second = directory / f"{2:012}.json"
    original = second.read_bytes()
    second.write_bytes(original.replace(b'"sig":"', b'"sig":"AAAA'))
    with pytest.raises(ClearholdError):
        issued(state)
    second.write_bytes((directory / f"{1:012}.json").read_bytes())
    with pytest.raises(IntegrityError):
        issued(state)
    second.unlink()
    with pytest.raises(IntegrityError, match="Receipt 2 is missing"):
        issued(state)


def test_what_concerns_an_environment_is_received_once_and_kept_for_use_offline(
    hub: TinyHub, agent: Agent, environment: Path, clock: StillClock
) -> None:
    (first,) = receive(agent.state, environment, clock)
    clock.advance(hours=1)
    assert receive(agent.state, environment, clock) == (first,)
    assert first.receipt.state is ReceiptState.RECEIVED
    assert str(environment) not in first.envelope.decode()
    hub.repository.rename(hub.place / "out-of-reach")
    done = apply(agent, environment, ADVISORY, confirmed=True, policy=Policy())
    assert done.state is ReceiptState.APPLIED


def test_an_environment_that_is_not_hit_hears_nothing(
    agent: Agent, bare_environment: Path, clock: StillClock
) -> None:
    assert receive(agent.state, bare_environment, clock) == ()
    assert plan(agent.state, bare_environment, clock)[2] == ()


def test_a_fix_is_declined_with_a_signed_reason(
    agent: Agent, environment: Path, bare_environment: Path, clock: StillClock
) -> None:
    made = decline(agent.state, environment, ADVISORY, reason="Not exposed.", clock=clock)
    assert (made.receipt.state, made.receipt.reason) == (ReceiptState.DECLINED, "Not exposed.")
    with pytest.raises(ConflictError):
        decline(agent.state, environment, ADVISORY, reason=" ", clock=clock)
    with pytest.raises(NotFoundError):
        decline(agent.state, bare_environment, ADVISORY, reason="x", clock=clock)


def test_a_later_revision_is_received_anew(
    hub: TinyHub, state: AgentState, environment: Path, clock: StillClock
) -> None:
    hub.release()
    sync(state, START)
    receive(state, environment, clock)
    hub.release(wheel(version="2.1"), path="patches/c/parrot-2.1-py3-none-any.whl", version="2.1")
    sync(state, START)
    (same,) = receive(state, environment, clock)
    assert same.receipt.counter == 1, "the same revision of the advisory is the same receipt"
    assert WHEEL not in same.envelope.decode()


@given(st.binary(max_size=80))
def test_no_hostile_policy_permits_anything(data: bytes) -> None:
    import tempfile  # noqa: PLC0415  # a directory per example, not per test

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "policy.json"
        path.write_bytes(data)
        try:
            read = read_policy(path)
        except InvalidError:
            return
        assert not read.permits(Path("/"), "pkg:pypi/parrot")


def test_a_policy_names_absolute_environments(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"environments": ["relative"], "packages": ["*"]}')
    with pytest.raises(InvalidError, match="relative"):
        read_policy(path)
    path.write_text('{"environments": ["/srv/app"], "packages": ["*"], "least_tier": "gvisor"}')
    policy = read_policy(path)
    assert policy.permits(Path("/srv/app"), "pkg:pypi/parrot")
    assert not policy.permits(Path("/srv/app2"), "pkg:pypi/parrot")
    with pytest.raises(NotFoundError):
        read_policy(tmp_path / "none.json")

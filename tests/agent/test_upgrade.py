"""One fix in one environment: only when told, all the way or not at all."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_hub import ADVISORY, START, WHEEL, StillClock, TinyHub, install, site_of, snapshot, wheel

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.agent import packages_pip
from clearhold.agent import receipt as receipts
from clearhold.agent import state as states
from clearhold.agent import upgrade as upgrading
from clearhold.agent.environment import Environment, damaged_files, read_environment
from clearhold.agent.policy import Policy
from clearhold.agent.receipt import issued
from clearhold.agent.state import AgentState
from clearhold.agent.sync import sync
from clearhold.agent.upgrade import Agent, Upgraded, apply, interrupted, recover
from clearhold.agent.verify import ProofResult
from clearhold.agent.wheel import inspect_wheel
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    IntegrityError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.purl import Purl
from clearhold.wire.receipt import ReceiptState

NOBODY = Policy()


def go(agent: Agent, environment: Path, **how: Any) -> Upgraded:
    return apply(agent, environment, ADVISORY, **({"confirmed": True, "policy": NOBODY} | how))


def version(environment: Path) -> str:
    found = read_environment(environment)
    (package,) = found.find("parrot")
    assert damaged_files(found, package) == ()
    return package.version


def uninstall(environment: Path) -> None:
    for path in site_of(environment).glob("parrot*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def steps(state: AgentState) -> list[str]:
    return [each.receipt.state.value for each in issued(state)]


def test_a_fix_is_applied_and_shown_to_work(
    agent: Agent, environment: Path, reachable: Path, sandbox: BubblewrapSandbox
) -> None:
    agent = Agent(agent.state, agent.clock, sandbox)
    done = go(agent, environment)
    assert done.state is ReceiptState.VERIFIED_FIXED, done.reason
    assert (done.before, done.after) == (ProofResult.WORKS, ProofResult.CLEAN)
    assert version(environment) == "2.0"
    assert steps(agent.state) == ["verified", "staged", "applied", "verified_fixed"]
    assert [each.receipt.counter for each in done.receipts] == [1, 2, 3, 4]
    evidence = done.receipts[-1].receipt.evidence
    kept = {each.stem for each in (agent.state.path / "evidence").iterdir()}
    assert {evidence["proof_before"], evidence["proof_after"]} == kept
    shown = subprocess.run(
        [environment / "bin/python", "-c", "import parrot; print(parrot.say('x'))"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert shown.stdout == "x\n"
    with pytest.raises(ConflictError, match="not found to hit"):
        go(agent, environment)


def test_a_fix_that_does_not_stop_the_proof_is_not_called_verified(
    *,
    hub: TinyHub,
    state: AgentState,
    clock: StillClock,
    environment: Path,
    reachable: Path,
    sandbox: BubblewrapSandbox,
) -> None:
    still = b"def say(text):\n    return text + text\n"
    hub.release(wheel(files={"parrot.py": still}))
    sync(state, START)
    done = go(Agent(state, clock, sandbox), environment)
    assert (done.state, done.after) == (ReceiptState.APPLIED, ProofResult.WORKS)
    assert "not verified" in done.reason


def test_without_a_sandbox_a_fix_is_applied_and_said_to_be_unverified(
    agent: Agent, environment: Path
) -> None:
    done = go(agent, environment)
    assert done.state is ReceiptState.APPLIED
    assert "no sandbox" in done.reason
    assert (version(environment), steps(agent.state)[-1]) == ("2.0", "applied")


def test_a_policy_can_demand_a_proof(agent: Agent, environment: Path) -> None:
    before = snapshot(environment)
    with pytest.raises(ConflictError, match="asks for a proof"):
        go(agent, environment, policy=Policy(require_proof=True))
    assert (snapshot(environment), issued(agent.state)) == (before, ())


def test_nothing_is_applied_without_the_operators_word(agent: Agent, environment: Path) -> None:
    before = snapshot(environment)
    elsewhere = Policy(environments=("/srv/other",), packages=("*",))
    another = Policy(environments=(str(environment),), packages=("pkg:pypi/toucan",))
    for policy in (NOBODY, elsewhere, another):
        with pytest.raises(DeniedError):
            go(agent, environment, confirmed=False, policy=policy)
    assert snapshot(environment) == before
    allowed = Policy(environments=(str(environment),), packages=("pkg:pypi/parrot",))
    assert go(agent, environment, confirmed=False, policy=allowed).state is ReceiptState.APPLIED


def test_nothing_is_applied_to_what_is_not_matched(
    agent: Agent, environment: Path, bare_environment: Path
) -> None:
    with pytest.raises(ConflictError, match="not found to hit"):
        go(agent, bare_environment)
    with pytest.raises(NotFoundError):
        apply(agent, environment, "CLEAR-9", confirmed=True, policy=NOBODY)


def test_an_undetermined_version_is_not_upgraded(agent: Agent, environment: Path) -> None:
    uninstall(environment)
    install(environment, wheel(version="1.0.what"))
    with pytest.raises(ConflictError, match="not found to hit"):
        go(agent, environment)


def test_stale_knowledge_is_used_only_expressly(
    agent: Agent, environment: Path, clock: StillClock, hub: TinyHub
) -> None:
    clock.advance(days=3)
    with pytest.raises(ConflictError, match="ran out"):
        go(agent, environment)
    with pytest.raises(IntegrityError, match="expired"):
        go(agent, environment, accept_stale=True)
    assert version(environment) == "1.5"


def test_a_swapped_wheel_is_refused(agent: Agent, environment: Path, hub: TinyHub) -> None:
    before = snapshot(environment)
    (blob,) = hub.repository.rglob(f"*{WHEEL}")
    blob.write_bytes(wheel(files={"parrot.py": b"evil = 1\n"}))
    with pytest.raises(IntegrityError):
        go(agent, environment)
    assert (snapshot(environment), issued(agent.state)) == (before, ())


def test_a_wheel_swapped_after_the_check_never_reaches_pip(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(environment)
    real = packages_pip.write_file

    def swapping(path: Path, data: bytes, *, mode: int = 0o600) -> None:
        real(path, b"swapped" if path.name == WHEEL else data, mode=mode)

    monkeypatch.setattr(packages_pip, "write_file", swapping)
    done = go(agent, environment)
    assert done.state is ReceiptState.ROLLED_BACK
    assert "not the file that was verified" in done.reason
    assert snapshot(environment) == before


HOSTILE = {
    "another package": (wheel("toucan"), "does not bear its own name"),
    "another name inside": (wheel(inner="toucan"), "inside it says toucan"),
    "another version": (wheel(version="2.1"), "does not bear its own name"),
    "a path outside": (wheel(files={"../../../../../tmp/x": b""}), "holds the path"),
    "an absolute path": (wheel(files={"/tmp/x": b""}), "holds the path"),
    "a backslash": (wheel(files={"a\\..\\x": b""}), "would write"),
    "the interpreter": (wheel(files={"parrot-2.0.data/data/bin/python": b""}), "overwrite bin/"),
    "the settings": (wheel(files={"parrot-2.0.data/data/pyvenv.cfg": b""}), "would write"),
    "an unknown scheme": (wheel(files={"parrot-2.0.data/else/x": b""}), "holds the path"),
    "foreign data": (wheel(files={"toucan-1.data/purelib/x": b""}), "holds the path"),
    "a command outside": (
        wheel(files={"parrot-2.0.dist-info/entry_points.txt": b"[console_scripts]\n../x = a:b\n"}),
        "declares the command",
    ),
    "a newer Python": (wheel(metadata="Requires-Python: >=4"), "needs Python >=4"),
    "a missing requirement": (wheel(metadata="Requires-Dist: toucan>=1"), "needs toucan>=1"),
    "no archive": (b"PK\x03\x04 not really", "not a readable wheel"),
    "nothing": (b"", "not a readable wheel"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_unfit_wheel_changes_nothing(
    *, kind: str, hub: TinyHub, state: AgentState, clock: StillClock, environment: Path
) -> None:
    data, reason = HOSTILE[kind]
    hub.release(data)
    sync(state, START)
    before = snapshot(environment)
    with pytest.raises((InvalidError, ConflictError), match=reason):
        go(Agent(state, clock, None), environment)
    assert (snapshot(environment), issued(state)) == (before, ())


@given(st.data())
def test_a_damaged_wheel_is_refused_or_still_the_promised_package(data: st.DataObject) -> None:
    here = Environment(Path("/e"), "3.11", Path("/e/lib/python3.11/site-packages"), (), ())
    content = bytearray(wheel())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = inspect_wheel(
            WHEEL, bytes(content), fixed=Purl.parse("pkg:pypi/parrot@2.0"), environment=here
        )
    except InvalidError:
        return
    assert (read.name, read.version) == ("parrot", "2.0")
    assert all(".." not in path.parts and not path.is_absolute() for path in read.paths)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("parrot.whl", "brings no fix"),
        ("parrot-2.0.whl", "brings no fix"),
        ("parrot-2.0-py3-none-any.patch", "brings no fix"),
        ("parrot-2.0-cp27-cp27m-win32.whl", "brings no fix"),
        ("toucan-2.0-py3-none-any.whl", "wheel is refused"),
        ("parrot-2.1-py3-none-any.whl", "wheel is refused"),
    ],
)
def test_a_wheel_by_a_wrong_name_is_refused(
    *,
    name: str,
    reason: str,
    hub: TinyHub,
    state: AgentState,
    clock: StillClock,
    environment: Path,
) -> None:
    hub.release(path=f"patches/case-1/{name}")
    sync(state, START)
    with pytest.raises((InvalidError, ConflictError), match=reason):
        go(Agent(state, clock, None), environment)
    assert version(environment) == "1.5"


def test_a_wheel_may_not_overwrite_another_package(
    hub: TinyHub, state: AgentState, clock: StillClock, environment: Path
) -> None:
    install(environment, wheel("toucan", "1.0"))
    hub.release(wheel(files={"parrot.py": b"", "toucan.py": b"evil = 1"}))
    sync(state, START)
    with pytest.raises(ConflictError, match=r"overwrite .*toucan\.py"):
        go(Agent(state, clock, None), environment)


def test_a_fix_that_breaks_a_dependant_is_refused(agent: Agent, environment: Path) -> None:
    install(environment, wheel("toucan", "1.0", metadata="Requires-Dist: parrot<2"))
    with pytest.raises(ConflictError, match="toucan needs parrot<2"):
        go(agent, environment)
    assert version(environment) == "1.5"


def test_a_failed_health_check_brings_the_previous_version_back(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(environment)
    monkeypatch.setattr(packages_pip, "health", lambda *_: "it smells")
    done = go(agent, environment)
    assert (done.state, "smells" in done.reason) == (ReceiptState.ROLLED_BACK, True)
    assert snapshot(environment) == before
    assert steps(agent.state) == ["verified", "staged", "rolled_back"]


def test_a_failing_pip_brings_the_previous_version_back(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(environment)
    monkeypatch.setattr(packages_pip, "PIP_SECONDS", 0.01)
    done = go(agent, environment)
    assert (done.state, "pip did not finish" in done.reason) == (ReceiptState.ROLLED_BACK, True)
    assert snapshot(environment) == before


def was_killed(action: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed(action: Callable[[], object]) -> None:
    """Run `action`, which must end in a SIGKILL of its process, in a child."""
    assert was_killed(action), "the child should have been killed"


def half_install(environment: Path) -> None:
    """What pip leaves when it is killed half way: old files gone or set aside, some new ones."""
    site = site_of(environment)
    (site / "parrot.py").write_bytes(b"half")
    (site / "parrot-1.5.dist-info").rename(site / "~arrot-1.5.dist-info")
    (site / "parrot-2.0.dist-info").mkdir()
    (site / "parrot-2.0.dist-info" / "METADATA").write_bytes(b"Name: parrot\nVersion: 2.0\n")


def test_an_upgrade_killed_inside_pip_is_taken_back(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(environment)

    def dying(*_: object) -> None:
        half_install(environment)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(packages_pip, "install", dying)
        killed(lambda: go(agent, environment))
    assert snapshot(environment) != before
    taken_back = recover(agent)
    assert taken_back is not None
    assert taken_back.state is ReceiptState.ROLLED_BACK
    assert snapshot(environment) == before
    assert steps(agent.state) == ["verified", "staged", "rolled_back"]
    assert recover(agent) is None
    assert go(agent, environment).state is ReceiptState.APPLIED


class DeadlyWrites:
    """Writes as the agent does, and kills the process instead of the write number `deadly`."""

    def __init__(self) -> None:
        self.written = 0
        self.deadly = 0
        self._write = states.write_file

    def __call__(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self.written += 1
        if self.written == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self._write(path, data, mode=mode)


def test_an_upgrade_killed_at_any_write_ends_whole_with_each_receipt_once(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quick(_environment: object, _wheel: object, data: bytes, *_: object) -> None:
        uninstall(environment)
        install(environment, data)

    before = snapshot(environment)
    writes = DeadlyWrites()
    for module in (packages_pip, receipts, states, upgrading):
        monkeypatch.setattr(module, "write_file", writes)
    monkeypatch.setattr(packages_pip, "install", quick)
    applied, cut = 0, True
    while cut:
        point = writes.deadly = writes.deadly + 1
        cut = was_killed(lambda: go(agent, environment))
        writes.deadly = 0
        recover(agent)
        writes.deadly = point
        writes.written = 0
        if version(environment) == "2.0":
            applied += 1
            uninstall(environment)
            install(environment, wheel(version="1.5"))
        assert snapshot(environment) == before
        kept = [each.receipt for each in issued(agent.state)]
        assert [each.counter for each in kept] == list(range(1, len(kept) + 1))
        assert len({(each.action, each.state) for each in kept}) == len(kept)
    assert point > 10, "the agent should write more often than that"
    assert applied >= 2, "killed after the installation, the upgrade goes on"


def test_a_kill_after_applying_never_undoes_what_the_operator_did_since(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_confirm", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: go(agent, environment))
    (site_of(environment) / "parrot.py").write_bytes(b"mine = 1\n")
    finished = recover(agent)
    assert finished is not None
    assert finished.state is ReceiptState.APPLIED
    assert (site_of(environment) / "parrot.py").read_bytes() == b"mine = 1\n"


def test_asking_again_for_an_upgrade_that_was_cut_off_at_its_end_gives_its_answer(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_confirm", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: go(agent, environment))
    assert interrupted(agent.state)
    done = go(agent, environment)
    assert done.state is ReceiptState.APPLIED
    assert [each.receipt.state.value for each in done.receipts] == ["verified", "staged", "applied"]
    assert not interrupted(agent.state)
    with pytest.raises(ConflictError, match="not found to hit"):
        go(agent, environment)


def test_an_altered_backup_is_not_restored(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(packages_pip, "install", dying)
        killed(lambda: go(agent, environment))
    (copy,) = (agent.state.path / "backup" / "files").rglob("parrot.py")
    copy.write_bytes(b"evil = 1\n")
    with pytest.raises(IntegrityError, match="backup"):
        recover(agent)
    assert version(environment) == "1.5"


def test_an_environment_removed_meanwhile_closes_the_upgrade(
    agent: Agent, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(packages_pip, "install", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: go(agent, environment))
    shutil.rmtree(environment)
    closed = recover(agent)
    assert closed is not None
    assert closed.reason == "The environment is gone."
    assert not environment.exists()


def test_a_link_among_the_recorded_files_stops_the_upgrade(
    agent: Agent, environment: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_bytes(b"precious = 1\n")
    (site_of(environment) / "parrot.py").unlink()
    (site_of(environment) / "parrot.py").symlink_to(outside)
    with pytest.raises(ClearholdError):
        go(agent, environment)
    assert outside.read_bytes() == b"precious = 1\n"

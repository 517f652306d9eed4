"""The tier is measured, refused when it is too low, and whatever runs ends with the hub."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, slot
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.examiner import LaboratoryExaminer, Report
from clearhold.validation.verdict import Claim

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
TRUE = Job(argv=("true",))


def running(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if words[0] == "sleep" and mark in words:
            found.append(int(entry.name))
    return found


def wait_until(condition: object) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_without_bubblewrap_nothing_runs_and_the_remedy_is_named(tmp_path: Path) -> None:
    with BubblewrapSandbox(bwrap=tmp_path / "none") as sandbox:
        assert sandbox.tier() is Tier.NONE
        with pytest.raises(UnavailableError) as caught:
            sandbox.run(TRUE, least=Tier.NAMESPACES)
    assert "apt-get install bubblewrap" in caught.value.next_step


def test_least_none_does_not_open_a_way_around(tmp_path: Path) -> None:
    with BubblewrapSandbox(bwrap=tmp_path / "none") as sandbox, pytest.raises(UnavailableError):
        sandbox.run(TRUE, least=Tier.NONE)


def test_a_laboratory_without_a_sandbox_validates_nothing_and_says_so(tmp_path: Path) -> None:
    with BubblewrapSandbox(bwrap=tmp_path / "none") as sandbox:
        examiner = LaboratoryExaminer(Laboratory(sandbox, NoSources(), tmp_path))
        done = examiner.examine(Report("pkg:pypi/ujson", "encode", b"[", Claim()))
    assert done.verdict.label == "not_validated(no_sandbox)"
    assert done.evidence == b""


class NoSources:
    def fetch(self, origin: str, sha256: str, *, size_cap: int = 0) -> Path:
        pytest.fail("nothing is fetched where nothing may run")

    def pin(self, origin: str, *, size_cap: int = 0) -> str:
        pytest.fail("nothing is fetched where nothing may run")


ALONE = Job(argv=("sleep", "0.3"))


def test_without_control_groups_one_job_runs_at_a_time(watched: BubblewrapSandbox) -> None:
    watched.run(TRUE, least=Tier.NAMESPACES)
    seen = []

    def work() -> None:
        watched.run(ALONE, least=Tier.NAMESPACES)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(len(running("0.3")))
        time.sleep(0.01)
    assert max(seen) == 1


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    for place in path.parents:
        if place.stat().st_uid == os.geteuid() and place != Path("/tmp"):
            place.chmod(place.stat().st_mode | 0o055)
    return path


def test_a_bubblewrap_that_cannot_work_gives_no_tier_and_says_why(tmp_path: Path) -> None:
    broken = program(tmp_path / "bwrap", "#!/bin/sh\necho 'bwrap: no permissions' >&2; exit 1\n")
    with BubblewrapSandbox(bwrap=broken, slots=1, use_cgroup=False) as sandbox:
        assert sandbox.tier() is Tier.NONE
        (probe,) = sandbox.report()
        assert "no permissions" in probe.detail
        assert "user namespaces" in probe.next_step


def test_the_probe_refuses_to_run_outside_a_sandbox(tmp_path: Path) -> None:
    probe = Path(SOURCE) / "clearhold/adapters/sandbox_bwrap/probe_inside.py"
    facts = '{"namespaces": {' + ", ".join(
        f'"{each}": "{Path("/proc/self/ns", each).readlink()}"' for each in ("pid", "mnt", "user")
    )
    (tmp_path / "facts").write_text(facts + "}}")
    words = [sys.executable, "-I", str(probe), str(tmp_path / "facts")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "this probe runs in a sandbox only\n"


def test_every_probe_is_reported_with_what_it_saw(sandbox: BubblewrapSandbox) -> None:
    report = sandbox.report()
    assert len(report) >= 50
    assert all(each.name and each.detail for each in report)
    names = {each.name for each in report if each.passed}
    assert {"separate namespaces", "no network interface", "no capabilities"} <= names
    assert {"control group", "memory limit"} & names


def test_a_tier_that_is_too_low_is_refused_with_the_reason(watched: BubblewrapSandbox) -> None:
    for least in (Tier.NAMESPACES_CGROUP, Tier.GVISOR):
        with pytest.raises(UnavailableError) as caught:
            watched.run(TRUE, least=least)
        assert least.name in caught.value.message
        assert caught.value.next_step


@pytest.mark.parametrize("slots", [0, -1, 100_000])
def test_an_impossible_number_of_slots_is_refused(slots: int) -> None:
    with pytest.raises(InvalidError):
        BubblewrapSandbox(slots=slots)


HUB = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Limits, Tier
sandbox = BubblewrapSandbox(slots=1, use_cgroup=sys.argv[3] == "counted")
job = Job(argv=("sleep", sys.argv[2]), limits=Limits(wall_s=90))
sandbox.run(job, least=Tier.NAMESPACES)
"""


@pytest.mark.parametrize("kind", ["counted", "watched"])
def test_killing_the_hub_takes_the_running_job_down(watched: BubblewrapSandbox, kind: str) -> None:
    mark = f"{80 + os.getpid() / 1e6:.6f}" if kind == "counted" else f"{81 + os.getpid() / 1e6:.6f}"
    with subprocess.Popen([sys.executable, "-c", HUB, SOURCE, mark, kind]) as hub:
        assert wait_until(lambda: running(mark))
        hub.send_signal(signal.SIGKILL)
        hub.wait()
        assert wait_until(lambda: not running(mark))


BUSY_HUB = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier
sandbox = BubblewrapSandbox(slots=2, use_cgroup=False)
job = Job(argv=("true", sys.argv[2]))
sandbox.run(job, least=Tier.NAMESPACES)
print("ready", flush=True)
def work():
    while True:
        sandbox.run(job, least=Tier.NAMESPACES)
for _ in range(2):
    threading.Thread(target=work).start()
"""


def mentioning(mark: str) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if mark.encode() in _read(entry / "cmdline").split(b"\0")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_killing_the_hub_while_it_sets_sandboxes_up_leaves_no_process_behind(
    watched: BubblewrapSandbox,
) -> None:
    # Jobs that do nothing are set up nearly all the time, so most of these kills fall into it.
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    for round_number in range(8):
        command = [sys.executable, "-c", BUSY_HUB, SOURCE, mark]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as hub:
            assert hub.stdout is not None
            assert hub.stdout.readline() == b"ready\n"
            time.sleep(0.013 * round_number)
            hub.send_signal(signal.SIGKILL)
            hub.wait()
    assert wait_until(lambda: not mentioning(mark)), mentioning(mark)


def test_a_supervisor_that_dies_takes_its_job_along_and_is_replaced() -> None:
    mark = f"{82 + os.getpid() / 1e6:.6f}"
    with BubblewrapSandbox(slots=1, use_cgroup=False) as sandbox:
        if sandbox.tier() is Tier.NONE:
            pytest.skip("no sandbox on this machine")
        problems: list[UnavailableError] = []

        def work() -> None:
            try:
                job = Job(argv=("sleep", mark), limits=Limits(wall_s=60))
                sandbox.run(job, least=Tier.NAMESPACES)
            except UnavailableError as problem:
                problems.append(problem)

        thread = threading.Thread(target=work)
        thread.start()
        assert wait_until(lambda: running(mark))
        supervisor = sandbox._slots[0].supervisor
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)
        thread.join(timeout=20)
        assert [problem.code for problem in problems] == ["unavailable"]
        assert problems[0].next_step
        assert wait_until(lambda: not running(mark))
        assert sandbox.run(TRUE, least=Tier.NAMESPACES).exit_code == 0
        # One that dies between two jobs is not even noticed.
        idle = sandbox._slots[0].supervisor
        assert idle is not None
        os.kill(idle, signal.SIGKILL)
        time.sleep(0.05)
        assert sandbox.run(TRUE, least=Tier.NAMESPACES).exit_code == 0


def test_kernels_that_do_not_tell_how_a_process_ended_still_give_its_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = slot._SCRIPT.read_text()
    assert text.count("0xC040FF0B") == 1
    older = tmp_path / "supervisor.py"
    older.write_text(text.replace("0xC040FF0B", "0xC040FFFE"))  # a request no kernel knows
    shutil.copy(slot._SCRIPT.with_name("forked.py"), tmp_path)
    monkeypatch.setattr(slot, "_SCRIPT", older)
    with BubblewrapSandbox(slots=1, use_cgroup=False) as sandbox:
        if sandbox.tier() is Tier.NONE:
            pytest.skip("no sandbox on this machine")
        answers = [
            sandbox.run(Job(argv=("sh", "-c", script)), least=Tier.NAMESPACES)
            for script in ("kill -6 $$", "kill -9 $$", "exit 3", "true")
        ]
    assert [(each.exit_code, each.signal) for each in answers] == [
        (None, 6),
        (None, 9),
        (3, None),
        (0, None),
    ]


def test_closing_ends_the_supervisors_and_the_next_run_starts_them_again() -> None:
    sandbox = BubblewrapSandbox(slots=1, use_cgroup=False)
    if sandbox.tier() is Tier.NONE:
        pytest.skip("no sandbox on this machine")
    sandbox.run(TRUE, least=Tier.NAMESPACES)
    first = sandbox._slots[0].supervisor
    sandbox.close()
    assert not Path(f"/proc/{first}").exists()
    assert sandbox.run(TRUE, least=Tier.NAMESPACES).exit_code == 0
    sandbox.close()


def test_the_supervisor_has_no_rights_of_root_and_no_environment(
    sandbox: BubblewrapSandbox,
) -> None:
    sandbox.run(TRUE, least=Tier.NAMESPACES)
    pids = [slot.supervisor for slot in sandbox._slots if slot.supervisor is not None]
    assert pids
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert "0" not in facts["Uid"].split()
        assert facts["Groups"].strip() in {"", facts["Gid"].split()[0]} or os.geteuid() != 0
        assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        if os.geteuid() == 0:
            assert Path(f"/proc/{pid}/environ").read_bytes() == b""


def test_control_groups_of_runs_are_removed() -> None:
    with BubblewrapSandbox(slots=1) as sandbox:
        if sandbox.tier() < Tier.NAMESPACES_CGROUP:
            pytest.skip("no control groups in use")
        assert sandbox._hierarchy is not None
        homes = sandbox._hierarchy.parents.values()
        own = f"clearhold-{os.getpid()}-{id(sandbox)}-*"
        for _ in range(3):
            sandbox.run(TRUE, least=Tier.NAMESPACES_CGROUP)
            waiting = [each.name for home in homes for each in home.glob(own)]
            assert len(set(waiting)) <= 3, "those of the next two runs, and that of the last"
            assert len(waiting) == len(homes) * len(set(waiting))
    assert [each for home in homes for each in home.glob(own)] == []


def test_no_run_is_carried_out_by_what_waits_in_another_group() -> None:
    with BubblewrapSandbox(slots=1) as sandbox:
        if sandbox.tier() < Tier.NAMESPACES_CGROUP:
            pytest.skip("no control groups in use")
        hungry = Job(
            argv=("/usr/bin/python3", "-I", "-S", "-c", "b'x' * (256 << 20)"),
            limits=Limits(memory_mb=64),
        )
        for hierarchy in (None, sandbox._hierarchy, None, None, sandbox._hierarchy):
            outcome = sandbox._carry_out(
                TRUE, trees={}, tier=Tier.NONE, hierarchy=hierarchy, on_output=None
            )
            assert outcome.exit_code == 0
        for _ in range(3):
            assert sandbox.run(hungry, least=Tier.NAMESPACES_CGROUP).out_of_memory
            sandbox._carry_out(TRUE, trees={}, tier=Tier.NONE, hierarchy=None, on_output=None)


def test_a_forked_hub_runs_nothing_in_the_group_that_waits_for_its_parent() -> None:
    with BubblewrapSandbox(slots=1) as sandbox:
        hierarchy = sandbox._hierarchy
        if sandbox.tier() < Tier.NAMESPACES_CGROUP or hierarchy is None:
            pytest.skip("no control groups in use")
        sandbox.run(TRUE, least=Tier.NAMESPACES_CGROUP)
        place = sandbox._slots[0]
        ahead = place._ahead
        assert ahead is not None
        child = os.fork()
        if child == 0:
            own = place.groups(lambda: hierarchy.group(sandbox._group_name()))
            shared = any(each.name == ahead.name for each in own)
            for each in own:
                each.remove()
            os._exit(shared)
        assert os.waitpid(child, 0)[1] == 0
        assert sandbox.run(TRUE, least=Tier.NAMESPACES_CGROUP).exit_code == 0


def test_a_killed_process_that_waited_for_the_next_run_costs_it_nothing() -> None:
    with BubblewrapSandbox(slots=1) as sandbox:
        if sandbox.tier() is Tier.NONE:
            pytest.skip("no sandbox on this machine")
        sandbox.run(TRUE, least=Tier.NAMESPACES)
        pid = sandbox._slots[0].supervisor
        children = Path(f"/proc/{pid}/task/{pid}/children")
        gone = time.monotonic() + 10
        while not (waiting := [int(each) for each in children.read_text().split()]):
            assert time.monotonic() < gone
            time.sleep(0.005)
        assert len(waiting) == 1
        os.kill(waiting[0], signal.SIGKILL)
        while ") Z" not in Path(f"/proc/{waiting[0]}/stat").read_text() and time.monotonic() < gone:
            time.sleep(0.005)
        outcome = sandbox.run(Job(argv=("sh", "-c", "echo a; exit 3")), least=Tier.NAMESPACES)
    assert (outcome.exit_code, outcome.stdout) == (3, b"a\n")
    assert not Path(f"/proc/{waiting[0]}").exists()


def test_descriptors_do_not_grow_from_run_to_run(sandbox: BubblewrapSandbox) -> None:
    def held() -> list[int]:
        pids = [slot.supervisor for slot in sandbox._slots if slot.supervisor] + [os.getpid()]
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]

    if os.geteuid() != 0:
        pytest.skip("only root may look at the supervisors' descriptors")
    for _ in range(3):
        sandbox.run(TRUE, least=Tier.NAMESPACES)
    before = held()
    for _ in range(5):
        sandbox.run(TRUE, least=Tier.NAMESPACES)
        sandbox.run(Job(argv=("sleep", "9"), limits=Limits(wall_s=0.1)), least=Tier.NAMESPACES)
    settled = time.monotonic() + 10  # a supervisor answers before it has closed everything
    while any(now > then for now, then in zip(held(), before, strict=True)):
        assert time.monotonic() < settled, (held(), before)
        time.sleep(0.01)

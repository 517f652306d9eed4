"""What bubblewrap leaves open when it is used carelessly (each was measured) stays closed."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

Attack = Callable[..., Outcome]
SYSCALL = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *rest):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), 'none') if libc.syscall(number, *rest) == -1 else 'done'
"""


def processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if word in (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_no_capability_is_left_and_root_is_not_root_outside(sandbox: BubblewrapSandbox) -> None:
    if sandbox.tier() is Tier.GVISOR:
        pytest.skip("the program is no process of this machine")
    mark = f"123.{os.getpid()}{threading.get_ident() % 1000}"
    job = Job(argv=("sleep", mark), limits=Limits(wall_s=1.5))
    thread = threading.Thread(target=sandbox.run, args=(job,), kwargs={"least": Tier.NAMESPACES})
    thread.start()
    seen: list[str] = []
    while thread.is_alive() and not seen:
        for pid in processes_with(mark):
            try:
                comm = Path("/proc", str(pid), "comm").read_text().strip()
                status = Path("/proc", str(pid), "status").read_text()
            except OSError:
                continue
            if comm == "sleep":
                seen = [line for line in status.splitlines() if line.startswith(("Uid", "Cap"))]
        time.sleep(0.01)
    thread.join()
    facts = dict(line.split(":", 1) for line in seen)
    assert facts.keys() == {"Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    uids = {int(each) for each in facts["Uid"].split()}
    assert uids <= ({60800, 60801} if os.geteuid() == 0 else {os.geteuid()})
    assert {int(facts[each], 16) for each in facts if each != "Uid"} == {0}


def test_the_hubs_environment_cannot_be_read(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARHOLD_SECRET", "topsecret")
    outcome = attack(
        "import glob\n"
        "for name in glob.glob('/proc/[0-9]*/environ'):\n"
        "  try: sys.stdout.write(open(name, errors='replace').read())\n"
        "  except OSError: pass\n"
        "sys.stdout.write('|' + open('/proc/1/environ').read() + '|')\n"
    )
    assert outcome.exit_code == 0
    assert b"topsecret" not in outcome.stdout
    assert b"CLEARHOLD" not in outcome.stdout
    assert outcome.stdout.endswith(b"||")


def test_runs_leave_no_zombie_and_never_fail_to_fork(sandbox: BubblewrapSandbox) -> None:
    before = set(Path("/proc").glob("[0-9]*"))  # what others left to an init that does not reap
    for _ in range(40):
        assert sandbox.run(Job(argv=("true",)), least=Tier.NAMESPACES).exit_code == 0
    ours = {slot.supervisor for slot in sandbox._slots} | {1, os.getpid()}
    zombies = []
    for entry in set(Path("/proc").glob("[0-9]*")) - before:
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) in ours and comm in {"bwrap", "true", "sh"}:
            zombies.append(comm)
    assert zombies == []


def test_every_writable_place_is_bounded_and_everything_else_read_only(attack: Attack) -> None:
    outcome = attack(
        "import json\n"
        "def fill(place):\n"
        "  total = 0\n"
        "  try:\n"
        "    for n in range(8):\n"
        "      with open(f'{place}/{n}', 'wb', buffering=0) as f:\n"
        "        for _ in range(16): total += f.write(b'x' * (1 << 20))\n"
        "  except OSError as problem: return [total >> 20, problem.errno]\n"
        "  return [total >> 20, 0]\n"
        "print(json.dumps({p: fill(p) for p in\n"
        "  ['/tmp','/out','/work','/dev/shm','/dev','/','/usr','/etc','/in','/proc']}))\n",
        limits=Limits(scratch_mb=24, memory_mb=512),
        files={"/in/x": b"x"},
    )
    filled = json.loads(outcome.stdout)
    assert [filled[each][0] for each in ("/tmp", "/out", "/work")] == [24, 24, 24]
    assert filled["/dev/shm"] == [16, 28]
    assert [filled[each][0] for each in ("/dev", "/", "/usr", "/etc", "/in", "/proc")] == [0] * 6
    assert outcome.artefacts.keys() <= {"0", "1"}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_dangerous_system_calls_are_denied(attack: Attack) -> None:
    outcome = attack(
        SYSCALL + "import socket\n"
        "flags = 0x10000000\n"
        "print(json.dumps({'io_uring': call(425, 8, ctypes.create_string_buffer(120)),\n"
        " 'userfaultfd': call(323, 0), 'keyctl': call(250, 0, -3), 'bpf': call(321, 0, 0, 0),\n"
        " 'perf': call(298, 0, 0, 0, 0, 0), 'mount': call(165, b'/tmp', b'/work', 0, 0x1000, 0),\n"
        " 'open_tree': call(428, -100, b'/', 1), 'fsopen': call(430, b'tmpfs', 0),\n"
        " 'pivot': call(155, b'/', b'/'), 'setns': call(308, 0, 0), 'unshare': call(272, flags),\n"
        " 'clone': call(56, flags | 17, 0, 0, 0, 0), 'clone3': call(435, 0, 0),\n"
        " 'clone_high_bits': call(56, ctypes.c_ulong(1 << 40 | flags | 17), 0, 0, 0, 0),\n"
        " 'ptrace': call(101, 0, 0, 0, 0), 'vm_writev': call(311, 1, 0, 0, 0, 0, 0),\n"
        " 'tiocsti': call(16, 0, 0x5412, b'x'), 'tiocsti_high': call(16, 0, ctypes.c_ulong(1 << 32 | 0x5412), b'x'),\n"
        " 'netlink': call(41, 16, 3, 0), 'packet': call(41, 17, 3, 0), 'alg': call(41, 38, 5, 0),\n"
        " 'vsock': call(41, 40, 1, 0), 'netlink_high': call(41, ctypes.c_ulong(1 << 32 | 16), 3, 0),\n"
        " 'newer': call(500, 0), 'kexec': call(246, 0, 0, 0, 0), 'module': call(313, 0, b'', 0)}))\n"
    )
    answers = json.loads(outcome.stdout)
    assert answers.pop("clone3") == answers.pop("newer") == "ENOSYS"
    assert {name: answer for name, answer in answers.items() if answer != "EPERM"} == {}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_no_socket_holds_memory_that_nobody_counts(attack: Attack) -> None:
    outcome = attack(
        "import errno, socket\n"
        "made = []\n"
        "for family in (2, 10):\n"
        "    for kind in (1, 2, 5, 6):\n"
        "        for protocol in (18, 33, 59, 115, 132, 136, 255, 256, 262):\n"
        "            try: socket.socket(family, kind, protocol)\n"
        "            except OSError: continue\n"
        "            made.append((family, kind, protocol))\n"
        "for kind in (1, 2): socket.socket(2, kind), socket.socket(10, kind)\n"
        "print(made)\n"
    )
    assert (outcome.stdout, outcome.exit_code) == (b"[]\n", 0)


def test_memory_that_watching_cannot_count_is_denied(watched: BubblewrapSandbox) -> None:
    code = SYSCALL + (
        "import socket\ninternet = socket.socket()\n"
        "size = ctypes.byref(ctypes.c_int(1 << 30))\n"
        "print(json.dumps([call(319, b'x', 0), call(29, 0, 4096, 0o1600), call(53, 1, 1, 0, 0),\n"
        " call(41, 1, 1, 0), call(41, ctypes.c_ulong(1 << 32 | 1), 1, 0),\n"
        " *(call(54, internet.fileno(), 1, n, size, 4) for n in (7, 8, 32, 33))]))"
    )
    job = Job(argv=("python3", "-I", "-S", "-c", code))
    assert json.loads(watched.run(job, least=Tier.NAMESPACES).stdout) == ["EPERM"] * 9


ATTACH_INIT = SYSCALL + "call(101, 16, 1, 0, 0)\nimport time\ntime.sleep(60)\n"


def test_a_program_that_traces_its_own_init_meets_the_wall_clock(attack: Attack) -> None:
    outcome = attack(ATTACH_INIT, limits=Limits(wall_s=0.6), ptrace=True)
    assert outcome.timed_out
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert outcome.wall_s < 5


def test_kernel_settings_and_other_namespaces_are_out_of_reach(attack: Attack) -> None:
    outcome = attack(
        "import json\n"
        "def opened(path, mode):\n"
        "  try: open(path, mode).close()\n"
        "  except OSError: return False\n"
        "  return True\n"
        "print(json.dumps([p for p in ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger',\n"
        " '/proc/sys/vm/drop_caches', '/sys/kernel/notes', '/proc/1/root/etc/shadow',\n"
        " '/proc/kcore', '/dev/mem', '/dev/kmsg', '/dev/kvm'] if opened(p, 'r+b')]))\n"
    )
    assert json.loads(outcome.stdout) == []


def test_taking_over_init_gains_nothing(sandbox: BubblewrapSandbox, attack: Attack) -> None:
    if sandbox.tier() is Tier.GVISOR:  # init is another user there
        outcome = attack("os.kill(1, 0)\n")
        assert b"PermissionError" in outcome.stderr
        outcome = attack("open('/proc/1/mem', 'r+b')\n")
        assert b"PermissionError" in outcome.stderr
        return
    # Same user, so its memory can be written; it must be no freer than the program itself.
    outcome = attack("print(open('/proc/1/status').read())")
    facts = dict(
        line.split(":\t") for line in outcome.stdout.decode().splitlines() if ":\t" in line
    )
    assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")
    assert {int(facts[each], 16) for each in ("CapPrm", "CapEff", "CapBnd", "CapInh")} == {0}


NESTED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier
with BubblewrapSandbox(slots=1) as sandbox:
    print(sandbox.tier().name, [p for p in sandbox.report() if not p.passed])
    print(sandbox.run(Job(argv=("sh", "-c", "id -u; echo x > /out/x")), least=Tier.NAMESPACES))
"""
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def nested(*wrapper: str) -> str:
    import sys  # noqa: PLC0415  # the interpreter of these tests, for the child alone

    words = [*wrapper, sys.executable, "-c", NESTED, SOURCE]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
    if "unshare failed" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"this machine does not let {wrapper[0]} do it: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_it_works_in_a_container_like_namespace() -> None:
    if os.geteuid() != 0:
        pytest.skip("making such a namespace needs root")
    said = nested("unshare", "--fork", "--pid", "--mount", "--mount-proc", "--kill-child")
    assert said.startswith("NAMESPACES")
    assert "artefacts={'x': b'x\\n'}" in said


def test_root_of_a_user_namespace_without_other_users_is_an_ordinary_user() -> None:
    wrapper = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() == 0:
        wrapper = ["setpriv", "--reuid", "64999", "--regid", "64999", "--clear-groups", *wrapper]
    said = nested(*wrapper)
    assert said.startswith("NAMESPACES ")
    assert "stdout=b'65534\\n'" in said


def test_it_works_for_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test here runs as an ordinary user already")
    said = nested("setpriv", "--reuid", "64998", "--regid", "64998", "--clear-groups")
    assert said.startswith("NAMESPACES ")
    assert "artefacts={'x': b'x\\n'}" in said

"""Programs that try to take the machine down are contained, at either tier."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

Attack = Callable[..., Outcome]


def test_a_fork_bomb_is_stopped_at_its_limit(attack: Attack) -> None:
    outcome = attack(
        "import time\n"
        "made = 0\n"
        "try:\n"
        "  while made < 3000:\n"
        "    if os.fork() == 0: time.sleep(60)\n"
        "    made += 1\n"
        "except OSError: print(made)\n",
        limits=Limits(processes=20, wall_s=8),
    )
    assert outcome.exit_code == 0
    assert 15 <= int(outcome.stdout) <= 21


def test_unreaped_children_are_stopped_at_the_same_limit(attack: Attack) -> None:
    outcome = attack(
        "made = 0\n"
        "try:\n"
        "  while made < 300:\n"
        "    if os.fork() == 0: os._exit(0)\n"
        "    made += 1\n"
        "except OSError: print(made)\n",
        limits=Limits(processes=20, wall_s=8),
    )
    assert outcome.exit_code == 0
    assert 15 <= int(outcome.stdout) <= 21


def test_a_program_that_takes_too_much_memory_is_ended(attack: Attack) -> None:
    outcome = attack(
        "import time\nheld = []\n"
        "for _ in range(60): held.append(bytearray(b'x') * (50 << 20)); time.sleep(0.01)\n"
        "time.sleep(20)\n",
        limits=Limits(memory_mb=200, wall_s=20),
    )
    assert outcome.out_of_memory
    assert not outcome.timed_out
    assert outcome.signal == 9
    assert outcome.artefacts == {}
    assert outcome.peak_memory_mb < 600


def test_memory_is_counted_over_all_processes(attack: Attack) -> None:
    outcome = attack(
        "import time\n"
        "for _ in range(8):\n"
        "  if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    held = bytearray(b'x') * (40 << 20); time.sleep(20)\n"
        "time.sleep(20)\n",
        limits=Limits(memory_mb=160, wall_s=20),
    )
    assert outcome.out_of_memory
    assert not outcome.timed_out


@pytest.mark.parametrize("place", ["/tmp", "/out", "/dev/shm"])
def test_a_flood_of_inodes_is_ended(sandbox: BubblewrapSandbox, attack: Attack, place: str) -> None:
    # gVisor's inodes are memory like any other; this limit leaves room for more than come in time.
    within = sandbox.tier() is Tier.GVISOR
    outcome = attack(
        f"n = 0\nos.chdir({place!r})\nwhile True:\n  os.mkdir(str(n)); n += 1\n",
        limits=Limits(wall_s=3 if within else 30, cpu_s=30, memory_mb=4096),
    )
    assert outcome.out_of_memory or within
    assert outcome.timed_out is (within and not outcome.out_of_memory)
    assert outcome.signal == 9
    assert outcome.artefacts == {}


def test_endless_output_is_clipped_and_then_ended(attack: Attack) -> None:
    outcome = attack(
        "block = b'x' * 65536\nwhile True: os.write(1, block)\n",
        limits=Limits(output_kb=16, wall_s=20),
    )
    assert outcome.output_truncated
    assert outcome.stdout == b"x" * 16384
    assert (outcome.signal, outcome.timed_out) == (9, False)


def test_a_talkative_program_may_finish(attack: Attack) -> None:
    outcome = attack(
        "os.write(2, b'y' * 50000); sys.exit(7)", limits=Limits(output_kb=4, wall_s=20)
    )
    assert outcome.output_truncated
    assert outcome.stderr == b"y" * 4096
    assert outcome.exit_code == 7


def test_no_daemon_survives_its_program(attack: Attack) -> None:
    mark = "clearhold-daemon-that-must-die"
    started = time.monotonic()
    outcome = attack(
        "import time\n"
        "for _ in range(3):\n"
        "  if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"  # keeps standard output open, as daemons should not
        f"      os.execv('/bin/sh', ['sh', '-c', 'sleep 97; exit', '{mark}'])\n"
        "    os._exit(0)\n"
        "time.sleep(0.2); print('done')\n",
        limits=Limits(wall_s=30),
    )
    assert outcome.stdout == b"done\n"
    assert time.monotonic() - started < 20
    alive = [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark in _text(p)]
    assert alive == []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_signals_do_not_leave_the_sandbox(attack: Attack) -> None:
    outcome = attack(
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for pid in (os.getppid(), 1, -1):\n"
        "  for number in (15, 9) if pid != -1 else (15,):\n"
        "    try: os.kill(pid, number)\n"
        "    except OSError: pass\n"
        "print('alive', os.getppid())\n"
    )
    assert outcome.stdout == b"alive 1\n"
    assert outcome.exit_code == 0


def test_ignoring_every_signal_does_not_help_against_the_wall_clock(attack: Attack) -> None:
    outcome = attack(
        "import signal, time\n"
        "for number in set(signal.valid_signals()) - {9, 19, 32, 33}:\n"
        "  signal.signal(number, signal.SIG_IGN)\n"
        "for _ in range(4):\n"
        "  if os.fork() == 0:\n"
        "    while True: pass\n"
        "open('/out/x', 'w').write('x')\n"
        "while True: time.sleep(1)\n",
        limits=Limits(wall_s=0.7),
    )
    assert outcome.timed_out
    assert (outcome.exit_code, outcome.signal) == (None, 9)
    assert outcome.artefacts == {}
    assert 0.7 <= outcome.wall_s < 5


def test_processor_time_is_bounded_too(attack: Attack) -> None:
    outcome = attack("while True: pass", limits=Limits(wall_s=20, cpu_s=1))
    assert outcome.timed_out
    assert outcome.signal == 24  # SIGXCPU


def test_ignoring_the_warning_about_processor_time_ends_in_a_kill(attack: Attack) -> None:
    outcome = attack(
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        limits=Limits(wall_s=20, cpu_s=1),
    )
    assert outcome.timed_out
    assert outcome.signal == 9


HOSTILE_OUT = r"""
import socket
os.chdir('/out')
os.symlink('/etc/shadow', 'link'); os.symlink('/out', 'loop'); os.symlink('real', 'near')
os.mkfifo('fifo')
try: socket.socket(socket.AF_UNIX).bind('/out/socket')
except PermissionError: pass
os.mkdir('dir'); os.chmod('dir', 0o777); os.symlink('../../../../etc', 'dir/up')
open('real', 'w').write('true'); os.chmod('real', 0o6755); os.link('real', 'dir/same')
open(b'\xff\xfe', 'w').write('x'); open('new\nline', 'w').write('x'); open('es\x1b[31mc', 'w').write('x')
open('unreadable', 'w').write('x'); os.chmod('unreadable', 0)
os.mkdir('closed'); open('closed/x', 'w').write('x'); os.chmod('closed', 0)
os.mkdir('unlisted'); open('unlisted/x', 'w').write('x'); os.chmod('unlisted', 0o400)
try:
  with open('sparse', 'wb') as f: f.truncate(1 << 40)
except OSError: print('sparse denied')
if os.path.exists('sparse'): os.unlink('sparse')
try: os.mknod('device', 0o20666, os.makedev(1, 3))
except OSError: print('device denied')
"""


def test_a_hostile_output_directory_is_harmless(attack: Attack) -> None:
    outcome = attack(HOSTILE_OUT)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout == b"sparse denied\ndevice denied\n"
    assert outcome.artefacts == {"real": b"true", "dir/same": b"true"}


def test_artefacts_beyond_their_limit_stay_behind_and_that_is_said(attack: Attack) -> None:
    outcome = attack(
        "for n in 'abc': open(f'/out/{n}', 'wb').write(n.encode() * 700000)",
        limits=Limits(artefacts_mb=1),
    )
    assert outcome.output_truncated
    assert outcome.artefacts == {"a": b"a" * 700000}


def test_too_many_artefacts_and_bottomless_directories_are_clipped(attack: Attack) -> None:
    many = attack("for n in range(5000): open(f'/out/{n}', 'w').close()")
    assert many.output_truncated
    assert len(many.artefacts) == 4096
    deep = attack(
        "os.chdir('/out')\n"
        "for _ in range(300): os.mkdir('d'); os.chdir('d')\n"
        "open('x', 'w').close()\n"
    )
    assert deep.output_truncated
    assert deep.artefacts == {}


def test_a_locked_output_directory_yields_nothing(attack: Attack) -> None:
    outcome = attack("open('/out/x', 'w').write('x'); os.chmod('/out', 0)")
    assert outcome.exit_code == 0
    assert outcome.artefacts == {}


def test_nothing_of_one_run_is_left_for_the_next(sandbox: BubblewrapSandbox) -> None:
    first = Job(argv=("sh", "-c", "echo secret | tee /tmp/s /work/s /out/s /dev/shm/s"))
    second = Job(argv=("sh", "-c", "ls -A /tmp /work /out /dev/shm"))
    for _ in range(2):
        sandbox.run(first, least=Tier.NAMESPACES)
        left = sandbox.run(second, least=Tier.NAMESPACES).stdout
        assert b"s\n" not in left.replace(b"/tmp:\n", b"")

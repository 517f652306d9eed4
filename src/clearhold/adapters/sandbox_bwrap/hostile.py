"""Programs that try to take the machine down, each with what containment looks like from outside.

Any sandbox can be put to them. Each first makes sure that it is in a PID namespace of its own and
does nothing anywhere else. Limits are small, so that all of them together take seconds.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clearhold.adapters.sandbox_bwrap.probes import Probe, namespace
from clearhold.kernel.errors import ClearholdError
from clearhold.ports.sandbox import Job, Limits, Outcome, Sandbox, Tier

PYTHON = "/usr/bin/python3"
OUTSIDE = 99
GUARD = (
    "import os,sys,time,signal,socket\n"
    f"if os.readlink('/proc/self/ns/pid')==sys.argv[1]: sys.exit({OUTSIDE})\n"
)
KILLED = 9
_SMALL = Limits(wall_s=20, cpu_s=20, memory_mb=128, processes=20, scratch_mb=16, output_kb=16)
_SHORT = Limits(wall_s=0.5, cpu_s=20, memory_mb=128, processes=20, scratch_mb=16, output_kb=16)
_GONE_S = 5.0


@dataclass(frozen=True, slots=True)
class Hostile:
    """One program: what it tries, its code, and whether an outcome shows that it was contained.

    It finds the namespace it must not be in, and a mark that names this run, in `sys.argv`.
    """

    name: str
    code: str
    contained: Callable[[Outcome], bool]
    limits: Limits = _SMALL


def attack(sandbox: Sandbox, program: Hostile) -> Probe:
    """Run one hostile program; it is contained when its limits held and nothing of it is left."""
    mark = f"clearhold-hostile-{secrets.token_hex(8)}"
    job = Job(
        argv=(PYTHON, "-I", "-S", "-c", GUARD + program.code, namespace("pid"), mark),
        limits=program.limits,
    )
    try:
        outcome = sandbox.run(job, least=Tier.NAMESPACES)
    except ClearholdError as problem:
        return Probe(program.name, False, problem.message, problem.next_step)
    left = _left(mark)
    if left:
        return Probe(program.name, False, f"{len(left)} of its processes live on: {left[:5]}")
    if outcome.exit_code == OUTSIDE:
        return Probe(program.name, False, "it found itself outside a sandbox and refused")
    return Probe(program.name, program.contained(outcome), _seen(outcome))


def attacks(sandbox: Sandbox) -> Iterator[Probe]:
    """All of them, one after the other."""
    for program in PROGRAMS:
        yield attack(sandbox, program)


def _left(mark: str) -> list[int]:
    """Processes of this machine that carry the mark, after what is dying had its time."""
    end = time.monotonic() + _GONE_S
    while True:
        found = [
            int(each.parent.name)
            for each in Path("/proc").glob("[0-9]*/cmdline")
            if _is(each, mark)
        ]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.02)


def _is(cmdline: Path, mark: str) -> bool:
    try:
        return mark.encode() in cmdline.read_bytes().split(b"\0")
    except OSError:
        return False


def _seen(outcome: Outcome) -> str:
    ended = f"exit {outcome.exit_code}" if outcome.signal is None else f"signal {outcome.signal}"
    said = outcome.stdout[:60].decode("ascii", "replace").strip().replace("\n", " ")
    flags = [
        name
        for name, held in (
            ("time", outcome.timed_out),
            ("memory", outcome.out_of_memory),
            ("output", outcome.output_truncated),
        )
        if held
    ]
    by = f", ended by its limit of {' and '.join(flags)}" if flags else ""
    return f"{ended}{by}" + (f", said {said!r}" if said and "output" not in flags else "")


def _ended(outcome: Outcome) -> bool:
    """Ended by the sandbox, with nothing taken from it."""
    return outcome.signal == KILLED and not outcome.artefacts


def _out_of_memory(outcome: Outcome) -> bool:
    return outcome.out_of_memory and not outcome.timed_out and _ended(outcome)


def _out_of_time(outcome: Outcome) -> bool:
    return outcome.timed_out and _ended(outcome)


def _stopped_early(outcome: Outcome) -> bool:
    """It met an error and said after how many: between one and what its limit allows."""
    said = outcome.stdout.strip()
    return outcome.exit_code == 0 and said.isdigit() and 1 <= int(said) <= _SMALL.processes + 1


def _flooded(outcome: Outcome) -> bool:
    kept = len(outcome.stdout) + len(outcome.stderr)
    return outcome.output_truncated and _ended(outcome) and kept == _SMALL.output_kb << 10


def _flooded_inodes(outcome: Outcome) -> bool:
    """Ended when there were too many. In gVisor they are memory, counted like all of it."""
    within = outcome.tier is Tier.GVISOR and outcome.timed_out
    return (outcome.out_of_memory or within) and _ended(outcome)


def _said(*words: bytes) -> Callable[[Outcome], bool]:
    return lambda outcome: outcome.exit_code == 0 and outcome.stdout.split() == [*words]


def _denied_or_ended(outcome: Outcome) -> bool:
    """The program met an error it could tell of, or memory ended it."""
    return _said(b"denied")(outcome) or _out_of_memory(outcome)


_BOMB = """
made=0
try:
  while made<3000:
    if os.fork()==0: {child}
    made+=1
except OSError: print(made)
"""
_FILL = """
total=0
try:
  for n in range(64):
    with open(f'{place}/{{n}}','wb',buffering=0) as f:
      for _ in range(16): total+=f.write(b'x'*(1<<20))
except OSError: pass
print('held' if total<=(17<<20) else total)
"""
_OUT = r"""
os.chdir('/out')
os.symlink('/etc/shadow','link'); os.symlink('/out','loop'); os.mkfifo('fifo')
try: socket.socket(socket.AF_UNIX).bind('/out/socket')
except PermissionError: pass
os.mkdir('dir'); os.symlink('../../../../etc','dir/up')
open('real','w').write('true'); os.chmod('real',0o6755); os.link('real','dir/same')
for name in (b'\xff\xfe','new\nline','es\x1b[31mc'): open(name,'w').write('x')
open('closed','w').write('x'); os.chmod('closed',0)
try:
  with open('sparse','wb') as f: f.truncate(1<<40)
except OSError: os.unlink('sparse')
try: os.mknod('device',0o20666,os.makedev(1,3))
except OSError: pass
print('done')
"""

PROGRAMS = (
    Hostile("fork bomb", _BOMB.format(child="time.sleep(60)"), _stopped_early),
    Hostile("children nobody reaps", _BOMB.format(child="os._exit(0)"), _stopped_early),
    Hostile(
        "thread bomb",
        "import threading\nmade=0\n"
        "try:\n"
        "  while made<3000: threading.Thread(target=time.sleep,args=(60,),daemon=True).start(); made+=1\n"
        "except RuntimeError: print(made,flush=True); os._exit(0)\n",
        _stopped_early,
    ),
    Hostile(
        "memory",
        "held=[]\nfor _ in range(60): held.append(bytearray(b'x')*(50<<20)); time.sleep(.01)\n",
        _out_of_memory,
    ),
    Hostile(
        "memory of many processes",
        "for _ in range(8):\n"
        "  if os.fork()==0: os.setsid(); held=bytearray(b'x')*(40<<20); time.sleep(20)\n"
        "time.sleep(20)\n",
        _out_of_memory,
    ),
    Hostile(
        "memory no process owns",
        "import ctypes\nlibc=ctypes.CDLL(None,use_errno=True)\n"
        "try:\n"
        "  for n in range(8):\n"
        "    fd=os.memfd_create('x')\n"
        "    for _ in range(64): os.write(fd,b'x'*(1<<20))\n"
        "except OSError: print('denied')\n",
        _denied_or_ended,
    ),
    Hostile("scratch fill", _FILL.format(place="/tmp"), _said(b"held")),  # noqa: S108
    Hostile("shared memory fill", _FILL.format(place="/dev/shm"), _said(b"held")),  # noqa: S108
    Hostile(
        "fill of everything else",
        "made=[]\n"
        "for place in ('/','/dev','/usr','/in','/proc','/etc'):\n"
        "  try: open(place+'/x','wb').write(b'x'); made.append(place)\n"
        "  except OSError: pass\n"
        "print('held' if not made else made)\n",
        _said(b"held"),
    ),
    Hostile(
        "inode flood",
        "os.chdir('/out'); n=0\nwhile True: os.mkdir(str(n)); n+=1\n",
        _flooded_inodes,
        Limits(wall_s=30, cpu_s=30, memory_mb=4096, processes=20, scratch_mb=16, output_kb=16),
    ),
    Hostile("endless output", "while True: os.write(1,b'x'*65536)\n", _flooded),
    Hostile("endless errors", "while True: os.write(2,b'x'*65536)\n", _flooded),
    Hostile(
        "daemons",
        "for _ in range(3):\n"
        "  if os.fork()==0:\n"
        "    os.setsid()\n"
        "    if os.fork()==0: os.execv('/bin/sh',['sh','-c','sleep 97; exit',sys.argv[2]])\n"
        "    os._exit(0)\n"
        "time.sleep(.2); print('done')\n",
        _said(b"done"),
    ),
    Hostile(
        "a child that keeps the output open",
        "if os.fork()==0:\n"
        "  signal.signal(signal.SIGTERM,signal.SIG_IGN); time.sleep(97)\n"
        "print('done')\n",
        _said(b"done"),
    ),
    Hostile(
        "killing parent, init and everybody",
        "signal.signal(signal.SIGTERM,signal.SIG_IGN)\n"
        "for pid in (os.getppid(),1,-1):\n"
        "  for number in (15,9) if pid!=-1 else (15,):\n"
        "    try: os.kill(pid,number)\n"
        "    except OSError: pass\n"
        "print('alive',os.getppid())\n",
        _said(b"alive", b"1"),
    ),
    Hostile(
        "ignoring every signal",
        "for number in set(signal.valid_signals())-{9,19,32,33}: signal.signal(number,signal.SIG_IGN)\n"
        "open('/out/x','w').write('x')\n"
        "while True: time.sleep(1)\n",
        _out_of_time,
        _SHORT,
    ),
    Hostile(
        "stopping itself",
        "os.kill(0,signal.SIGSTOP); time.sleep(60)\n",
        _out_of_time,
        _SHORT,
    ),
    Hostile(
        "busy loops on every core",
        "for _ in range(8):\n  if os.fork()==0:\n    while True: pass\nwhile True: pass\n",
        _out_of_time,
        _SHORT,
    ),
    Hostile(
        "processor time",
        "signal.signal(signal.SIGXCPU,signal.SIG_IGN)\nwhile True: pass\n",
        lambda outcome: outcome.timed_out and outcome.signal == KILLED,
        Limits(wall_s=30, cpu_s=1, memory_mb=128, processes=20, scratch_mb=16, output_kb=16),
    ),
    Hostile(
        "a hostile output directory",
        _OUT,
        lambda outcome: (
            outcome.exit_code == 0
            and dict(outcome.artefacts) == {"real": b"true", "dir/same": b"true"}
        ),
    ),
    Hostile(
        "a bottomless directory",
        "os.chdir('/out')\nfor _ in range(300): os.mkdir('d'); os.chdir('d')\n"
        "open('x','w').close()\n",
        lambda outcome: outcome.exit_code == 0 and not outcome.artefacts,
    ),
    Hostile(
        "more artefacts than are taken",
        "for n in range(5000): open(f'/out/{n}','w').close()\n",
        lambda outcome: outcome.output_truncated and len(outcome.artefacts) <= 4096,
    ),
    Hostile(
        "memory in pairs of sockets",
        "held=[]; total=0\n"
        "try:\n"
        "  while True:\n"
        "    pair=socket.socketpair(); held.append(pair)\n"
        "    for end in pair:\n"
        "      end.setblocking(False)\n"
        "      end.setsockopt(socket.SOL_SOCKET,socket.SO_SNDBUF,1<<30)\n"
        "      try:\n"
        "        while True: total+=end.send(b'x'*65536)\n"
        "      except BlockingIOError: pass\n"
        "except OSError: print('denied' if total<(128<<20) else total)\n",
        _denied_or_ended,
    ),
    Hostile(
        "memory in connections",
        "held=[]; total=0\nserver=socket.create_server(('127.0.0.1',0))\n"
        "try:\n"
        "  while True:\n"
        "    end=socket.create_connection(server.getsockname()); held+=[end,server.accept()[0]]\n"
        "    end.setblocking(False)\n"
        "    try:\n"
        "      for _ in range(999): total+=end.send(b'x'*65536)\n"
        "    except BlockingIOError: time.sleep(.01)\n"
        "except OSError: print('denied' if total<(128<<20) else total)\n"
        "time.sleep(1)\n",
        _denied_or_ended,
    ),
    Hostile(
        "memory in connections that nobody took and their sender left",
        "held=[]; total=0\n"
        "try:\n"
        "  while True:\n"
        "    server=socket.create_server(('::1',0),family=socket.AF_INET6); held.append(server)\n"
        "    for _ in range(8):\n"
        "      end=socket.create_connection(server.getsockname()[:2],timeout=2)\n"
        "      end.setblocking(False)\n"
        "      try:\n"
        "        for _ in range(999): total+=end.send(b'x'*65536)\n"
        "      except BlockingIOError: time.sleep(.01)\n"
        "      end.close()\n"
        "except OSError: print('denied' if total<(128<<20) else total)\n"
        "time.sleep(1)\n",
        _denied_or_ended,
    ),
    Hostile(
        "memory in datagrams",
        "held=[]; total=0\n"
        "try:\n"
        "  while True:\n"
        "    end=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); held.append(end)\n"
        "    try: end.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,1<<30)\n"
        "    except PermissionError: pass\n"
        "    end.bind(('127.0.0.1',0))\n"
        "    for _ in range(400): total+=end.sendto(b'x'*60000,end.getsockname())\n"
        "except OSError: print('denied')\n"
        "time.sleep(1)\n",
        lambda outcome: outcome.out_of_memory or _said(b"denied")(outcome),
    ),
    Hostile(
        "memory in pipes",
        "import fcntl\nheld=[]; total=0\n"
        "try:\n"
        "  while True:\n"
        "    ends=os.pipe(); held.append(ends); os.set_blocking(ends[1],False)\n"
        "    try: fcntl.fcntl(ends[1],1031,1<<20)\n"
        "    except PermissionError: pass\n"
        "    try:\n"
        "      while True: total+=os.write(ends[1],b'x'*65536)\n"
        "    except BlockingIOError: pass\n"
        "except OSError: print('denied' if total<(128<<20) else total)\n",
        _denied_or_ended,
    ),
)

"""What a job gets, and what comes back from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, forked, supervisor
from clearhold.adapters.sandbox_bwrap.argv import check, options
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

LEAST = Tier.NAMESPACES
OVERFLOW = b"""
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  char *room = malloc(8);
  memset(room, argc, 8 + argc);
  return room[argc];
}
"""
LEAK = b"""
#include <stdlib.h>
char *volatile lost;
int main(void) { lost = malloc(77); lost = 0; return 0; }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory that every user may enter, as the slots' own users must."""
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and place != Path("/tmp"):
            place.chmod(place.stat().st_mode | 0o055)
    return tmp_path


def sh(script: str, **fields: object) -> Job:
    return replace(Job(argv=("sh", "-c", script)), **fields)  # type: ignore[arg-type]


def compiled(sandbox: BubblewrapSandbox, source: bytes) -> bytes:
    build = sh("gcc -g -O1 -fsanitize=address /in/p.c -o /out/p", files={"/in/p.c": source})
    outcome = sandbox.run(replace(build, limits=Limits(wall_s=60, cpu_s=60)), least=LEAST)
    if outcome.exit_code == 127:
        pytest.skip("no C compiler here")
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.artefacts["p"]


def test_a_heap_overflow_is_built_and_reported_by_address_sanitizer(
    watched: BubblewrapSandbox, folder: Path
) -> None:
    program = compiled(watched, OVERFLOW)
    env = {"ASAN_OPTIONS": "exitcode=77:log_path=/out/report:detect_leaks=0"}
    as_file = Job(argv=("/in/p",), files={"/in/p": program}, env=env)
    (folder / "p").write_bytes(program)
    (folder / "p").chmod(0o755)
    as_tree = Job(argv=("/src/p",), trees={"/src": folder}, env=env)
    for job in (as_file, as_tree):
        outcome = watched.run(job, least=LEAST)
        assert (outcome.exit_code, outcome.signal) == (77, None)
        ((name, report),) = outcome.artefacts.items()
        assert name.startswith("report.")
        assert b"heap-buffer-overflow" in report
        assert b"p.c:6" in report


def test_leak_sanitizer_works_when_tracing_is_asked_for(watched: BubblewrapSandbox) -> None:
    job = Job(argv=("/in/p",), files={"/in/p": compiled(watched, LEAK)}, ptrace=True)
    outcome = watched.run(job, least=LEAST)
    assert outcome.exit_code == 1
    assert b"77 byte(s) leaked" in outcome.stderr


def test_python_and_the_random_device_work(sandbox: BubblewrapSandbox) -> None:
    code = "import ctypes, ssl, sqlite3, json; print(len(open('/dev/urandom', 'rb').read(9)))"
    outcome = sandbox.run(Job(argv=("/usr/bin/python3", "-c", code)), least=LEAST)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, b"9\n", b"")


def test_symbols_of_the_machines_own_libraries_are_not_shown(sandbox: BubblewrapSandbox) -> None:
    script = "ls -A /usr/lib/debug 2>/dev/null; : 2>/dev/null >/usr/lib/debug/x || echo closed"
    outcome = sandbox.run(Job(argv=("bash", "-c", script)), least=LEAST)
    assert outcome.stdout == b"closed\n"


def test_streams_codes_and_artefacts_come_back(sandbox: BubblewrapSandbox) -> None:
    script = "pwd; echo wrong >&2; mkdir -p /out/a/b; printf x > /out/a/b/c; : > /out/e; exit 5"
    outcome = sandbox.run(sh(script), least=LEAST)
    assert (outcome.exit_code, outcome.signal, outcome.timed_out) == (5, None, False)
    assert (outcome.stdout, outcome.stderr) == (b"/work\n", b"wrong\n")
    assert outcome.artefacts == {"a/b/c": b"x", "e": b""}
    assert outcome.tier is sandbox.tier()
    assert outcome.wall_s > 0
    assert 0 < outcome.peak_memory_mb < 200


def test_a_large_artefact_comes_back_whole(sandbox: BubblewrapSandbox) -> None:
    code = "import os; d = bytes(range(256)) * 40000; open('/out/big', 'wb').write(d)"
    outcome = sandbox.run(Job(argv=("python3", "-c", code)), least=LEAST)
    assert outcome.artefacts == {"big": bytes(range(256)) * 40000}


@pytest.mark.parametrize("number", [6, 9, 11, 15])
def test_a_signal_is_told_as_a_signal(sandbox: BubblewrapSandbox, number: int) -> None:
    outcome = sandbox.run(sh(f"kill -{number} $$"), least=LEAST)
    assert (outcome.exit_code, outcome.signal) == (None, number)
    assert not outcome.timed_out
    assert not outcome.out_of_memory


def test_artefacts_of_a_program_that_crashed_by_itself_are_kept(sandbox: BubblewrapSandbox) -> None:
    outcome = sandbox.run(sh("echo x > /out/x; kill -11 $$"), least=LEAST)
    assert outcome.artefacts == {"x": b"x\n"}


def test_a_program_that_does_not_exist_is_a_failure_of_the_job(sandbox: BubblewrapSandbox) -> None:
    outcome = sandbox.run(Job(argv=("/in/nowhere",)), least=LEAST)
    assert outcome.exit_code == 127
    assert b"nowhere" in outcome.stderr


def test_files_and_trees_are_there_executable_and_read_only(
    sandbox: BubblewrapSandbox, folder: Path
) -> None:
    (folder / "data").mkdir(mode=0o755)
    (folder / "data" / "f").write_bytes(b"tree")
    (folder / "one").write_bytes(b"single")
    script = (
        "/in/run; cat /src/f /one; for p in /in/run /src/f /src/new /one /in/new; do"
        " echo x 2>/dev/null >$p && echo wrote $p; done; :"
    )
    job = sh(
        script,
        files={"/in/run": b"#!/bin/sh\necho ran\n"},
        trees={"/src": folder / "data", "/one": folder / "one"},
    )
    outcome = sandbox.run(job, least=LEAST)
    assert outcome.stdout == b"ran\ntreesingle", outcome.stderr
    assert (folder / "data" / "f").read_bytes() == b"tree"


def test_many_files_of_any_content_are_delivered(watched: BubblewrapSandbox) -> None:
    files = {f"/in/{n}": os.urandom(n) for n in range(300)} | {"/in/large": b"z" * (20 << 20)}
    sizes = watched.run(sh("cd /in; stat -c %s * | sort -n | md5sum", files=files), least=LEAST)
    expected = "\n".join(map(str, sorted(map(len, files.values())))) + "\n"
    import hashlib  # noqa: PLC0415  # used by this test alone

    digest = hashlib.md5(expected.encode(), usedforsecurity=False).hexdigest()
    assert sizes.stdout.decode().split()[0] == digest


def test_the_environment_is_the_jobs_and_no_more(sandbox: BubblewrapSandbox) -> None:
    job = Job(argv=("env",), env={"TZ": "Asia/Tokyo", "A_B": "one two\n$three"})
    lines = sandbox.run(job, least=LEAST).stdout.decode()
    assert set(lines.split("A_B=one two\n$three\n")[0].split()) | set(
        lines.split("A_B=one two\n$three\n")[1].split()
    ) == {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=Asia/Tokyo", "PWD=/work"}


def test_addresses_stand_still_unless_asked(sandbox: BubblewrapSandbox) -> None:
    if sandbox.tier() is Tier.GVISOR:
        pytest.skip("gVisor has no way to keep addresses still")
    job = Job(argv=("grep", "stack", "/proc/self/maps"))
    still = {sandbox.run(job, least=LEAST).stdout for _ in range(3)}
    assert len(still) == 1
    moving = {sandbox.run(replace(job, randomise=True), least=LEAST).stdout for _ in range(3)}
    assert len(moving) > 1


def test_default_signal_behaviour_is_not_pythons(sandbox: BubblewrapSandbox) -> None:
    for name, number in (("PIPE", 13), ("XFSZ", 25)):  # which Python ignores
        outcome = sandbox.run(Job(argv=("sh", "-c", f"kill -{name} $$; echo alive")), least=LEAST)
        assert (outcome.signal, outcome.stdout) == (number, b"")


INHERITED = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.ports.sandbox import Job, Tier
with BubblewrapSandbox(slots=1, use_cgroup=False) as sandbox:
    job = Job(argv=("grep", "-E", "SigIgn|SigBlk", "/proc/self/status"))
    print(sandbox.run(job, least=Tier.NAMESPACES).stdout.decode())
"""


def test_what_the_hub_inherited_ignored_or_blocked_is_not_handed_on(
    watched: BubblewrapSandbox,
) -> None:
    def as_nohup_does() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})

    source = str(Path(__file__).resolve().parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", INHERITED, source],
        preexec_fn=as_nohup_does,
        capture_output=True,
        text=True,
        check=True,
    )
    masks = [int(line.split()[1], 16) for line in done.stdout.splitlines() if line]
    assert masks == [0, 0]


def test_standard_error_is_handed_over_while_the_program_runs(sandbox: BubblewrapSandbox) -> None:
    pieces: list[tuple[float, bytes]] = []
    job = sh("echo one >&2; sleep 0.5; echo two >&2; echo three")
    outcome = sandbox.run(
        job, least=LEAST, on_output=lambda piece: pieces.append((time.monotonic(), piece))
    )
    assert [piece for _, piece in pieces if piece] == [b"one\n", b"two\n"]
    assert [at for at, piece in pieces if piece][1] - pieces[0][0] > 0.2
    assert (outcome.stderr, outcome.stdout) == (b"one\ntwo\n", b"three\n")


def test_a_listener_that_fails_ends_the_job_and_the_sandbox_stays_usable(
    sandbox: BubblewrapSandbox,
) -> None:
    def fail(piece: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sandbox.run(sh("echo x >&2; sleep 9"), least=LEAST, on_output=fail)
    assert sandbox.run(Job(argv=("true",)), least=LEAST).exit_code == 0


def test_threads_share_the_slots(sandbox: BubblewrapSandbox) -> None:
    answers: dict[int, Outcome] = {}

    def work(number: int) -> None:
        answers[number] = sandbox.run(sh(f"sleep 0.1; echo {number}"), least=LEAST)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: a.stdout for n, a in answers.items()} == {n: b"%d\n" % n for n in range(6)}


REFUSED: dict[str, Callable[[], Job]] = {
    "no program": lambda: Job(argv=()),
    "an empty program": lambda: Job(argv=("",)),
    "an option for a program": lambda: Job(argv=("-x",)),
    "a null byte": lambda: Job(argv=("a", "b\0c")),
    "a lone surrogate": lambda: Job(argv=("a", "\ud800")),
    "a huge argument": lambda: Job(argv=("a", "x" * 200_000)),
    "too many arguments": lambda: Job(argv=("a", *["x" * 1000] * 1200)),
    "a variable with a sign in its name": lambda: Job(argv=("a",), env={"A=B": "c"}),
    "a variable without a name": lambda: Job(argv=("a",), env={"": "c"}),
    "a variable of the sandbox's own": lambda: Job(argv=("a",), env={"_sandbox_words": "b"}),
    "a null byte in a variable": lambda: Job(argv=("a",), env={"A": "\0"}),
    "a relative place": lambda: Job(argv=("a",), files={"in/x": b""}),
    "a place with dots": lambda: Job(argv=("a",), files={"/in/../usr/x": b""}),
    "a doubled slash": lambda: Job(argv=("a",), files={"//in/x": b""}),
    "a trailing slash": lambda: Job(argv=("a",), files={"/in/x/": b""}),
    "the root": lambda: Job(argv=("a",), trees={"/": Path("/srv")}),
    "a system place": lambda: Job(argv=("a",), files={"/etc/passwd": b""}),
    "the output place": lambda: Job(argv=("a",), files={"/out/x": b""}),
    "a line break in a place": lambda: Job(argv=("a",), files={"/in/a\nb": b""}),
    "a place within a tree": lambda: Job(
        argv=("a",), trees={"/src": Path("/srv")}, files={"/src/x": b""}
    ),
    "a tree within a tree": lambda: Job(
        argv=("a",), trees={"/src": Path("/srv"), "/src/a/b": Path("/srv")}
    ),
    "one place twice": lambda: Job(argv=("a",), trees={"/in": Path("/srv")}, files={"/in": b""}),
    "too many files": lambda: Job(argv=("a",), files={f"/in/{n}": b"" for n in range(600)}),
    "too many bytes": lambda: Job(argv=("a",), files={"/in/x": bytes(65 << 20)}),
    "no time": lambda: Job(argv=("a",), limits=Limits(wall_s=0)),
    "time that is no number": lambda: Job(argv=("a",), limits=Limits(wall_s=float("nan"))),
    "endless time": lambda: Job(argv=("a",), limits=Limits(wall_s=float("inf"))),
    "negative memory": lambda: Job(argv=("a",), limits=Limits(memory_mb=-1)),
    "no processes": lambda: Job(argv=("a",), limits=Limits(processes=0)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unacceptable_job_is_refused_with_what_to_do(
    watched: BubblewrapSandbox, name: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        watched.run(REFUSED[name](), least=LEAST)
    assert caught.value.next_step


@given(st.text(max_size=40))
def test_no_destination_leaves_its_place(place: str) -> None:
    try:
        check(Job(argv=("true",), files={place: b""}))
    except InvalidError:
        return
    parts = place.split("/")
    assert parts[0] == ""
    assert all(part not in {"", ".", ".."} for part in parts[1:])
    assert parts[1] not in {"usr", "etc", "proc", "dev", "out", "work", "tmp"}


def test_forbidden_places_cannot_be_shown_by_any_name(folder: Path) -> None:
    data = folder / "var" / "data"
    (data / "inner").mkdir(parents=True)
    (folder / "var" / "cache").mkdir()
    (folder / "alias").symlink_to(data)
    for each in (folder / "var", folder / "var" / "cache"):
        each.chmod(0o755)
    with BubblewrapSandbox(slots=1, use_cgroup=False, forbidden=[folder / "alias"]) as sandbox:
        home = Path.home()
        wrong = [data, data / "inner", folder / "var", folder / "alias", folder / "alias" / "inner"]
        wrong += [Path("/"), Path("/etc"), Path("/etc/ssl"), Path("/proc/self/root"), home]
        wrong += [home.parent, folder / "missing", Path("/dev/null")]
        for tree in wrong:
            with pytest.raises(InvalidError):
                sandbox.run(Job(argv=("ls", "/src"), trees={"/src": tree}), least=LEAST)
        allowed = Job(argv=("ls", "/src"), trees={"/src": folder / "var" / "cache"})
        if sandbox.tier() is not Tier.NONE:
            assert sandbox.run(allowed, least=LEAST).exit_code == 0


def test_a_socket_or_pipe_is_no_tree(watched: BubblewrapSandbox, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        for name in ("fifo", "s"):
            with pytest.raises(InvalidError):
                watched.run(Job(argv=("ls",), trees={"/src": folder / name}), least=LEAST)


def test_a_tree_that_the_sandboxs_user_may_not_enter_is_refused_with_the_remedy(
    watched: BubblewrapSandbox, folder: Path
) -> None:
    if watched.group is None:
        pytest.skip("hostile code runs as this very user, who may enter it")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    job = Job(argv=("ls", "/src"), trees={"/src": closed})
    with pytest.raises(InvalidError) as caught:
        watched.run(job, least=LEAST)
    assert str(watched.group) in caught.value.next_step
    os.chown(closed, -1, watched.group)
    closed.chmod(0o750)
    assert watched.run(job, least=LEAST).exit_code == 0


def test_data_below_usr_is_refused_because_usr_is_visible() -> None:
    with pytest.raises(InvalidError):
        BubblewrapSandbox(forbidden=[Path("/usr/local/data")])


_BUSY = "import os\nos.sched_setaffinity(0, {%d})\nprint('busy', flush=True)\nwhile True: pass"


def test_what_others_kept_from_the_processor_is_told_from_what_takes_its_time(
    sandbox: BubblewrapSandbox,
) -> None:
    shared = min(os.sched_getaffinity(0))
    words = ("/usr/bin/python3", "-I", "-S", "-c", _BUSY % shared)
    limits = Limits(wall_s=1.5)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            other = (
                stack.enter_context(  # each of a session of its own: a scheduler may share by them
                    subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
                )
            )
            stack.callback(other.kill)
            assert other.stdout is not None
            assert other.stdout.readline() == b"busy\n"
        starved = sandbox.run(Job(argv=words, limits=limits), least=Tier.NAMESPACES)
        patient = replace(limits, patience=20.0)
        borne = sandbox.run(Job(argv=words, limits=patient), least=Tier.NAMESPACES)
        asleep = sandbox.run(Job(argv=("sleep", "99"), limits=patient), least=Tier.NAMESPACES)
    assert (starved.timed_out, starved.starved) == (True, True)
    assert (borne.timed_out, borne.starved) == (True, False)
    assert borne.cpu_s >= limits.wall_s / 2
    assert (asleep.timed_out, asleep.starved) == (True, False)
    assert asleep.wall_s < patient.wall_s * patient.patience


@pytest.mark.parametrize(
    ("accounts", "spent", "starved"),
    [
        ([(0.2, 1.2)], 0.25, True),
        ([(0.02, 0.21)] * 24, 0.48, False),  # they wait for each other
        ([(0.02, 0.9)] * 24, 0.48, True),  # and for others as well
        ([(0.1, 0.9), (0.1, 0.9)], 1.0, False),
        ([(0.01, 0.02)], 0.01, False),
        ([], 0.1, False),
    ],
)
def test_a_program_that_waits_for_itself_is_not_held_up_by_others(
    accounts: list[tuple[float, float]], spent: float, *, starved: bool
) -> None:
    run = object.__new__(supervisor.Run)
    run.job, run.accounts = {"wall_s": 1.5}, accounts
    assert run.kept_waiting(1.5, spent) is starved


_SPENT = """
import os, threading
def spin():
    end = os.times().system + os.times().user + 0.1
    while os.times().system + os.times().user < end: pass
if os.fork() == 0:
    spin()
    os._exit(0)
os.wait()
thread = threading.Thread(target=spin)
thread.start()
thread.join()
used = os.times()
print(used.user + used.system + used.children_user + used.children_system, flush=True)
input()
"""


def test_what_threads_and_children_spent_that_are_gone_is_counted() -> None:
    words = (sys.executable, "-I", "-S", "-c", _SPENT)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = float(process.stdout.readline())
        counted = sum(ran for ran, _ in supervisor.ran_and_waited(process.pid))
        process.communicate(b"\n")
    assert counted >= told - 4 / supervisor.TICKS_S, "four figures, each cut to a tick"


_TELL = """
import json, os, sys
print(json.dumps([sys.argv[1:], sorted(os.listdir("/in")), sorted(os.environ), os.listdir("/proc/self/fd")]))
"""


@pytest.mark.parametrize("randomise", [False, True])
def test_whatever_was_started_ahead_a_job_has_its_own_words_and_files_and_nothing_else(
    sandbox: BubblewrapSandbox, *, randomise: bool
) -> None:
    """Bubblewrap starts before its job is known, with a guess at it from the last one."""
    odd = ["it's", "a\nb", "", '$HOME "x" `id` \\', "ü", "-e", "*", "3>&-"]
    for files, words in ((1, odd), (3, odd[:1]), (2, ["x" * 100_000]), (2, []), (1, odd)):
        names = [f"{each}" for each in range(files)]
        job = Job(
            argv=("/usr/bin/python3", "-I", "-S", "-c", _TELL, *words),
            files={f"/in/{each}": b"content" for each in names},
            randomise=randomise,
        )
        outcome = sandbox.run(job, least=Tier.NAMESPACES)
        assert outcome.exit_code == 0, outcome.stderr
        given, shown, environment, descriptors = json.loads(outcome.stdout)
        assert (given, shown) == (words, names)
        assert environment == ["HOME", "LANG", "PATH", "PWD", "TZ"]
        assert descriptors == ["0", "1", "2", "3"], "the last is that of the listing"


def test_a_wrong_guess_at_the_next_job_counts_for_nothing_in_it() -> None:
    """It was forked from a supervisor that held the files of the job before."""
    with BubblewrapSandbox(slots=1, use_cgroup=False) as sandbox:
        big = Job(argv=("true",), files={"/in/big": bytes(60 << 20)})
        sandbox.run(big, least=LEAST)
        plain = sandbox.run(Job(argv=("true",)), least=LEAST)
    assert plain.exit_code == 0
    assert plain.peak_memory_mb < 30


def test_why_bubblewrap_could_not_start_is_told_whatever_number_its_lines_had(
    folder: Path,
) -> None:
    program = folder / "bwrap"
    program.write_bytes(Path(shutil.which("bwrap") or "").read_bytes())
    program.chmod(0o755)
    with BubblewrapSandbox(slots=1, bwrap=program) as sandbox:
        assert sandbox.tier() >= LEAST
        program.unlink()
        job = Job(argv=("true",), files={f"/in/{each}": b"" for each in range(20)})
        with pytest.raises(UnavailableError, match="No such file"):
            sandbox.run(job, least=LEAST)


def test_a_bubblewrap_that_was_told_half_of_its_options_starts_nothing() -> None:
    """A supervisor that is killed ends the line, and so the options."""
    job = {"bwrap": shutil.which("bwrap"), "randomise": False, "argv": ["true"]}
    job |= {"options": options(Job(argv=("true",)), trees={}), "files": [], "directory": "/work"}

    def started() -> forked.Bubblewrap:
        return forked.Bubblewrap(forked.shape(job, [b""]), "", [])

    other = started()
    (line,), (reads, other.options[0]) = other.options, os.pipe()
    assert other.go(job, [b""])
    os.close(line)
    other.dismiss()
    text = os.read(reads, 1 << 16)
    os.close(reads)
    ends = [at + 1 for at, byte in enumerate(text) if byte == 0]
    for end in (0, ends[3], ends[len(ends) // 2], ends[-2]):
        waiting = started()
        os.write(waiting.options[0], text[:end])
        waiting.close_lines()
        _, status = os.waitpid(waiting.pid, 0)
        said = os.read(waiting.err, 4096)
        waiting.dismiss()
        assert os.waitstatus_to_exitcode(status) == 1
        assert said.startswith(b"bwrap: "), "its own refusal, before it starts anything"

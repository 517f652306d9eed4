"""gVisor is used where its probes hold, and what it says of a run is checked and not trusted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_gvisor import GvisorSandbox
from clearhold.adapters.sandbox_gvisor.supervisor import TELLS, GvisorRun
from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits, Tier

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
TRUE = Job(argv=("true",))


@pytest.fixture(scope="module")
def gvisor() -> Iterator[GvisorSandbox]:
    with GvisorSandbox(slots=1) as sandbox:
        if sandbox.tier() is not Tier.GVISOR:
            failed = [f"{each.name}: {each.detail}" for each in sandbox.report() if not each.passed]
            pytest.skip(f"this machine gives no gVisor ({failed})")
        yield sandbox


def test_without_runsc_there_is_no_tier_and_the_remedy_is_named(tmp_path: Path) -> None:
    with GvisorSandbox(runsc=tmp_path / "none", slots=1) as sandbox:
        assert sandbox.tier() is Tier.NONE
        with pytest.raises(UnavailableError) as caught:
            sandbox.run(TRUE, least=Tier.GVISOR)
    assert "runsc" in caught.value.message
    assert "Debian 13" in caught.value.next_step


def test_a_runsc_that_cannot_work_gives_no_tier_and_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "runsc"
    broken.write_text("#!/bin/sh\necho 'platform is not there' >&2; exit 1\n")
    broken.chmod(0o755)
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and place.stat().st_mode & 0o5 != 0o5:
            place.chmod(place.stat().st_mode | 0o055)
    with GvisorSandbox(runsc=broken, slots=1) as sandbox:
        if sandbox._hierarchy is None or sandbox._bwrap is None:
            pytest.skip("nothing to run it in")
        assert sandbox.tier() is Tier.NONE
        (probe,) = sandbox.report()
        assert "platform is not there" in probe.detail


def test_the_strongest_is_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GvisorSandbox, "_measured", lambda _: ((), Tier.NONE))
    with StrongestSandbox(slots=1) as sandbox:
        assert sandbox.tier() < Tier.GVISOR
        with pytest.raises(UnavailableError) as caught:
            sandbox.run(TRUE, least=Tier.GVISOR)
    assert "GVISOR" in caught.value.message
    monkeypatch.setattr(GvisorSandbox, "_measured", lambda _: ((), Tier.GVISOR))
    with StrongestSandbox(slots=1) as sandbox:
        assert sandbox.tier() is Tier.GVISOR


def test_the_strongest_is_gvisor_where_it_works(gvisor: GvisorSandbox) -> None:
    with StrongestSandbox(slots=1) as sandbox:
        assert sandbox.run(TRUE, least=Tier.GVISOR).tier is gvisor.tier()
        assert all(each.passed for each in sandbox.report())


def test_the_kernel_within_is_not_this_machines(gvisor: GvisorSandbox) -> None:
    told = gvisor.run(Job(argv=("uname", "-r")), least=Tier.GVISOR).stdout.decode().strip()
    assert told
    assert told != os.uname().release


def test_how_a_program_ended_is_told_exactly(gvisor: GvisorSandbox) -> None:
    for script, code, number in (
        ("exit 0", 0, None),
        ("exit 134", 134, None),
        ("kill -6 $$", None, 6),
        ("kill -11 $$", None, 11),
    ):
        outcome = gvisor.run(Job(argv=("sh", "-c", script)), least=Tier.GVISOR)
        assert (outcome.exit_code, outcome.signal) == (code, number)


HUB = """
import sys
sys.path.insert(0, sys.argv[1])
from clearhold.adapters.sandbox_gvisor import GvisorSandbox
from clearhold.ports.sandbox import Job, Limits, Tier
sandbox = GvisorSandbox(slots=1)
sandbox.tier()
print("ready", flush=True)
sandbox.run(Job(argv=("sleep", "90"), limits=Limits(wall_s=90)), least=Tier.GVISOR)
"""


def _of_hub(pid: int) -> list[int]:
    mark, found = f"clearhold-{pid}-".encode(), []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(mark) for word in words):
            found.append(int(entry.parent.name))
    return found


def _wait(condition: object) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_killing_the_hub_leaves_nothing_of_gvisor_and_none_of_it_was_root(
    gvisor: GvisorSandbox,
) -> None:
    assert gvisor.tier() is Tier.GVISOR
    command = [sys.executable, "-c", HUB, SOURCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == b"ready\n"
        # runsc itself, gVisor's kernel and the process that serves it files
        assert _wait(lambda: len(_of_hub(hub.pid)) >= 3)
        users = {Path("/proc", str(pid)).stat().st_uid for pid in _of_hub(hub.pid)}
        hub.send_signal(signal.SIGKILL)
        hub.wait()
        assert _wait(lambda: not _of_hub(hub.pid)), _of_hub(hub.pid)
    assert 0 not in users


LEAK = (
    b"#include <stdlib.h>\nint main(void) { volatile char *p = malloc(7); p = 0; return p != 0; }\n"
)
OVERFLOW = (
    b"#include <stdlib.h>\nint main(int n, char **v) { char *p = malloc(7); return p[n + 7]; }\n"
)


@pytest.mark.parametrize(
    ("code", "says"), [(OVERFLOW, b"heap-buffer-overflow"), (LEAK, b"LeakSanitizer")]
)
def test_sanitizers_work_within(gvisor: GvisorSandbox, code: bytes, says: bytes) -> None:
    script = (
        "command -v gcc >/dev/null || exit 77\n"
        "gcc -O0 -g -fsanitize=address -o /tmp/a /in/a.c && exec /tmp/a\n"
    )
    job = Job(
        argv=("sh", "-c", script),
        files={"/in/a.c": code},
        limits=Limits(wall_s=120, cpu_s=60),
        ptrace=True,
    )
    outcome = gvisor.run(job, least=Tier.GVISOR)
    if outcome.exit_code == 77:
        pytest.skip("the sandbox finds no gcc")
    assert says in outcome.stderr


# What the process within says ------------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[GvisorRun]:
    """A run that has not begun, whose line the test speaks on."""
    ours, theirs = socket.socketpair()
    facts = {
        "blobs": [1],
        "watch": False,
        "joins": 0,
        "group": "",
        "artefact_bytes": 8,
        "wall_s": 9,
    }
    header = json.dumps(facts).encode()
    request = os.memfd_create("request")
    os.write(request, len(header).to_bytes(8, "big") + header + b"x")
    run = GvisorRun(theirs, -1, [request], None)
    yield run
    for fd in (run.heard, *run.more.values()):
        os.close(fd)
    ours.close()
    theirs.close()


def say(run: GvisorRun, *messages: bytes) -> bool:
    for each in messages:
        os.write(run.more[TELLS], len(each).to_bytes(4, "big") + each)
    return run.hear()


def result(**changes: object) -> bytes:
    plain = {"status": 256, "cpu_s": 0.5, "peak_kb": 9, "whole": True}
    return b"R" + json.dumps(plain | changes).encode()


def test_a_line_that_keeps_the_rules_gives_its_result(line: GvisorRun) -> None:
    assert say(line, b"S")
    assert say(line, b"Z", b"F" + bytes(8) + b"name")
    assert not say(line, result())
    assert line.verdict(0, {}) == (256, 0.5)
    assert line.artefacts == [b"F" + bytes(8) + b"name"]


@pytest.mark.parametrize(
    "messages",
    [
        (b"Z",),
        (result(),),
        (b"S", b"S"),
        (b"S", result()),
        (b"S", b"F" + bytes(8) + b"early"),
        (b"S", b"Z", b"Z"),
        (b"S", b"Z", b"Q"),
        (b"S", b"Z", result(status="0")),
        (b"S", b"Z", result(status=-1)),
        (b"S", b"Z", result(status=0x7F)),
        (b"S", b"Z", result(cpu_s=None)),
        (b"S", b"Z", b"R{"),
        (b"S", b"Z", b"R[]"),
        (b"S", b"Z", b"R" + b"[" * 50000),
    ],
)
def test_a_line_that_breaks_the_rules_gives_none(
    line: GvisorRun, messages: tuple[bytes, ...]
) -> None:
    for each in messages[:-1]:
        assert say(line, each)
    assert not say(line, messages[-1])
    assert line.verdict(0, {}) is None
    assert b"breaks the rules" in line.complaint


def test_a_line_cannot_fill_memory(line: GvisorRun) -> None:
    assert say(line, b"S", b"Z")
    heard = 0
    while say(line, b"D" + b"x" * 60000):
        heard += 60000
        assert heard < 10_000_000
    assert line.verdict(0, {}) is None


def test_a_piece_of_impossible_length_ends_the_run(line: GvisorRun) -> None:
    os.write(line.more[TELLS], b"\xff\xff\xff\xff")
    assert not line.hear()
    assert line.verdict(0, {}) is None

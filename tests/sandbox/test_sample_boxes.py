"""A sample's box: what an agent in it may do, what is recorded, and that nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clearhold.adapters.sample_box import Asked, Box, BoxEndedError, Boxes, Done, Served
from clearhold.adapters.sample_box.leaks import leaks
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Limits, Tier
from clearhold.wire.ip_packet import read

SMALL = Limits(wall_s=30, cpu_s=30, memory_mb=96, processes=32, scratch_mb=8)
ECHO = b"""
import socket
s = socket.create_server(("127.0.0.1", 8000))
secret = open("/service/secret").read()
print("ready", flush=True)
while True:
    c, _ = s.accept()
    print("met", flush=True)
    c.sendall(b"hello")
    c.close()
"""


@pytest.fixture(scope="module")
def measured() -> Iterator[BubblewrapSandbox]:
    with contextlib.closing(BubblewrapSandbox(slots=1)) as made:
        if made.tier() is Tier.NONE:
            pytest.skip(f"this machine gives no sandbox: {made.report()}")
        yield made


@pytest.fixture(scope="module")
def boxes(measured: BubblewrapSandbox) -> Iterator[Boxes]:
    with Boxes(most=3, measured=measured) as made:
        yield made


@pytest.fixture
def box(boxes: Boxes) -> Iterator[Box]:
    with boxes.opened(
        Asked(files={"in/a.txt": b"hi"}, limits=SMALL), least=Tier.NAMESPACES
    ) as made:
        yield made


def shell(box: Box, line: str, *, within_s: float = 10, most: int = 4096) -> Done:
    return box.run(("bash", "-c", line), within_s=within_s, output_bytes=most)


def test_nothing_gets_out_and_all_that_is_sent_is_recorded(boxes: Boxes) -> None:
    seen = list(leaks(boxes))
    assert len(seen) >= 33
    assert [each for each in seen if not each.held] == []
    flood = next(each for each in seen if each.name == "a flood of UDP")
    assert flood.attempts == 3000
    assert sum(each.attempts > 0 for each in seen) >= 15


def test_without_a_device_packets_are_counted() -> None:
    chosen = frozenset({"TCP to a public address", "UDP to this machine", "TCP over IPv6"})
    with Boxes(most=2, device=False, use_cgroup=False) as counting:
        if counting.tier() is Tier.NONE:
            pytest.skip("this machine gives no sandbox")
        seen = list(leaks(counting, only=chosen))
    assert {each.name for each in seen if each.held and each.attempts > 0} == chosen


def test_a_packet_is_recorded_with_whereto_and_what_was_asked(boxes: Boxes) -> None:
    box = boxes.open(Asked(limits=SMALL), least=Tier.NAMESPACES)
    shell(box, "timeout 0.2 bash -c 'exec 3<>/dev/tcp/192.0.2.7/443'; getent hosts out.example.org")
    left = box.close()
    assert left is not None
    if left.watched_by != "tun":
        pytest.skip("this machine gives no TUN device")
    seen = [read(head) for _, _, head in left.packets]
    assert ("tcp", "192.0.2.7", 443) in {(each.protocol, each.address, each.port) for each in seen}
    assert "out.example.org" in {each.asked for each in seen}
    assert left.attempts == len(seen)
    assert left.left == 0


def test_a_sample_that_looks_up_its_own_name_sends_nothing(boxes: Boxes) -> None:
    """As Python does before it opens a file: address."""
    box = boxes.open(Asked(limits=SMALL), least=Tier.NAMESPACES)
    looked = shell(box, 'python3 -c "import socket as s; print(s.gethostbyname(s.gethostname()))"')
    assert looked.stdout == b"127.0.0.1\n"
    left = box.close()
    assert left is not None
    assert left.attempts == 0


def test_a_service_is_reached_and_not_seen(boxes: Boxes) -> None:
    served = Served({"s.py": ECHO, "secret": b"flag-in-there"}, ("python3", "/service/s.py"))
    box = boxes.open(Asked(service=served, limits=SMALL), least=Tier.NAMESPACES)
    assert shell(box, "exec 3<>/dev/tcp/127.0.0.1/8000; cat <&3").stdout == b"hello"
    looked = shell(
        box,
        "ls /service; cat /proc/*/environ /proc/*/cmdline /proc/*/maps; ps ax; "
        "grep -sal flag-in /proc/[0-9]*/* /work/* /tmp/* /etc/*",
        most=65536,
    )
    assert b"s.py" not in looked.stdout
    assert b"flag-in-there" not in looked.stdout
    left = box.close()
    assert left is not None
    assert left.log == b"ready\nmet\n"
    assert not left.log_cut
    assert left.attempts == 0


def test_a_log_that_was_flooded_says_that_it_is_not_whole(boxes: Boxes) -> None:
    loud = ECHO.replace(b'"met"', b'"met" * 200_000')
    served = Served({"s.py": loud, "secret": b""}, ("python3", "/service/s.py"))
    box = boxes.open(Asked(service=served, limits=SMALL), least=Tier.NAMESPACES)
    assert shell(box, "exec 3<>/dev/tcp/127.0.0.1/8000; cat <&3").stdout == b"hello"
    left = box.close()
    assert left is not None
    assert (len(left.log), left.log_cut) == (256 << 10, True)


def test_no_signal_ends_a_box_and_every_command_can_be_ended(box: Box) -> None:
    shell(box, "for n in $(seq 1 64); do kill -$n 1; done 2>&-")
    ignored = shell(box, "grep SigIgn /proc/self/status").stdout.split()[1]
    assert int(ignored, 16) == 0


def test_a_service_that_does_not_come_up_is_told_of(boxes: Boxes) -> None:
    served = Served({"s.py": b"raise SystemExit('no port')"}, ("python3", "/service/s.py"))
    with pytest.raises(UnavailableError, match="no port"):
        boxes.open(Asked(service=served, limits=SMALL), least=Tier.NAMESPACES)


def test_commands_end_at_their_time_and_output_at_its_limit(box: Box) -> None:
    assert shell(box, "sleep 60", within_s=0.3).ended_by == "wall"
    flooded = shell(box, "yes; echo", most=1000)
    assert (len(flooded.stdout), flooded.clipped, flooded.ended_by) == (1000, True, "output")
    assert shell(box, "echo kept >/work/x; exit 3").exit_code == 3
    assert shell(box, "cat /work/x").stdout == b"kept\n"
    left_running = shell(box, "sleep 60 & echo started")
    assert left_running.stdout == b"started\n"
    assert box.run(("no-such-program",), within_s=5, output_bytes=99).exit_code == 127
    assert (
        box.run(("cat",), given=b"x" * 70000, within_s=5, output_bytes=1 << 20).stdout
        == b"x" * 70000
    )


def test_files_are_laid_and_read_without_following_links(box: Box) -> None:
    assert box.read("/work/in/a.txt", most=2) == b"hi"
    shell(
        box,
        "ln -s /etc/passwd l; mkfifo f; ln -s /etc d; ln -s /proc/1/environ e; head -c 99 /dev/zero >big",
    )
    for name in ("l", "f", "d/passwd", "e", "in", "big", "../etc/passwd"):
        with pytest.raises(InvalidError):
            box.read(f"/work/{name}", most=50)
    with pytest.raises(FileNotFoundError):
        box.read("/work/none", most=50)
    box.write("/work/l", b"ours", mode=0o755)
    assert box.read("/work/l", most=50) == b"ours"
    assert b"agent:x" in shell(box, "cat /etc/passwd").stdout
    with pytest.raises(InvalidError):
        box.write("/work/d/passwd", b"ours")


@pytest.mark.parametrize(
    "attack",
    [
        "kill -9 1; kill -9 -1",
        "cat /proc/1/mem; ls /proc/1/fd; python3 -c \"open('/proc/1/mem','wb').write(b'x')\"",
        "python3 -c 'x=bytearray(300<<20); print(len(x))'",
        "f(){ f | f & }; f; sleep 0.5",
        "head -c 100M /dev/zero >/work/full; head -c 100M /dev/zero >/tmp/full",
        "exec 3<&4; exec 5<&0; cat <&4",
    ],
)
def test_an_agent_that_attacks_its_box_ends_itself_at_most(box: Box, attack: str) -> None:
    try:
        shell(box, attack, within_s=3)
        after = shell(box, "echo alive", within_s=3)
    except BoxEndedError:
        return
    assert after.ended_by == "" if after.stdout == b"alive\n" else after.exit_code != 0


def test_nothing_of_a_box_stays(boxes: Boxes) -> None:
    mark = "31557.25"
    box = boxes.open(Asked(limits=SMALL), least=Tier.NAMESPACES)
    shell(box, f"setsid nohup sleep {mark} >/dev/null 2>&1 & disown; sleep 0.1")
    assert _anywhere(lambda words: mark in words)
    box.close()
    assert not _anywhere(lambda words: mark in words)
    with pytest.raises(BoxEndedError):
        shell(box, "true")


def test_a_box_ends_with_its_harness(boxes: Boxes) -> None:
    mark = "31558.25"
    child = os.fork()
    if child == 0:
        box = boxes.open(Asked(limits=SMALL), least=Tier.NAMESPACES)
        shell(box, f"setsid sleep {mark} >/dev/null 2>&1 & sleep 0.1")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    for _ in range(100):
        if not _anywhere(lambda words: mark in words):
            return
        time.sleep(0.05)
    pytest.fail("a command outlived the harness")


def test_boxes_outlive_what_started_them_and_further_ones_open(
    measured: BubblewrapSandbox,
) -> None:
    asked, others = Asked(limits=SMALL), _nurseries()
    with (
        Boxes(most=2, measured=measured) as boxes,
        boxes.opened(asked, least=Tier.NAMESPACES) as before,
    ):
        (nursery,) = _nurseries() - others
        os.kill(nursery, 9)
        assert shell(before, "echo here").stdout == b"here\n"
        with boxes.opened(asked, least=Tier.NAMESPACES) as after:
            assert shell(after, "echo there").stdout == b"there\n"
        assert before.close() is not None
        assert len(_nurseries() - others) == 1
    assert not _nurseries() - others


def test_a_box_has_none_of_its_neighbours_ends(measured: BubblewrapSandbox) -> None:
    asked, others = Asked(limits=SMALL), _nurseries()
    with (
        Boxes(most=2, measured=measured) as boxes,
        boxes.opened(asked, least=Tier.NAMESPACES),
        boxes.opened(asked, least=Tier.NAMESPACES),
    ):
        (nursery,) = _nurseries() - others
        first, second = (Path("/proc", each) for each in _below(nursery))
        assert {*_sockets(first)}.isdisjoint(_sockets(second))


def _nurseries() -> set[int]:
    """Children of this process that keepers are forked from."""
    words = {each: Path("/proc", each, "cmdline").read_bytes() for each in _below(os.getpid())}
    return {int(each) for each, line in words.items() if b"/nursery.py\0" in line}


def _below(process: int) -> list[str]:
    tasks = Path("/proc", str(process), "task").glob("*/children")
    return [child for each in tasks for child in each.read_text().split()]


def _sockets(process: Path) -> list[str]:
    names = [str(each.readlink()) for each in (process / "fd").iterdir()]
    return [each for each in names if each.startswith("socket:")]


def _anywhere(test: Callable[[list[str]], bool]) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if test(words):
            return True
    return False

"""The processes that stay end cleanly when they are told to, and at once."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
PATIENCE_S = 60
# A worker with work that does not end by itself, begun before the signal comes.
BUSY = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from clearhold.assembly.hub import open_hub
from clearhold.delivery.cli import serving
from clearhold.ports.engine import Task

def endless(ids):
    Path(sys.argv[1]).touch()
    time.sleep(3600)

@contextmanager
def opened(settings, *, work):
    with open_hub(settings, work=work) as hub:
        hub.engine.register("endless", endless)
        with hub.sessions.transaction() as unit:
            unit.enqueue(Task("endless", "endless", {}))
        yield hub

serving.open_hub = opened
serving.worker()
"""


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, "the process ended before it was told to"
        assert time.monotonic() < deadline, "the process did not come up"
        time.sleep(0.05)


@contextmanager
def running(home: Path, *words: str, port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **{name: each for name, each in os.environ.items() if not name.startswith("CLEARHOLD_")},
        "CLEARHOLD_DATA_DIRECTORY": str(home / "data"),
        "CLEARHOLD_KEY_DIRECTORY": str(home / "keys"),
        "CLEARHOLD_CACHE_DIRECTORY": str(home / "cache"),
        "CLEARHOLD_PORT": str(port),
        "PYTHONPATH": SOURCE,
    }
    with subprocess.Popen(
        [sys.executable, *words], env=environment, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        with httpx.Client(trust_env=False) as client:
            return client.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def whole(home: Path) -> bool:
    with closing(sqlite3.connect(home / "data" / "clearhold.db")) as connection:
        checked: tuple[str] = connection.execute("PRAGMA integrity_check").fetchone()
    return checked == ("ok",)


def test_serving_ends_cleanly_when_told(open_path: Path) -> None:
    port = free_port()
    with running(open_path, "-m", "clearhold", "serve", port=port) as process:
        wait_for(lambda: answers(port), process)
        process.terminate()
        _, complaints = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert complaints == b""
    assert whole(open_path)
    assert not (open_path / "data" / "clearhold.db-wal").exists()


def test_a_worker_told_to_end_while_it_starts_ends_cleanly(open_path: Path) -> None:
    with running(open_path, "-m", "clearhold", "worker") as process:
        wait_for((open_path / "keys" / "ring.json").exists, process)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert complaints == b""
    assert whole(open_path)


def test_work_that_goes_on_is_cut_off_and_taken_up_by_the_next_start(open_path: Path) -> None:
    for begun in (open_path / "begun", open_path / "again"):
        with running(open_path, "-c", BUSY, str(begun)) as process:
            wait_for(begun.exists, process)
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert whole(open_path)

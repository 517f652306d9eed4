"""What the gateway to models adds to a call, beside the same endpoint asked directly.

The endpoint is a scripted one on loopback, the hub `clearhold serve` with its worker, on SQLite with
full synchronisation: each in a process of its own, and neither in the one that measures. Direct calls
and calls through the gateway take turns over kept connections, so that both see the same load.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks.figure import Figure
from clearhold.demo import scripted_endpoint
from clearhold.demo.house import House
from clearhold.demo.model_scene import VARIANT, ModelPlace, Scene
from clearhold.settings import PREFIX

_GOAL_MS: Final = 5.0
_WARM: Final = 20
_IDLE_S: Final = 5.0
_PATIENCE_S: Final = 120.0
_KEY: Final = "sk-of-the-benchmark-alone"


def run(*, full: bool) -> Iterator[Figure]:
    """p50 of what the gateway adds, and what a call takes of the hub's processor time."""
    times = 1000 if full else 300
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)  # the sandbox looks at the cache, though nothing runs in it
        place = ModelPlace(Path(directory) / "story", Path(directory) / "cache")
        place.root.mkdir()
        with _serving(place) as (house, hub), scripted_endpoint.serving(_KEY) as endpoint:
            scene = Scene(place, house)
            engagement = scene.engage(scene.agree()["id"], "scripted")
            access = scene.give(engagement, endpoint, scripted_endpoint.NAME, _KEY)
            scene.verify(engagement)
            scene.cast.close()
            before, began = _spent_s(hub), time.perf_counter()
            direct, through = _measured(
                endpoint, f"{house.address}/gateway/v1", access.token, times
            )
            busy, lasted = _spent_s(hub) - before, time.perf_counter() - began
            before = _spent_s(hub)
            time.sleep(_IDLE_S)
            idle = (_spent_s(hub) - before) / _IDLE_S * lasted
    ours, peer = statistics.median(through) * 1000, statistics.median(direct) * 1000
    yield _figure("added p50", times, (ours - peer, peer), "the same endpoint, asked directly")
    calls = _WARM + times
    spent, anyway = busy / calls * 1000, idle / calls * 1000
    yield _figure(
        "processor time of the hub for a call",
        times,
        (spent - anyway, anyway),
        "what it spends in the same time while nobody calls",
    )


def _figure(what: str, times: int, values: tuple[float, float], beside: str) -> Figure:
    ours, peer = values
    return Figure(
        bench="gateway",
        figure=what,
        input="calls that take turns with direct ones",
        size=times,
        ours=round(ours, 2),
        unit="ms",
        peer=beside,
        peer_value=round(peer, 2),
        ratio=round((ours + peer) / peer, 2) if peer else 0.0,
        goal=_GOAL_MS,
        met=ours <= _GOAL_MS,
    )


@contextmanager
def _serving(place: ModelPlace) -> Iterator[tuple[House, int]]:
    """A hub in a process of its own, and that process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = [sys.executable, "-m", "clearhold", "serve"]
    environment = place.environment | {f"{PREFIX}PORT": str(port)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield House(f"http://127.0.0.1:{port}"), process.pid
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _spent_s(process: int) -> float:
    """Processor time of a process so far, in seconds (proc(5): utime and stime)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measured(
    endpoint: str, gateway: str, token: str, times: int
) -> tuple[list[float], list[float]]:
    """Seconds of direct calls, and of calls through the gateway."""
    taken: tuple[list[float], list[float]] = ([], [])
    roads = ((endpoint, _KEY, scripted_endpoint.NAME), (gateway, token, VARIANT))
    with httpx.Client(trust_env=False) as http:
        for number in range(_WARM + times):
            for road, (address, key, model) in enumerate(roads):
                wish = {
                    "model": model,
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": f"question {number}"}],
                }
                began = time.perf_counter()
                answered = http.post(
                    f"{address}/chat/completions",
                    json=wish,
                    headers={"Authorization": f"Bearer {key}"},
                )
                span = time.perf_counter() - began
                answered.raise_for_status()
                if number >= _WARM:
                    taken[road].append(span)
    return taken

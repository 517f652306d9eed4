"""A small language model on this machine's loopback, served by llama.cpp in a process of its own.

It speaks OpenAI's chat completions with tools, so `model_openai` asks it as it asks any endpoint. The
process knows nothing of the hub: it gets no setting, no secret and no file but the library and the
weights, and it ends when whoever started it does, however that happens.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from clearhold.kernel.errors import UnavailableError

_INSIDE: Final = Path(__file__).with_name("model_local_inside.py")
_PATIENCE_S: Final = 180.0
_GRACE_S: Final = 10.0
_LONGEST_LINE: Final = 4096
_TAIL: Final = 400


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that is served: its base address, what it is called, and the process it runs in."""

    address: str
    name: str
    process: int


@contextmanager
def serving(
    library: Path,
    weights: Path,
    *,
    name: str,
    context: int,
    port: int = 0,
    key: str = "",
    threads: int = 0,
) -> Iterator[LocalModel]:
    """Serve the model in the file `weights` (GGUF) until the block ends.

    `library` is the directory that the package xllamacpp lies in, `context` how many tokens the model
    takes in at once. Without a port a free one is taken; with a key it asks for that one; without a
    number of threads it uses every processor. Raises `UnavailableError` when it does not start.
    """
    wish = {
        "library": str(library),
        "weights": str(weights),
        "name": name,
        "context": context,
        "port": port,
        "key": key,
        "threads": threads or os.cpu_count() or 1,
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_INSIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
            cwd="/",
        )
        try:
            yield LocalModel(_started(process, wish, log), name, process.pid)
        finally:
            _end(process)


def _started(process: subprocess.Popen[bytes], wish: dict[str, object], log: IO[bytes]) -> str:
    """Where it listens, as it says once it does."""
    assert process.stdin is not None  # noqa: S101  # both are pipes of ours
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(wish).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        raise _not_started(log) from error
    line = _first_line(process.stdout)
    try:
        return f"{json.loads(line)['address']}/v1"
    except (ValueError, KeyError, TypeError) as error:
        raise _not_started(log) from error


def _first_line(stream: IO[bytes]) -> bytes:
    """What it says first; less when it ends before, or takes too long."""
    until = time.monotonic() + _PATIENCE_S
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        while not said.endswith(b"\n") and len(said) < _LONGEST_LINE:
            if not ready.select(max(until - time.monotonic(), 0)):
                break
            piece = os.read(stream.fileno(), _LONGEST_LINE)
            if not piece:
                break
            said += piece
    return said


def _not_started(log: IO[bytes]) -> UnavailableError:
    log.seek(0)
    said = log.read().decode("utf-8", "replace").strip()[-_TAIL:]
    return UnavailableError(
        f"The local model did not start. It said: {said or 'nothing'}",
        next_step="Look whether the port is free, and 600 MB of memory.",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it: it does so by itself when its input ends."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # it ended before it read what was written
                continue
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

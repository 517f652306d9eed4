"""A process of the hub's that outlives no hub: a script, run by an isolated interpreter, and a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

READY: Final = b"S"
_START_S: Final = 30.0
_END_S: Final = 2.0


def start(script: Path, *words: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a script and wait until it says `READY`.

    Its arguments are its end of a SOCK_SEQPACKET socket, a pidfd of the hub, and `words`. Raises
    `OSError`, of which `ConnectionError` and `TimeoutError` are kinds, when it does not come up.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Not PR_SET_PDEATHSIG: that follows the thread that forked, and pools end their threads.
    hub = os.pidfd_open(os.getpid())
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-B", str(script)),
                *(str(theirs.fileno()), str(hub), *words),
            ],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), hub),
            start_new_session=True,  # a Ctrl-C in the hub's terminal is the hub's to handle
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(hub)
    try:
        ours.settimeout(_START_S)
        if ours.recv(16) != READY:
            raise ConnectionError
    except OSError:
        ours.close()
        end(process)
        raise
    return process, ours


def end(process: subprocess.Popen[bytes], *, within_s: float = _END_S) -> None:
    """Wait for a process whose socket was closed, and kill it when it does not go."""
    try:
        process.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

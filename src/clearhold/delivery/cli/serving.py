"""`clearhold serve` and `clearhold worker`: the processes that stay, until they are told to end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

import typer
import uvicorn

from clearhold.assembly.hub import open_hub
from clearhold.delivery.cli.output import told
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.wire_protocol import with_places
from clearhold.kernel.errors import UnavailableError
from clearhold.settings import from_environment

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_GRACE_S: Final = 10


@told
def serve() -> None:
    """Serve the web API and run queued work, in one process."""
    settings = from_environment()
    with told_to_end() as ending, open_hub(settings, work=True) as hub:
        if ending.empty():
            _check_free(settings.host, settings.port)
            typer.echo(f"Serving at http://{settings.host}:{settings.port}")
            uvicorn.run(
                make_app(hub),
                host=settings.host,
                port=settings.port,
                http=with_places(settings.connections),
                ws="none",
                loop="uvloop",
                log_level="warning",
                timeout_graceful_shutdown=_GRACE_S,
            )
    _leave()


def _check_free(host: str, port: int) -> None:
    """Raise `UnavailableError` for an address that is taken, before the server says it in its way."""
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise UnavailableError(
            f"Port {port} of {host} cannot be opened ({error.strerror}).",
            next_step="End what uses it, or name another one in CLEARHOLD_PORT.",
        ) from error


@told
def worker() -> None:
    """Run queued work without the web API; several need a CLEARHOLD_EXECUTOR of their own each."""
    with told_to_end() as ending, open_hub(from_environment(), work=True):
        ending.get()
    _leave()


@contextmanager
def told_to_end() -> Iterator[SimpleQueue[int]]:
    """A queue that gets the signals by which the process is told to end, instead of dying of them.

    The web server takes the signals over while it runs and raises them again when it has ended;
    without this the process would die then, with the hub still open.
    """
    ending: SimpleQueue[int] = SimpleQueue()  # unlike an event's, its lock is safe in a handler

    def note(number: int, _frame: FrameType | None) -> None:
        ending.put(number)

    before = {each: signal.signal(each, note) for each in _SIGNALS}
    try:
        yield ending
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave() -> None:
    """End now, although work that outlasted the engine's grace may still hold threads.

    The interpreter would wait for them, which can take as long as a fuzzer runs. The work is cut
    off as by a crash: the next start takes it up again, and what it ran in a sandbox ends with us.
    """
    if threading.active_count() > 1:  # a pool's threads are waited for even when they are daemons
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

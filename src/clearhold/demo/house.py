"""The demo's own hub: the real one, served on a loopback port of this process."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import uvicorn

from clearhold.adapters.sandbox_bwrap import check_enterable, enterable
from clearhold.assembly.hub import open_hub
from clearhold.delivery.cli.main import app
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.wire_protocol import BoundedHttp
from clearhold.kernel.errors import ConflictError, UnavailableError
from clearhold.ports.sandbox import Tier
from clearhold.settings import PREFIX, Settings

_FREE_MB: Final = 800
_CACHE_FREE_MB: Final = 700
_OWN: Final = frozenset(
    {
        "agents",
        "began",
        "documents",
        "environments",
        "finished",
        "hub",
        "inventories",
        "keys",
        "port",
    }
    | {"root.json", "story", "tampered", "tokens", "wheels"}
)
"""What the demo makes in its directory, and all that it ever removes there."""
ELSEWHERE = Path("/var/cache/clearhold-demo")


def usual_place() -> Path:
    """Where a demo keeps what it fetches: here, where the sandbox's own user may enter."""
    return Path.cwd() if enterable(Path.cwd()) else ELSEWHERE


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo keeps things: one directory per story, and a cache that outlives it."""

    root: Path
    cache: Path

    @property
    def settings(self) -> Settings:
        """The hub's settings."""
        return Settings(
            data_directory=self.root / "hub",
            key_directory=self.root / "keys",
            cache_directory=self.cache,
            executor="demo",
            least_tier_code=Tier.NAMESPACES,  # the fixes of the story are the demo's own
            log_interval=3,  # a story lasts minutes, and its last act waits for an instant
            log_quantum=64,
            affected_builds=0,  # minutes of building that no act waits for
            backport_versions=0,  # the same
            scan_answers=100,
            scan_told=100,  # whoever tells the story again asks again about what is leased
        )

    @property
    def environment(self) -> dict[str, str]:
        """The same settings for a command run as a process of its own."""
        settings = self.settings
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
            f"{PREFIX}DATA_DIRECTORY": str(settings.data_directory),
            f"{PREFIX}KEY_DIRECTORY": str(settings.key_directory),
            f"{PREFIX}CACHE_DIRECTORY": str(settings.cache_directory),
            f"{PREFIX}EXECUTOR": settings.executor,
            f"{PREFIX}LEAST_TIER_CODE": Tier.NAMESPACES_CGROUP.name.lower(),
            f"{PREFIX}AFFECTED_BUILDS": str(settings.affected_builds),
            f"{PREFIX}BACKPORT_VERSIONS": str(settings.backport_versions),
        }

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Tell one story in this directory at a time; `ConflictError` while another is told."""
        self.root.mkdir(parents=True, exist_ok=True)
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise ConflictError(
                "Another demo is running in this directory.",
                next_step="Wait until it ends, or name another one with --directory.",
            ) from error
        finally:
            os.close(directory)

    def begin(self) -> bool:
        """Prepare the directory; True when an unfinished story is continued.

        A story that came to its end is cleared away for a new one.
        Raises `ConflictError` for a directory that holds something else, and `UnavailableError`
        when the disk is too full, or the sandbox cannot read there.
        """
        for directory in (self.root, self.cache):
            check_enterable(directory)
        if not (self.root / "began").exists() and any(self.root.iterdir()):
            raise ConflictError(
                f"{self.root} holds something else than a demo.",
                next_step="Name an empty or a new directory with --directory.",
            )
        if (self.root / "finished").exists():
            for each in self.root.iterdir():  # the directory itself carries the lock
                if each.name in _OWN:
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
        continued = (self.root / "began").exists()
        self.cache.mkdir(parents=True, exist_ok=True)
        for directory, needed in ((self.root, _FREE_MB), (self.cache, _CACHE_FREE_MB)):
            free = shutil.disk_usage(directory).free // (1 << 20)
            if free < needed:
                raise UnavailableError(
                    f"The disk of {directory} has {free} MB free and the demo needs {needed} MB.",
                    next_step="Free some space and run the demo again.",
                )
        (self.root / "began").touch()
        return continued

    def finish(self) -> None:
        """Note that the story came to its end."""
        (self.root / "finished").touch()


def command(place: Place, *words: str) -> Any:
    """Run `clearhold WORDS --json` as a person would, in this process; returns what it printed.

    Raises `CommandFailedError` with its output when it fails.
    """
    said, complained = io.StringIO(), io.StringIO()
    with (
        _surroundings(place.environment),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        code = app([*words, "--json"], standalone_mode=False)
    if code:
        raise CommandFailedError(words, said.getvalue() + complained.getvalue())
    return json.loads(said.getvalue())


def command_apart(place: Place, *words: str, **environment: str) -> Any:
    """Run `clearhold WORDS --json` in a process of its own; raises what `command` raises."""
    done = subprocess.run(
        [sys.executable, "-m", "clearhold", *words, "--json"],
        env=place.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailedError(words, done.stdout + done.stderr)
    return json.loads(done.stdout)


def found_hub(place: Place, handle: str, name: str, person: str) -> str:
    """Found the hub by `clearhold admin found`, in a process of its own; returns the token.

    The workflow engine is one in a process, and this process runs the hub itself.
    """
    done = command_apart(place, "admin", "found", handle, name, "--person", person)
    return str(done["token"])


@contextlib.contextmanager
def _surroundings(environment: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class CommandFailedError(UnavailableError):
    """A command of the product did not do what the story needs."""

    def __init__(self, words: tuple[str, ...], output: str) -> None:
        super().__init__(
            f"`clearhold {' '.join(words[:2])}` failed: {output.strip()[-600:]}",
            next_step="Read its output above.",
        )
        self.output = output


@dataclass(frozen=True, slots=True)
class House:
    """A running hub and where it listens."""

    address: str

    def connect(self, token: str = "") -> HubClient:
        """A connection for the holder of a token."""
        return HubClient(self.address, token)


@contextlib.contextmanager
def serving(place: Place) -> Iterator[House]:
    """Run the hub, its worker and its web server until the block ends."""
    # Named as TCP's, or asyncio would not see that it is, and answers would wait 40 ms for an
    # acknowledgement between their head and their body.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = _bind(listener, place.root / "port")
        settings = replace(place.settings, port=port)
        with open_hub(settings, work=True) as hub:
            known = uvicorn.Config(make_app(hub), http=BoundedHttp, ws="none", log_level="error")
            server = uvicorn.Server(known)
            thread = threading.Thread(
                target=server.run, kwargs={"sockets": [listener]}, name="hub", daemon=True
            )
            thread.start()
            while not server.started:
                if not thread.is_alive():
                    raise UnavailableError(
                        "The hub's web server did not start.", next_step="Run the demo again."
                    )
                time.sleep(0.02)
            _check_loopback(port)
            try:
                yield House(f"http://127.0.0.1:{port}")
            finally:
                server.should_exit = True
                thread.join(timeout=10)


def _check_loopback(port: int) -> None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError as error:
        raise UnavailableError(
            f"This machine cannot reach itself over its loopback network ({error.strerror}).",
            next_step="Bring the interface up (ip link set lo up) and run the demo again.",
        ) from error


def _bind(listener: socket.socket, noted: Path) -> int:
    """Bind to the port of the story, which its operators' agents know; a new story takes a free one.

    Raises `UnavailableError` when another program has taken the port meanwhile.
    """
    port = int(noted.read_text()) if noted.exists() else 0
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise UnavailableError(
            f"Port {port}, which this story's agents know, is taken by another program.",
            next_step=f"End that program, or remove {noted.parent} to begin a new story.",
        ) from error
    port = int(listener.getsockname()[1])
    noted.write_text(str(port))
    return port

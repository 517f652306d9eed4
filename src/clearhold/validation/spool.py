"""A directory through which a hub and its validation workers exchange sealed files, and no more.

    jobs/ID      waits for a worker
    taken/ID     is being worked on; its time is renewed while the worker lives
    answers/ID   waits for the hub

Every step is one rename within the directory, so a process that is killed at any moment leaves each
job in exactly one place: a worker's job goes back to the queue when its time is no longer renewed,
and a hub that comes back asks again. The directory may be a disk of this machine, given to another
user, or a network file system. Nothing in it can be read by whoever carries it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clearhold.kernel.errors import (
    ClearholdError,
    InvalidError,
    UnavailableError,
    machine_error,
)
from clearhold.validation.jobs import LARGEST, DeclinedError

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LEFT: Final = re.compile(r"[0-9a-f]{32}|\.[0-9a-f]{32}-[0-9a-f]{8}")  # finished or half written
_PLACES: Final = ("jobs", "taken", "answers")
_LARGEST_FILE: Final = 2 * LARGEST
_FORGOTTEN_S: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds.

    `look` is the pause between two looks, `renew` between two signs of a worker's life, `lost`
    the silence after which its job is given to another; `patience` is how long a job may wait for
    a worker; `tries` is how many workers it may outlive.
    """

    look: float = 0.2
    renew: float = 5.0
    lost: float = 60.0
    patience: float = 600.0
    tries: int = 3


class Spool:
    """One such directory. Raises `UnavailableError` when it is not there or cannot be written."""

    def __init__(self, directory: Path, pace: Pace | None = None) -> None:
        self._directory = directory
        self._pace = pace or Pace()
        self._declined: set[str] = set()

    def prepare(self) -> None:
        """Make the places within, and forget what nobody asked for within a day.

        The directory itself must be there: its group is who may exchange jobs, so a hub and its
        workers can be different users.
        """
        with _disk():
            for name in _PLACES:
                place = self._directory / name
                with contextlib.suppress(FileExistsError):
                    place.mkdir()
                    os.chown(place, -1, self._directory.stat().st_gid)
                    place.chmod(0o2770)
            for name in _PLACES:
                for left in self._files(name, _LEFT):
                    with contextlib.suppress(FileNotFoundError):  # the other side did
                        if self._age(left) > _FORGOTTEN_S:
                            left.unlink()

    # The hub's side ----------------------------------------------------------------------------

    def ask(self, sealed: bytes) -> bytes:
        """Queue a job and wait for its answer.

        Raises `UnavailableError` when no worker takes it in time, or workers die of it.
        """
        identity = secrets.token_hex(16)
        self.prepare()
        with _disk():
            self._write("jobs", identity, sealed)
            try:
                return self._await(identity)
            finally:
                for name in _PLACES:
                    (self._directory / name / identity).unlink(missing_ok=True)

    def _await(self, identity: str) -> bytes:
        job, taken, answer = (self._directory / name / identity for name in _PLACES)
        idle_since = time.monotonic()
        died = 0
        while True:
            with contextlib.suppress(FileNotFoundError):
                return _read(answer)
            age = None
            with contextlib.suppress(FileNotFoundError):
                age = self._age(taken)
            if age is not None and age <= self._pace.lost:
                idle_since = time.monotonic()
            elif age is not None:
                died += 1
                if died >= self._pace.tries:
                    raise UnavailableError(
                        f"{died} validation workers died of this job.",
                        next_step="Look at the workers' machines before asking again.",
                    )
                with contextlib.suppress(FileNotFoundError):
                    taken.rename(job)
            elif time.monotonic() - idle_since > self._pace.patience:
                # It waits for a worker, or one of them could not read it and dropped it.
                raise UnavailableError(
                    "No validation worker takes jobs of this hub.",
                    next_step="Start and enrol one: see the page on validation workers.",
                )
            time.sleep(self._pace.look)

    # A worker's side ---------------------------------------------------------------------------

    def serve(self, work: Callable[[bytes], bytes], *, stop: threading.Event, once: bool) -> int:
        """Take jobs and answer them until `stop` is set; with `once`, until none waits.

        `work` turns a sealed job into its sealed answer; a job that it refuses is dropped, since
        whatever a machine lacks is an answer, and one that it declines is left to the others.
        Returns how many were answered.
        """
        done = 0
        self.prepare()
        while not stop.is_set():
            identity = self._take()
            if identity is None:
                if once:
                    return done
                stop.wait(self._pace.look)
                continue
            done += self._carry_out(identity, work)
        return done

    def _take(self) -> str | None:
        with _disk():
            waiting = self._files("jobs")
            self._declined &= {job.name for job in waiting}
            for job in waiting:
                if job.name in self._declined:
                    continue
                # Its time first: taken with an old one, it would look like a dead worker's.
                with contextlib.suppress(FileNotFoundError):
                    os.utime(job, follow_symlinks=False)
                    job.rename(self._directory / "taken" / job.name)
                    return job.name
        return None

    def _carry_out(self, identity: str, work: Callable[[bytes], bytes]) -> bool:
        taken = self._directory / "taken" / identity
        with self._renewed(taken), _disk():
            try:
                answer = work(_read(taken))
            except FileNotFoundError:
                return False  # the hub gave it up
            except DeclinedError:
                self._declined.add(identity)
                with contextlib.suppress(FileNotFoundError):
                    taken.rename(self._directory / "jobs" / identity)
                return False
            except ClearholdError:
                taken.unlink(missing_ok=True)
                return False
            if taken.exists():  # else the hub waits no more
                self._write("answers", identity, answer)
                taken.unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def _renewed(self, taken: Path) -> Iterator[None]:
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self._pace.renew):
                with contextlib.suppress(OSError):
                    os.utime(taken, follow_symlinks=False)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    # Files -------------------------------------------------------------------------------------

    def _files(self, name: str, names: re.Pattern[str] = _ID) -> list[Path]:
        """The files in a place, the oldest first."""
        found = []
        for entry in os.scandir(self._directory / name):
            with contextlib.suppress(FileNotFoundError):
                if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry)))
        return [path for _, path in sorted(found)]

    def _age(self, file: Path) -> float:
        """Seconds since a file's time, by the clock of the file system that keeps both."""
        written = file.stat(follow_symlinks=False).st_mtime
        clock = self._directory / f".clock-{secrets.token_hex(8)}"
        clock.touch()
        try:
            return clock.stat().st_mtime - written
        finally:
            clock.unlink(missing_ok=True)

    def _write(self, name: str, identity: str, content: bytes) -> None:
        fresh = self._directory / name / f".{identity}-{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, 0o660), "wb") as file:
            os.fchmod(file.fileno(), 0o660)  # whatever the umask: the other side renews and removes
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._directory / name / identity)


def _read(path: Path) -> bytes:
    """A regular file of acceptable size; nothing is followed or waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise InvalidError("A file in the spool is too large.", next_step="Remove it.")
    return content


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as problem:
        raise UnavailableError(
            f"The spool of validation jobs is not there ({problem.filename}).",
            next_step="Mount it, or make it: see the page on validation workers.",
        ) from problem
    except OSError as problem:
        raise machine_error(problem) from problem

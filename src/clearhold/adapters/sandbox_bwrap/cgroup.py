"""Control groups, version 1 or 2, for one run each: memory, processes and one processor.

Version 1 and 2 are those of the kernel's admin-guide (cgroup-v1/memory.rst, cgroup-v2.rst). Without
a writable hierarchy there is none, and the sandbox measures a lower tier.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Limits

_OWN = re.compile(r"clearhold-(\d+)-")
_STALE_S = 60.0
_PERIOD_US = 100_000  # a quota of one period in each period is one processor
_VERSION_1 = ("memory", "pids", "cpu")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made: one parent directory per controller, or one for all in version 2."""

    version: int
    parents: Mapping[str, Path]

    def group(self, name: str) -> Group:
        """Make a group for one run; raises `UnavailableError` when the machine does not let it."""
        group = Group(
            name, self.version, {each: home / name for each, home in self.parents.items()}
        )
        try:
            with _refused():
                group.make()
        except UnavailableError:
            group.remove()
            raise
        return group

    def sweep(self) -> None:
        """Remove the groups of hubs that were killed."""
        for home in self.parents.values():
            for left in home.glob("clearhold-*"):
                own = _OWN.match(left.name)
                if own is None or Path("/proc", own.group(1)).exists():
                    continue
                # A hub in another PID namespace is invisible here: spare what may just begin.
                with contextlib.suppress(OSError):
                    if time.time() - left.stat().st_ctime > _STALE_S:
                        left.rmdir()


class Group:
    """The group of one run. Descriptors are opened by the hub, so that joining needs no right."""

    def __init__(self, name: str, version: int, homes: Mapping[str, Path]) -> None:
        self.name = name
        self._version = version
        self._homes = homes
        self._memory = homes["memory"]
        self.joins: list[int] = []
        self.events = -1

    def make(self) -> None:
        """Create the directories and open what the run needs."""
        for home in self._homes.values():
            home.mkdir()
        for home in self._homes.values():
            self.joins.append(os.open(home / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        counter = "memory.oom_control" if self._version == 1 else "memory.events"
        self.events = os.open(self._memory / counter, os.O_RDONLY | os.O_CLOEXEC)

    def bound(self, limits: Limits) -> None:
        """Write the limits, once; raises `UnavailableError` when the machine does not let it."""
        with _refused():
            self._bound(limits)

    def _bound(self, limits: Limits) -> None:
        memory = str(limits.memory_mb << 20)
        processes = str(limits.processes + 3)  # two of bubblewrap, and the shell that starts
        if self._version == 1:
            _write(self._memory / "memory.limit_in_bytes", memory)
            _write_if_there(self._memory / "memory.memsw.limit_in_bytes", memory)
            _write_if_there(self._memory / "memory.kmem.tcp.limit_in_bytes", memory)
            _write(self._homes["pids"] / "pids.max", processes)
            if "cpu" in self._homes:
                _write_if_there(self._homes["cpu"] / "cpu.cfs_quota_us", str(_PERIOD_US))
        else:
            _write(self._memory / "memory.max", memory)
            _write_if_there(self._memory / "memory.swap.max", "0")
            _write_if_there(self._memory / "memory.oom.group", "1")
            _write(self._memory / "pids.max", processes)
            _write_if_there(self._memory / "cpu.max", f"{_PERIOD_US} {_PERIOD_US}")

    def peak_mb(self) -> float:
        """The most memory the group ever held, in MiB; 0 when the kernel does not tell."""
        name = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        try:
            return int((self._memory / name).read_text()) / (1 << 20)
        except OSError:
            return 0.0  # memory.peak is younger than version 2 itself

    def stands(self) -> bool:
        """Whether nobody has removed it: a hub that does not see this one sweeps what is empty."""
        return all(home.exists() for home in self._homes.values())

    def release(self) -> None:
        """Close what was opened, and leave the group to whoever else has it."""
        for fd in (*self.joins, self.events):
            if fd >= 0:
                os.close(fd)
        self.joins, self.events = [], -1

    def remove(self) -> None:
        """Close and remove everything; the kernel may need a moment after the last process.

        What is still in it was left by a supervisor that was killed, and is killed too.
        """
        self.release()
        for home in self._homes.values():
            for _ in range(100):
                try:
                    home.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    _kill_all(home)
                    time.sleep(0.01)
                else:
                    break


def _kill_all(home: Path) -> None:
    """Kill what is in a group; processes that this namespace does not see are listed as 0."""
    with contextlib.suppress(OSError):
        for pid in map(int, (home / "cgroup.procs").read_text().split()):
            if pid:
                os.kill(pid, signal.SIGKILL)


def find(proc: Path = Path("/proc/self")) -> Hierarchy | None:
    """The hierarchy this process may make groups in, or None. `proc` is its own /proc directory."""
    mounts, unified = _mounts(proc)
    own = _own_groups(proc)
    parents: dict[str, Path] = {}
    for controller in _VERSION_1:
        if controller in mounts:
            home = _writable(mounts[controller], own.get(controller, "/"))
            if home is not None:
                parents[controller] = home
    if {"memory", "pids"} <= parents.keys():
        hierarchy = Hierarchy(1, parents)
    elif unified is not None and (home := _delegated(unified, own.get("", "/"))) is not None:
        hierarchy = Hierarchy(2, {"memory": home})
    else:
        return None
    hierarchy.sweep()
    return hierarchy


def _mounts(proc: Path) -> tuple[dict[str, Path], Path | None]:
    """Mount points of the version 1 controllers, and of version 2 (proc_pid_mountinfo(5))."""
    controllers: dict[str, Path] = {}
    unified: Path | None = None
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        place = Path(before.split()[4].replace("\\040", " "))
        if kind == "cgroup":
            for controller in rest.rpartition(" ")[2].split(","):
                controllers.setdefault(controller, place)
        elif kind == "cgroup2":
            unified = unified or place
    return controllers, unified


def _own_groups(proc: Path) -> dict[str, str]:
    """The path of this process in each hierarchy; version 2 under the empty name (cgroups(7))."""
    groups = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _writable(mount: Path, own: str) -> Path | None:
    """The group of this process, else the top one, where a group can be made."""
    for home in (mount / own.lstrip("/"), mount):
        trial = home / f"clearhold-{os.getpid()}-trial"
        with contextlib.suppress(OSError):
            trial.mkdir()
            trial.rmdir()
            return home
    return None


def _delegated(mount: Path, own: str) -> Path | None:
    """Where a new version 2 group has the memory and process controllers."""
    for home in (mount / own.lstrip("/"), mount):
        # Refused while the group holds processes, unless it is the top one: then try the next.
        for controller in ("memory", "pids", "cpu"):
            with contextlib.suppress(OSError):
                _write(home / "cgroup.subtree_control", f"+{controller}")
        trial = home / f"clearhold-{os.getpid()}-trial"
        with contextlib.suppress(OSError):
            trial.mkdir()
            try:
                if (trial / "memory.max").exists() and (trial / "pids.max").exists():
                    return home
            finally:
                trial.rmdir()
    return None


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Say of what the machine refuses that there is no control group."""
    try:
        yield
    except OSError as problem:
        raise UnavailableError(
            f"No control group could be made for the run: {problem.strerror}.",
            next_step="Run `clearhold doctor` to see what this machine can enforce now.",
        ) from problem


def _write(path: Path, value: str) -> None:
    # Never create: a file that is not there means that the controller is not.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode("ascii"))
    finally:
        os.close(fd)


def _write_if_there(path: Path, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _write(path, value)

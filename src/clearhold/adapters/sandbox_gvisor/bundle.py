"""What runsc is given: an OCI bundle (OCI runtime specification 1.0) inside a bubblewrap sandbox.

The bundle lies in memory that only this run's namespaces show, so nothing of a job touches a disk
and nothing has to be removed after a kill. Its root is read-only; what the program may write to are
file systems of gVisor's own, in its memory.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearhold.adapters.sandbox_bwrap import argv, supervisor
from clearhold.ports.sandbox import Job, Limits

PLACE = "/bundle"
ROOT = f"{PLACE}/rootfs"
CONFIG = f"{PLACE}/config.json"
_RUNSC = "/runsc"
_STATE = "/state"
_PYTHON = "/usr/bin/python3"
_STAGE = Path(__file__).with_name("stage_inside.py")
_TELLS = 4
"""The descriptor through which the stage tells the supervisor; inside gVisor it is the next free."""
# What the stage needs to become the program's user and to kill what that user left.
_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL")
_FLAGS = (
    *("--root", _STATE, "--rootless", "--platform=systrap", "--network=none", "--ignore-cgroups"),
    *("--overlay2=none", "--host-uds=none", "--host-fifo=none"),
)


def outer(*, runsc: str, trees: dict[str, Path]) -> list[str]:
    """The options of the bubblewrap that runsc runs in, but for those that name descriptors.

    It is root of namespaces of its own without any privilege outside them, as runsc demands.
    """
    words = ["--unshare-all", "--uid", "0", "--gid", "0", "--cap-add", "ALL"]
    words += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv"]
    words += [*argv.system(), "--ro-bind", runsc, _RUNSC]
    words += ["--dev", "/dev", "--proc", "/proc"]
    for place in (_STATE, "/tmp", "/work", "/out", PLACE):  # noqa: S108 (this sandbox's own)
        words += ["--size", str(argv.SHARED_MEMORY), "--tmpfs", place]
    words += ["--perms", "0755", "--dir", ROOT, *argv.system(ROOT)]
    for place in ("dev", "proc", "sys", "work", "out", "tmp"):
        words += ["--dir", f"{ROOT}/{place}"]
    return words + argv.bound(trees, ROOT)


def command(name: str) -> list[str]:
    """How the container `name` is run once bubblewrap has set everything up."""
    return [_RUNSC, *_FLAGS, "run", f"--bundle={PLACE}", f"--pass-fd={_TELLS}:3", name]


def config(limits: Limits) -> bytes:
    """The configuration of the container: the stage as its first process, with nothing to write to."""
    capabilities = {each: list(_CAPABILITIES) for each in ("bounding", "effective", "permitted")}
    scratch = [
        _tmpfs(place, limits.scratch_mb << 20)
        for place in ("/work", "/out", "/tmp")  # noqa: S108 (the sandbox's own)
    ]
    return json.dumps(
        {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": 0, "gid": 0},
                # runsc adds a HOME to an environment without one.
                "args": ["/usr/bin/env", "-i", _PYTHON, "-I", "-S", "-B", "-c", stage()],
                "env": [],
                "cwd": "/",
                "noNewPrivileges": True,
                "capabilities": capabilities,
            },
            "root": {"path": "rootfs", "readonly": True},
            "hostname": "sandbox",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                _tmpfs("/sys", 4096, mode="0000"),
                _tmpfs("/dev/shm", argv.SHARED_MEMORY),  # noqa: S108 (the sandbox's own)
                *scratch,
            ],
            "linux": {
                "namespaces": [{"type": each} for each in ("pid", "ipc", "uts", "mount", "network")]
            },
        }
    ).encode()


def stage() -> str:
    """The program that starts a job inside gVisor and collects what it leaves."""
    limits = ("ARTEFACT_FILES", "ARTEFACT_DEPTH", "NAME_BYTES", "PIECE")
    given = "".join(f"{name} = {getattr(supervisor, name)}\n" for name in limits)
    text = _STAGE.read_text(encoding="utf-8")
    mark = "# What follows comes from the supervisor.\n"
    head, _, tail = text.partition(mark)
    return head + given + inspect.getsource(supervisor.Harvest) + tail


def request(job: Job, *, filter_: bytes) -> bytes:
    """What the stage reads: the program, its environment and limits, and the system call filter."""
    limits = argv.rlimits(job.limits)
    # gVisor lets nobody change this one, and has no message queues to fill.
    del limits["RLIMIT_MSGQUEUE"]
    # There is no shell before the program, and the first process has another user.
    limits["RLIMIT_NPROC"] = (job.limits.processes, job.limits.processes)
    wanted: Mapping[str, Any] = {
        "argv": job.argv,
        "env": {**argv.environment(job), "PWD": "/work"},
        "rlimits": limits,
        "artefact_bytes": job.limits.artefacts_mb << 20,
        "filter": filter_.hex(),
    }
    return json.dumps(wanted).encode("ascii")


def _tmpfs(place: str, size: int, *, mode: str = "0755") -> dict[str, Any]:
    options = [f"size={size}", f"mode={mode}", "uid=65534", "gid=65534", "nosuid", "nodev"]
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}

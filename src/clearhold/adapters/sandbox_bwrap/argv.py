"""What a job asks for, checked and turned into the options of bubblewrap (bwrap(1)).

Everything here is decided by the hub and nothing by the program: destinations are plain absolute
paths outside the sandbox's own directories, sources are real directories or files that hold and
are held by nothing forbidden.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from clearhold.adapters.sandbox_bwrap.forked import WORDS
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits

MIB = 1 << 20
MAX_FILES = 512
MAX_FILE_BYTES = 64 * MIB
MAX_ARGUMENT = 128 * 1024  # MAX_ARG_STRLEN, execve(2)
MAX_ARGUMENTS = MIB
MAX_PATH = 1024
OPEN_FILES = 256
STACK = 8 * MIB
SHARED_MEMORY = 16 * MIB
OWN_PLACES = frozenset(
    (
        *("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc"),
        *("proc", "dev", "sys", "run", "out", "work", "tmp"),
    )
)
SYSTEM_PLACES = tuple(Path(each) for each in ("/etc", "/proc", "/sys", "/dev", "/run", "/boot"))
DEBUG_SYMBOLS = Path("/usr/lib/debug")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 (the sandbox's own)
    "LANG": "C.UTF-8",
    "TZ": "UTC",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(job: Job) -> None:
    """Refuse a job that cannot be run as it is; raises `InvalidError` saying what and why."""
    _check_limits(job.limits)
    if not job.argv or not job.argv[0] or job.argv[0].startswith("-"):
        raise InvalidError(
            "A job needs a program to run.", next_step="Give its path as the first word of argv."
        )
    for word in (*job.argv, *job.env.values()):
        _check_text(word)
    for name in job.env:
        if not _NAME.fullmatch(name) or name == WORDS:
            raise InvalidError(
                f"{name!r} cannot be the name of an environment variable.",
                next_step="Use letters, digits and underscores, not beginning with a digit; "
                f"{WORDS} is the sandbox's own.",
            )
    words = sum(len(each) + 1 for each in (*job.argv, *job.env, *job.env.values()))
    if words > MAX_ARGUMENTS:
        raise InvalidError(
            "The arguments and environment of the job are too long together.",
            next_step=f"Keep them below {MAX_ARGUMENTS} characters; pass the rest as a file.",
        )
    if len(job.files) > MAX_FILES or sum(map(len, job.files.values())) > MAX_FILE_BYTES:
        raise InvalidError(
            f"A job takes at most {MAX_FILES} files and {MAX_FILE_BYTES // MIB} MiB of them.",
            next_step="Put many or large inputs in a directory and give that as a tree.",
        )
    _check_destinations(job)


def _check_limits(limits: Limits) -> None:
    whole = (
        *(limits.cpu_s, limits.memory_mb, limits.processes),
        *(limits.scratch_mb, limits.output_kb, limits.artefacts_mb),
    )
    if not (0 < limits.wall_s <= 86400) or any(not 0 < each <= 1 << 20 for each in whole):
        raise InvalidError(
            "Every limit of a job must be above zero and below a million, the wall clock at most a day.",
            next_step="Correct the limits of the job.",
        )


def _check_text(word: str) -> None:
    try:
        encoded = word.encode("utf-8")
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded or len(encoded) >= MAX_ARGUMENT:
        raise InvalidError(
            "An argument or environment value of the job holds a null, is not text or is too long.",
            next_step=f"Pass it as a file; arguments are text below {MAX_ARGUMENT} bytes.",
        )


def _check_destinations(job: Job) -> None:
    places = [*job.trees, *job.files]
    for place in places:
        first = place.split("/")[1] if place.startswith("/") else ""
        plain = place.isprintable() and place.isascii() and len(place) <= MAX_PATH
        if not first or not plain or place != posixpath.normpath(place) or place.startswith("//"):
            raise InvalidError(
                f"{place[:100]!r} cannot be a destination in the sandbox.",
                next_step="Use a plain absolute path such as /in/proof, without '.' and '..'.",
            )
        if first in OWN_PLACES:
            raise InvalidError(
                f"/{first} belongs to the sandbox itself; nothing can be laid there.",
                next_step="Use a path below /in or /src.",
            )
    known = set(places)
    for place in places:
        held = next((each for each in _parents(place) if each in known), None)
        if held is not None or (place in job.trees and place in job.files):
            raise InvalidError(
                f"The destinations {place!r} and {held or place!r} overlap.",
                next_step="Give every tree and file a place of its own.",
            )


def _parents(place: str) -> Iterable[str]:
    while (place := posixpath.dirname(place)) != "/":
        yield place


def source(tree: Path, *, forbidden: Sequence[Path], group: int | None) -> Path:
    """The real path of a tree that may be shown to hostile code.

    `forbidden` are real paths that must not be reached through it; `group` is the numeric group of
    the sandbox's users when they are not the hub's own. Raises `InvalidError` otherwise.
    """
    try:
        real = tree.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as problem:
        raise InvalidError(
            f"The tree {str(tree)!r} cannot be opened.",
            next_step="Give an existing directory or regular file.",
        ) from problem
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise InvalidError(
            f"The tree {str(tree)!r} is neither a directory nor a regular file.",
            next_step="Give an existing directory or regular file.",
        )
    closed = (*forbidden, *SYSTEM_PLACES)
    held = any(each.is_relative_to(real) for each in (*closed, *_home()))
    if held or any(real.is_relative_to(each) for each in closed):
        raise InvalidError(
            f"The tree {str(tree)!r} would show the sandbox what it must never see.",
            next_step="Keep trees apart from data, keys, homes and the system's own directories.",
        )
    if group is not None:
        _check_reachable(real, group)
    return real


def _home() -> tuple[Path, ...]:
    try:
        return (Path.home().resolve(),)
    except RuntimeError:  # a user without a home has none to hide
        return ()


def enterable(directory: Path) -> bool:
    """Whether the sandbox's own user, to which root steps down, can enter a directory."""
    resolved = directory.resolve()
    existing = (place for place in (resolved, *resolved.parents) if place.exists())
    return os.geteuid() != 0 or all(place.stat().st_mode & 0o001 for place in existing)


def check_enterable(directory: Path) -> None:
    """Raise `UnavailableError` when the sandbox's own user cannot enter a directory."""
    if not enterable(directory):
        raise UnavailableError(
            f"The sandbox's own user cannot enter {directory}.",
            next_step="Let everybody enter it and its parents (chmod o+x), or choose another "
            "place, such as below /var/cache.",
        )


def _check_reachable(real: Path, group: int) -> None:
    """Refuse a tree that the sandbox's own user may not enter, with the reason bubblewrap hides."""
    for place in (real, *real.parents):
        facts = place.stat()
        shift = 3 if facts.st_gid == group else 0
        need = 0o4 if place.is_file() else 0o5 if place == real else 0o1
        if facts.st_mode >> shift & need != need:
            raise InvalidError(
                f"The user that hostile code runs as may not enter {str(place)!r}.",
                next_step=f"Let others search it (chmod o+rx), or the group {group} alone, "
                "or keep trees elsewhere, for example below /var/cache.",
            )


def options(job: Job, *, trees: dict[str, Path]) -> list[str]:
    """The options of bubblewrap for a checked job, but for those that `forked` adds."""
    scratch = str(job.limits.scratch_mb * MIB)
    words = ["--unshare-all", "--disable-userns", "--cap-drop", "ALL"]
    words += ["--uid", "65534", "--gid", "65534", "--hostname", "sandbox"]
    words += ["--die-with-parent", "--new-session", "--clearenv"]
    for name, value in environment(job).items():
        words += ["--setenv", name, value]
    words += system()
    # bubblewrap's /dev, and every tmpfs without a size, could be filled until memory ends.
    words += ["--dev", "/dev", "--size", str(SHARED_MEMORY), "--tmpfs", "/dev/shm"]  # noqa: S108
    words += ["--remount-ro", "/dev", "--proc", "/proc"]
    for writable in ("/work", "/out", "/tmp"):  # noqa: S108 (the sandbox's own)
        words += ["--size", scratch, "--tmpfs", writable]
    return words + bound(trees)


def environment(job: Job) -> dict[str, str]:
    """Everything that the program finds in its environment."""
    return {**ENVIRONMENT, **job.env}


@cache
def system(root: str = "") -> tuple[str, ...]:
    """The options that lay the machine's programs and libraries below `root`, read-only."""
    words = ["--ro-bind", "/usr", f"{root}/usr"]
    if DEBUG_SYMBOLS.is_dir():
        # What sanitizers report must not depend on whether a machine has symbols of its libraries;
        # reading them also takes most of the time of a crash.
        hidden = f"{root}{DEBUG_SYMBOLS}"
        words += ["--size", str(MIB), "--tmpfs", hidden, "--remount-ro", hidden]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/", name)
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), f"{root}{place}"]
        elif place.is_dir():
            words += ["--ro-bind", str(place), f"{root}{place}"]
    for name in ("/etc/ld.so.cache", "/etc/alternatives"):
        words += ["--ro-bind-try", name, f"{root}{name}"]
    return tuple(words)


def bound(trees: dict[str, Path], root: str = "") -> list[str]:
    """The options that lay a job's trees below `root`, read-only."""
    return [
        word
        for destination, real in sorted(trees.items())
        for word in ("--ro-bind", str(real), f"{root}{destination}")
    ]


def rlimits(limits: Limits) -> dict[str, tuple[int, int]]:
    """Resource limits by name (getrlimit(2)) as soft and hard bounds.

    There is none on address space: AddressSanitizer reserves terabytes of it.
    """
    size = limits.scratch_mb * MIB
    processes = limits.processes + 2  # the shell before it becomes the program, and init
    cpu = math.ceil(limits.cpu_s)
    return {
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_CPU": (cpu, cpu + 1),
        "RLIMIT_FSIZE": (size, size),
        "RLIMIT_NOFILE": (OPEN_FILES, OPEN_FILES),
        "RLIMIT_NPROC": (processes, processes),
        "RLIMIT_STACK": (STACK, STACK),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (65536, 65536),
    }

"""Finished builds as they lie in a cache that threads and processes share.

A build is a directory with `build.json`, which holds the digest of the files beside it in `out`, and
of the object files in `objects` that builds of the same side with a fix may take. It
appears under its name whole, is used only while its files are what that digest says, and is never
taken away from those who use it.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2  # renameat2(2)
_OCCUPIED: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
_CANNOT_EXCHANGE: Final = frozenset({errno.EINVAL, errno.ENOSYS})


def files(directory: Path) -> dict[str, bytes]:
    """The plain files below a directory, by path relative to it."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def digest(content: Mapping[str, bytes]) -> str:
    """The SHA-256 (hex) over the names and bytes of files."""
    summed = hashlib.sha256()
    for path, data in sorted(content.items()):
        summed.update(f"{path}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return summed.hexdigest()


def kept(place: Path) -> dict[str, Any] | None:
    """What the build at `place` says of itself; None when none is there or it was altered."""
    return _made(place, "out", "digest")


def objects(place: Path) -> Path | None:
    """The directory of the object files of a build; None when it keeps none, or they were altered."""
    return place / "objects" if _made(place, "objects", "objects") else None


def _made(place: Path, below: str, named: str) -> dict[str, Any] | None:
    """What a build says of itself, if its files below it have the digest that it names."""
    try:
        made: dict[str, Any] = json.loads((place / "build.json").read_text(encoding="utf-8"))
        whole = digest(files(place / below)) == made[named]
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return None
    return made if whole else None


def write(
    base: Path, made: Mapping[str, bytes], *, objects: Mapping[str, bytes], wall_s: float
) -> None:
    """Write a build of these files, readable by all, in a directory that is not there yet."""
    for below, content in (("out", made), ("objects", objects)):
        for path, data in content.items():
            file = base / below / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755)
    for directory, _, _ in os.walk(base):
        Path(directory).chmod(0o755)
    told = {
        "digest": digest(made),
        "objects": digest(objects) if objects else "",
        "wall_s": wall_s,
    }
    (base / "build.json").write_text(json.dumps(told), encoding="utf-8")


def put(fresh: Path, place: Path) -> None:
    """Put a finished build in its place at once, and what lies there damaged beside it.

    Runs that began before the damage still show it to a sandbox, so it stays until the next damage.
    """
    try:
        fresh.rename(place)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        _exchange(fresh, place)
        aside = place.with_name(f".damaged-{place.name}")
        shutil.rmtree(aside, ignore_errors=True)
        fresh.rename(aside)


def _exchange(a: Path, b: Path) -> None:
    """Let two paths change places, so that neither is ever missing where the file system can."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b))
    if libc.renameat2(*names, _RENAME_EXCHANGE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _CANNOT_EXCHANGE:
        raise OSError(code, os.strerror(code), str(b))
    between = a.with_name(f"{a.name}-between")
    b.rename(between)
    a.rename(b)
    between.rename(a)

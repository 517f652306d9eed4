"""Unpacks published archives strictly into trees named by the archive's hash.

An archive is hostile input until its hash says it is the pinned one, and even then it may hold
what should not be unpacked: absolute or climbing paths, links out of the tree, devices, or more
than the caps allow. Modes are normalised, so the same archive always gives the same tree.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from clearhold.kernel.errors import InvalidError, TooLargeError, refuse_full_disk

MAXIMUM_MEMBERS = 50_000
MAXIMUM_TREE_BYTES = 1024 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Member:
    """One thing to unpack: a directory, a link to `link`, or a file with `content`."""

    name: str
    directory: bool
    link: str | None
    content: IO[bytes] | None
    executable: bool


def unpack(archive: Path, sha256: str, root: Path, *, strip: bool = True) -> Path:
    """The tree of `archive` (tar or zip) at `root/<sha256>`, unpacked once.

    With `strip`, a single top directory that holds everything is left out. Raises `InvalidError`
    for an archive that is damaged or reaches out of its tree, `TooLargeError` above the caps.
    """
    tree = root / sha256
    if tree.is_dir():
        return tree
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=root) as scratch:
        base = Path(scratch) / "tree"
        base.mkdir(mode=0o755)
        try:
            _unpack_into(archive, base)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            refuse_full_disk(error)
            raise InvalidError(
                f"The archive {sha256[:12]} cannot be unpacked ({type(error).__name__}).",
                next_step="Check that the pinned file is a tar or zip archive.",
            ) from error
        held = sorted(base.iterdir())
        for directory, _, _ in os.walk(base):
            # The sandbox reads as another user, whatever this process's umask is.
            Path(directory).chmod(0o755)
        if strip and len(held) == 1 and held[0].is_dir() and not held[0].is_symlink():
            base = held[0]
        try:
            base.rename(tree)
        except OSError:
            # Another thread unpacked the same bytes first; its tree is as good as this one.
            if not tree.is_dir():
                raise
    return tree


def _unpack_into(archive: Path, base: Path) -> None:
    opened = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    written = 0
    for count, member in enumerate(opened(archive), start=1):
        if count > MAXIMUM_MEMBERS:
            raise TooLargeError(
                f"The archive holds more than {MAXIMUM_MEMBERS} members.",
                next_step="Use a smaller source archive.",
            )
        place = base / _inside(member.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if any(parent.is_symlink() for parent in (place, *place.parents) if parent != base):
            raise _refused(member.name, "it would be written through a link")
        if member.directory:
            place.mkdir(exist_ok=True)
        elif member.link is not None:
            _inside(os.path.normpath(PurePosixPath(member.name).parent / member.link))
            place.symlink_to(member.link)
        elif member.content is not None:
            written = _copy(member, place, written)


def _copy(member: _Member, place: Path, written: int) -> int:
    if member.content is None:
        return written
    with place.open("xb") as out:
        while piece := member.content.read(_CHUNK):
            written += len(piece)
            if written > MAXIMUM_TREE_BYTES:
                raise TooLargeError(
                    f"The archive unpacks to more than {MAXIMUM_TREE_BYTES} bytes.",
                    next_step="Use a smaller source archive.",
                )
            out.write(piece)
    place.chmod(0o755 if member.executable else 0o644)
    return written


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as tar:
        for info in tar:
            if info.isdir():
                yield _Member(info.name, directory=True, link=None, content=None, executable=False)
            elif info.issym():
                yield _Member(
                    info.name, directory=False, link=info.linkname, content=None, executable=False
                )
            elif info.isfile():
                yield _Member(
                    info.name,
                    directory=False,
                    link=None,
                    content=tar.extractfile(info),
                    executable=bool(info.mode & 0o100),
                )
            else:
                raise _refused(info.name, "it is neither a file, a directory nor a symbolic link")


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            if info.is_dir():
                yield _Member(
                    info.filename, directory=True, link=None, content=None, executable=False
                )
                continue
            with bundle.open(info) as content:
                yield _Member(
                    info.filename,
                    directory=False,
                    link=None,
                    content=content,
                    executable=bool(info.external_attr >> 16 & 0o100),
                )


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise _refused(name, "it reaches out of the archive's tree")
    return path


def _refused(name: str, why: str) -> InvalidError:
    return InvalidError(
        f"The archive member {name[:120]!r} is refused: {why}.",
        next_step="Use an archive that holds plain files below one directory.",
    )

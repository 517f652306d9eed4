"""What a wheel would put where (PyPA binary distribution format), read without installing it.

A signed wheel can still be the wrong one, or a wrong-doer's: its name, content and paths are checked
against what the advisory promised before pip sees it.
"""

from __future__ import annotations

import configparser
import functools
import lzma
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from clearhold.agent.environment import (
    Environment,
    inside_environment,
    read_metadata,
)
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl

MAX_ENTRIES: Final = 50_000
MAX_UNPACKED_BYTES: Final = 2 * 1024 * 1024 * 1024
_MAX_METADATA: Final = 4 * 1024 * 1024
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError),
    *(EOFError, OSError, ValueError),
)
_SCRIPT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A checked wheel: `paths` are the files it creates, below the environment.

    `requires` are its requirements (PEP 508).
    """

    filename: str
    name: str
    version: str
    paths: frozenset[PurePosixPath]
    requires: tuple[str, ...]
    requires_python: str


def preference(filename: str, python: str) -> int | None:
    """How well a wheel suits this machine's CPython `python` ("3.11"): 0 is best, None not at all.

    Told from its name (PEP 425 tags); a file that is not named as a wheel suits nothing.
    """
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return None
    return min((rank for tag, rank in _supported(python).items() if tag in tags), default=None)


@functools.cache
def _supported(python: str) -> dict[Tag, int]:
    major, minor = (int(part) for part in python.split("."))
    version = (major, minor)
    ranked = (
        *cpython_tags(python_version=version),
        *compatible_tags(python_version=version, interpreter=f"cp{major}{minor}"),
    )
    return {tag: rank for rank, tag in enumerate(dict.fromkeys(ranked))}


def inspect_wheel(filename: str, data: bytes, *, fixed: Purl, environment: Environment) -> Wheel:
    """Check that `data` is a wheel of exactly `fixed` that stays inside `environment`.

    Raises `InvalidError` otherwise, saying what is wrong.
    """
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise _refused(f"{filename[:120]!r} is not the name of a wheel") from error
    promised = canonicalize_name(fixed.name)
    if name != promised or not _same(fixed.version or "", version):
        raise _refused(f"it is named {filename[:120]!r}, but {fixed} was promised")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_sizes(entries)
            stem = "-".join(filename.split("-", 2)[:2])
            information = _information_directory(entries, stem)
            metadata = _read(archive, f"{information}/METADATA")
            scripts = _read(archive, f"{information}/entry_points.txt", optional=True)
    except _UNREADABLE as error:
        raise _refused("it is not a readable wheel archive") from error
    inner_name, inner_version, raw = read_metadata(metadata)
    if inner_name != name or not _same(inner_version, version):
        raise _refused(f"inside it says {inner_name} {inner_version}")
    layout = _Layout(environment, str(name), stem)
    paths = {layout.place(entry) for entry in entries if not entry.is_dir()}
    paths |= {layout.script(script) for script in _console_scripts(scripts)}
    paths |= {
        layout.site / information / each
        for each in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
    }
    return Wheel(
        filename=filename,
        name=str(name),
        version=str(version),
        paths=frozenset(paths),
        requires=tuple(raw.get("requires_dist", ())),
        requires_python=raw.get("requires_python", ""),
    )


def _same(written: str, version: Version) -> bool:
    try:
        return Version(written) == version
    except InvalidVersion:
        return False


class _Layout:
    """Where pip puts each part of a wheel in a virtual environment on Linux."""

    def __init__(self, environment: Environment, name: str, stem: str) -> None:
        self.site = PurePosixPath(
            environment.site_packages.relative_to(environment.path).as_posix()
        )
        self._data = f"{stem}.data"
        self._schemes = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": PurePosixPath("bin"),
            "data": PurePosixPath(),
            "headers": PurePosixPath(f"include/site/python{environment.python}/{name}"),
        }

    def place(self, entry: zipfile.ZipInfo) -> PurePosixPath:
        name = entry.filename
        parts = name.split("/")
        if any(part in {"", ".", ".."} for part in parts) or not name.isprintable():
            raise _refused(f"it holds the path {name[:120]!r}")
        kind = entry.external_attr >> 16
        if kind and stat.S_IFMT(kind) not in {0, stat.S_IFREG}:
            raise _refused(f"it holds {name[:120]!r}, which is not a plain file")
        base, rest = self.site, name
        if parts[0] == self._data and len(parts) > 2:
            scheme = self._schemes.get(parts[1])
            if scheme is None:
                raise _refused(f"it holds the path {name[:120]!r}")
            base, rest = scheme, "/".join(parts[2:])
        elif parts[0].endswith(".data"):
            raise _refused(f"it holds the path {name[:120]!r}")
        place = inside_environment(base, rest)
        if place is None or str(place) == "pyvenv.cfg":
            raise _refused(f"it would write {name[:120]!r}")
        return place

    @staticmethod
    def script(name: str) -> PurePosixPath:
        if not _SCRIPT.fullmatch(name):
            raise _refused(f"it declares the command {name[:120]!r}")
        return PurePosixPath("bin") / name


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise _refused("it unpacks to more than is accepted")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise _refused("it holds one path twice")


def _information_directory(entries: list[zipfile.ZipInfo], stem: str) -> str:
    found = {
        entry.filename.split("/")[0]
        for entry in entries
        if entry.filename.split("/")[0].endswith(".dist-info")
    }
    if found != {f"{stem}.dist-info"}:
        raise _refused("its metadata directory does not bear its own name")
    return f"{stem}.dist-info"


def _read(archive: zipfile.ZipFile, name: str, *, optional: bool = False) -> bytes:
    try:
        with archive.open(name) as file:
            data = file.read(_MAX_METADATA + 1)
    except KeyError as error:
        if optional:
            return b""
        raise _refused(f"it has no {name[:120]!r}") from error
    if len(data) > _MAX_METADATA:
        raise _refused(f"its {name[:120]!r} is larger than is accepted")
    return data


def _console_scripts(data: bytes) -> tuple[str, ...]:
    parser = configparser.RawConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keep the case of names
    try:
        parser.read_string(data.decode())
    except (UnicodeDecodeError, configparser.Error) as error:
        raise _refused("its list of commands cannot be read") from error
    return tuple(
        name
        for section in ("console_scripts", "gui_scripts")
        if parser.has_section(section)
        for name in parser.options(section)
    )


def _refused(reason: str) -> InvalidError:
    return InvalidError(
        f"The wheel is refused: {reason}.",
        next_step="Nothing was changed. Report this to the hub's coordinator.",
    )

"""What is installed in a Python virtual environment, read without running anything in it.

Sources: `pyvenv.cfg`, the `*.dist-info` directories (PyPA "Recording installed projects", core
metadata) and their RECORD files. All of it is untrusted: what cannot be read is reported with the
reason, never passed over, because a package that is not listed cannot be found affected.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import InvalidName, canonicalize_name

from clearhold.agent.state import read_file
from clearhold.kernel.errors import ClearholdError, InvalidError, NotFoundError, UnavailableError
from clearhold.kernel.purl import Purl

MAX_PACKAGES: Final = 20_000
_MAX_METADATA: Final = 4 * 1024 * 1024
_MAX_RECORD: Final = 32 * 1024 * 1024
_MAX_FILE: Final = 1024 * 1024 * 1024
_PYTHON: Final = re.compile(r"python(3\.[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed package: normalised name, version as written, and its dist-info directory.

    `requires` are its requirements as written (PEP 508).
    """

    name: str
    version: str
    metadata_directory: Path
    requires: tuple[str, ...] = field(default=(), repr=False)

    @property
    def purl(self) -> Purl:
        """The package URL with version."""
        return Purl(type="pypi", name=self.name, version=self.version)


@dataclass(frozen=True, slots=True)
class Unread:
    """Something in the environment that could not be read as a package, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment at `path`; `python` is its version, as "3.11"."""

    path: Path
    python: str
    site_packages: Path
    packages: tuple[Installed, ...]
    unread: tuple[Unread, ...]

    def find(self, name: str) -> tuple[Installed, ...]:
        """Every installed package of that normalised name (more than one is a broken state)."""
        return tuple(package for package in self.packages if package.name == name)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A line of RECORD: the path below the environment; SHA-256 in hexadecimal, None when unstated."""

    path: PurePosixPath
    sha256: str | None


def read_environment(path: Path) -> Environment:
    """Read what is installed in the virtual environment at `path`.

    Raises `NotFoundError` when there is none and `InvalidError` when it is not laid out as one.
    """
    root = path.resolve()
    if read_file(root / "pyvenv.cfg", limit=64 * 1024) is None:
        raise NotFoundError(
            f"There is no Python virtual environment at {path}.",
            next_step="Give the directory that holds pyvenv.cfg.",
        )
    try:
        python, site = _site_packages(root)
        entries = sorted(site.iterdir())
    except OSError as error:
        raise UnavailableError(
            f"The environment cannot be read: {error.strerror or error}.",
            next_step="Run this as a user who may read the environment.",
        ) from error
    packages: list[Installed] = []
    unread: list[Unread] = []
    for number, entry in enumerate(entries):
        if number > MAX_PACKAGES * 4 or len(packages) > MAX_PACKAGES:
            raise InvalidError(
                f"The environment holds more than {MAX_PACKAGES} packages.",
                next_step="Check that this is the environment you mean.",
            )
        if entry.suffix == ".dist-info":
            try:
                packages.append(_installed(entry))
            except ClearholdError as error:
                unread.append(Unread(_shown(entry.name), error.message))
        elif entry.suffix in {".egg-info", ".egg-link", ".egg"}:
            unread.append(Unread(_shown(entry.name), "Installed in a form without wheel metadata."))
    return Environment(root, python, site, tuple(packages), tuple(unread))


def recorded_files(environment: Environment, package: Installed) -> tuple[RecordedFile, ...]:
    """The files a package says it installed, all of them inside the environment.

    Raises `InvalidError` when RECORD is missing, malformed, or names anything outside.
    """
    data = read_file(package.metadata_directory / "RECORD", limit=_MAX_RECORD)
    if data is None:
        raise _bad_record(package, "it has none")
    site = PurePosixPath(environment.site_packages.relative_to(environment.path).as_posix())
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad_record(package, "it is not the comma-separated text it should be") from error
    files = []
    for row in rows:
        if not row:
            continue
        if len(row) != 3:
            raise _bad_record(package, "a line has not three fields")
        inside = inside_environment(site, row[0])
        if inside is None:
            raise _bad_record(package, f"it names {_shown(row[0])!r}, outside the environment")
        files.append(RecordedFile(inside, _record_hash(row[1])))
    return tuple(files)


def damaged_files(environment: Environment, package: Installed) -> tuple[str, ...]:
    """Files of a package that are missing, not plain, or not what its RECORD says."""
    damaged = []
    for file in recorded_files(environment, package):
        try:
            data = read_file(environment.path / file.path, limit=_MAX_FILE)
        except ClearholdError:
            data = None
        stale = data is None or (
            file.sha256 is not None and hashlib.sha256(data).hexdigest() != file.sha256
        )
        if stale:
            damaged.append(str(file.path))
    return tuple(damaged)


def inside_environment(site: PurePosixPath, name: str) -> PurePosixPath | None:
    """`name`, relative to `site`, as a path below the environment; None when it leads outside."""
    if not name or name.startswith("/") or "\0" in name or "\\" in name:
        return None
    parts = list(site.parts)
    for part in PurePosixPath(name).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts) if parts else None


def _site_packages(root: Path) -> tuple[str, Path]:
    found = [
        (match[1], entry / "site-packages")
        for entry in _entries(root / "lib")
        if (match := _PYTHON.fullmatch(entry.name)) and (entry / "site-packages").is_dir()
    ]
    if len(found) != 1 or found[0][1].resolve() != found[0][1]:
        raise InvalidError(
            "The environment has not exactly one lib/python3.N/site-packages of its own.",
            next_step="Give a virtual environment made by venv or virtualenv on Linux.",
        )
    return found[0]


def _entries(directory: Path) -> Iterator[Path]:
    try:
        yield from sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _installed(directory: Path) -> Installed:
    if directory.is_symlink() or not directory.is_dir():
        raise InvalidError("It is not a directory.", next_step="Reinstall the package.")
    data = read_file(directory / "METADATA", limit=_MAX_METADATA)
    if data is None:
        raise InvalidError("It has no METADATA.", next_step="Reinstall the package.")
    name, version, raw = read_metadata(data)
    stem_name, _, stem_version = directory.name.removesuffix(".dist-info").rpartition("-")
    same = canonicalize_name(stem_name) == name and _plain(stem_version) == _plain(version)
    if not same:
        raise InvalidError(
            f"Its METADATA says {_shown(name)} {_shown(version)}, its directory another thing.",
            next_step="Reinstall the package.",
        )
    return Installed(name, version, directory, tuple(raw.get("requires_dist", ())))


def read_metadata(data: bytes) -> tuple[str, str, RawMetadata]:
    """Normalised name, version and the other fields of core metadata; raises `InvalidError`."""
    try:
        raw, _ = parse_email(data)
        name = canonicalize_name(raw["name"], validate=True)
        version = raw["version"]
    except (InvalidName, KeyError, ValueError, LookupError) as error:
        raise InvalidError(
            "Its METADATA has no usable name and version.", next_step="Reinstall the package."
        ) from error
    if len(name) > 200 or not re.fullmatch(r"[0-9A-Za-z!.+_-]{1,100}", version):
        raise InvalidError(
            "Its METADATA has no usable name and version.", next_step="Reinstall the package."
        )
    return name, version, raw


def _plain(version: str) -> str:
    return re.sub(r"[-_.]+", ".", version.lower())


def _record_hash(text: str) -> str | None:
    algorithm, _, encoded = text.partition("=")
    if algorithm != "sha256":
        return None
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()
    except (binascii.Error, ValueError):
        return ""


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:120]


def _bad_record(package: Installed, reason: str) -> InvalidError:
    return InvalidError(
        f"The RECORD of {package.name} cannot be used: {reason}.",
        next_step="Reinstall the package, or upgrade it by hand.",
    )

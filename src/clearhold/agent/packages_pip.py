"""Putting a wheel into a virtual environment with pip, offline, so that it can be taken back.

Before anything changes, the files of the installed package are copied to a backup with a manifest of
hashes; `restore` brings exactly them back, also when the process died half way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from clearhold.agent.environment import Environment, Installed, damaged_files, recorded_files
from clearhold.agent.state import read_file, sync_directory, write_file
from clearhold.agent.wheel import Wheel
from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    UnavailableError,
)

PIP_SECONDS: Final = 300
_MAX_FILE: Final = 1024 * 1024 * 1024


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    mode: int


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was there before: paths below the environment with SHA-256 and mode.

    `created` are the paths an installation may add and a restore removes; `stashes` are names in
    site-packages that were there before although they look like pip's own leftovers.
    """

    files: dict[str, _Saved]
    created: tuple[str, ...]
    stashes: tuple[str, ...]
    site: str


def check_upgrade(environment: Environment, installed: Installed, wheel: Wheel) -> None:
    """Raise `ConflictError` when installing `wheel` would break or overwrite another package."""
    reason = _conflict(environment, installed, wheel)
    if reason:
        raise ConflictError(
            f"{wheel.name} {wheel.version} cannot be installed here: {reason}.",
            next_step="Nothing was changed. Resolve this in the environment, then apply again.",
        )


def back_up(environment: Environment, installed: Installed, wheel: Wheel, place: Path) -> Backup:
    """Copy every file of `installed` below `place`, durable when this returns.

    Raises `InvalidError` when a recorded file is not a plain file inside the environment.
    """
    saved = {}
    recorded = recorded_files(environment, installed)
    for file in recorded:
        source = environment.path / file.path
        if source.resolve() != environment.path.resolve() / file.path:
            raise InvalidError(
                f"{file.path} of {installed.name} is reached through a link.",
                next_step="Nothing was changed. Upgrade this package by hand.",
            )
        data = read_file(source, limit=_MAX_FILE)
        if data is None:
            continue
        saved[str(file.path)] = _Saved(
            hashlib.sha256(data).hexdigest(), stat.S_IMODE(source.stat().st_mode)
        )
        write_file(place / "files" / file.path, data)
    backup = Backup(
        files=saved,
        created=tuple(sorted(str(path) for path in wheel.paths)),
        stashes=tuple(_stashes(environment.site_packages)),
        site=environment.site_packages.relative_to(environment.path).as_posix(),
    )
    write_file(place / "backup.json", msgspec.json.encode(backup))
    return backup


def install(environment: Environment, wheel: Wheel, data: bytes, sha256: str, place: Path) -> None:
    """Let pip put the wheel in place of what is there, offline, from a private copy in `place`.

    The copy is hashed again just before pip reads it. Raises `IntegrityError` when it is not
    `sha256` and `UnavailableError` when pip fails; the caller restores then.
    """
    copy = place / wheel.filename
    write_file(copy, data)
    kept = read_file(copy, limit=_MAX_FILE)
    if kept is None or hashlib.sha256(kept).hexdigest() != sha256:
        raise IntegrityError(
            f"{wheel.filename} is not the file that was verified.",
            next_step="Sync again; if it stays so, report this to the hub's coordinator.",
        )
    argv = [sys.executable, "-I", "-m", "pip", "--isolated", "--python", str(environment.path)]
    argv += ["install", "--no-index", "--no-deps", "--force-reinstall", "--no-compile"]
    argv += ["--no-cache-dir", "--no-input", "--quiet", "--disable-pip-version-check", str(copy)]
    surroundings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        "TMPDIR": str(place),
        "LC_ALL": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            argv,
            env=surroundings,
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"pip did not finish within {PIP_SECONDS} seconds.",
            next_step="The previous version was put back. Check the disk, then apply again.",
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnavailableError(
            f"pip could not install {wheel.filename}: {said[-1][:300] if said else 'no reason'}",
            next_step="The previous version was put back. Mend the cause, then apply again.",
        )


def health(environment: Environment, name: str, version: str) -> str:
    """Why `name` is not soundly installed at `version`; empty when it is."""
    present = environment.find(name)
    if len(present) != 1 or present[0].version != version:
        versions = ", ".join(each.version for each in present) or "nothing"
        return f"{version} should be installed, but {versions} is"
    damaged = damaged_files(environment, present[0])
    return f"installed files are not as recorded: {', '.join(damaged[:3])}" if damaged else ""


def restore(root: Path, place: Path) -> None:
    """Bring the environment at `root` back to the backup in `place`; may be repeated.

    Raises `IntegrityError` when the backup itself does not verify; nothing is touched then.
    """
    backup = _load_backup(place)
    contents = {
        name: _saved_content(place / "files" / name, saved) for name, saved in backup.files.items()
    }
    for name in backup.created:
        if name not in backup.files:
            _remove(root, PurePosixPath(name))
    for name, saved in backup.files.items():
        target = root / name
        if not _holds(target, saved):
            write_file(target, contents[name], mode=saved.mode)
    site = root / backup.site
    for stash in _stashes(site):
        if stash not in backup.stashes:
            shutil.rmtree(site / stash, ignore_errors=True)
    sync_directory(site)


def discard(place: Path) -> None:
    """Remove a backup that is no longer needed."""
    shutil.rmtree(place, ignore_errors=True)


def _load_backup(place: Path) -> Backup:
    data = read_file(place / "backup.json", limit=_MAX_FILE)
    if data is None:
        raise _broken_backup()
    try:
        return msgspec.json.decode(data, type=Backup)
    except msgspec.DecodeError as error:
        raise _broken_backup() from error


def _saved_content(path: Path, saved: _Saved) -> bytes:
    content = read_file(path, limit=_MAX_FILE)
    if content is None or hashlib.sha256(content).hexdigest() != saved.sha256:
        raise _broken_backup()
    return content


def _holds(path: Path, saved: _Saved) -> bool:
    with contextlib.suppress(InvalidError):
        data = read_file(path, limit=_MAX_FILE)
        if data is not None and hashlib.sha256(data).hexdigest() == saved.sha256:
            return stat.S_IMODE(path.stat().st_mode) == saved.mode
    return False


def _remove(root: Path, name: PurePosixPath) -> None:
    """Remove one file, its compiled form, and the directories that became empty by it."""
    path = root / name
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
    if path.suffix == ".py":
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"):
            compiled.unlink(missing_ok=True)
    for parent in (path.parent / "__pycache__", *path.parents):
        if parent == root or parent.name in {"site-packages", "bin"}:
            return
        try:
            parent.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            if parent.name == "__pycache__":
                continue
            return


def _stashes(site: Path) -> Iterable[str]:
    """What pip leaves when it dies: it renames what it is about to remove to names with `~`."""
    return sorted(entry.name for entry in site.iterdir() if entry.name.startswith("~"))


def _conflict(environment: Environment, installed: Installed, wheel: Wheel) -> str:
    if len(environment.find(installed.name)) != 1:
        return f"{installed.name} is installed more than once"
    own = {file.path for file in recorded_files(environment, installed)}
    taken = sorted(path for path in wheel.paths - own if os.path.lexists(environment.path / path))
    if taken:
        return f"it would overwrite {taken[0]}, which is not a file of {installed.name}"
    return _refused_python(environment, wheel) or _broken_requirement(environment, wheel)


def _refused_python(environment: Environment, wheel: Wheel) -> str:
    try:
        wanted = SpecifierSet(wheel.requires_python)
    except InvalidSpecifier:
        return "its requirement on Python cannot be read"
    if wanted.contains(environment.python, prereleases=True):
        return ""
    return f"it needs Python {wanted}, this is {environment.python}"


def _broken_requirement(environment: Environment, wheel: Wheel) -> str:
    """The first requirement that would not hold with `wheel` in place; empty when all do."""
    versions = {package.name: package.version for package in environment.packages}
    versions[wheel.name] = wheel.version
    asked = [(wheel.name, text) for text in wheel.requires]
    for package in environment.packages:
        if package.name != wheel.name:
            asked += [(package.name, text) for text in package.requires]
    for name, text in asked:
        try:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate(
                {"extra": "", "python_version": environment.python}
            )
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            continue
        wanted = canonicalize_name(requirement.name)
        if not applies or wheel.name not in {name, wanted}:
            continue
        version = versions.get(wanted)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            return f"{name} needs {requirement}, and {version or 'nothing'} would be there"
    return ""


def _broken_backup() -> IntegrityError:
    return IntegrityError(
        "The backup of the previous version is missing or was altered.",
        next_step="Nothing more was changed. Reinstall the package by hand, check it, then remove "
        "upgrade.json from the agent's directory.",
    )

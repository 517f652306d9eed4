"""What a Python package needs to run, as pip would have chosen it when it was released."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from clearhold.kernel.errors import ClearholdError, NotFoundError
from clearhold.validation.drafting.draft import text_of
from clearhold.wire.pypi_index import PypiFile

MOST_PACKAGES: Final = 60


@dataclass(slots=True)
class Needed:
    """The packages by name with the file of each, and in words what could not be had."""

    files: dict[str, PypiFile] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def resolve(
    name: str,
    needs: Iterable[str],
    ask: Callable[[str], Sequence[PypiFile]],
    requirements: Callable[[str, PypiFile], Sequence[str]],
    *,
    python: str,
    fits: Callable[[PypiFile], bool],
    before: str = "",
) -> Needed:
    """What a package with the requirements `needs` (PEP 508) asks for, and what that asks for.

    `ask` lists a project's files, `requirements` tells what one of them needs, `fits` whether the
    sandbox's interpreter (`python`, as 3.11) takes a compiled wheel. Of each, the newest release
    that fits and came no later than `before` (RFC 3339) is taken, else the oldest that fits.
    """
    found = Needed()
    waiting = deque(needs)
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    known = {canonicalize_name(name)}
    while waiting:
        stated = waiting.popleft()
        try:
            one = Requirement(stated)
        except InvalidRequirement:
            found.problems.append(f"its dependency {stated[:80]!a} cannot be read")
            continue
        wanted = canonicalize_name(one.name)
        if wanted in known or (one.marker and not one.marker.evaluate(dict(environment))):
            continue
        known.add(wanted)
        if len(found.files) >= MOST_PACKAGES:
            found.problems.append(f"more than {MOST_PACKAGES} packages are needed")
            return found
        try:
            file = _chosen(ask(wanted), one.specifier, python, fits, before)
            found.files[wanted] = file
            waiting += requirements(wanted, file)
        except ClearholdError as error:
            found.problems.append(f"its dependency {stated[:80]}: {error.message}")
    return found


def _chosen(
    files: Sequence[PypiFile],
    wanted: SpecifierSet,
    python: str,
    fits: Callable[[PypiFile], bool],
    before: str,
) -> PypiFile:
    fitting = [each for each in files if wanted.contains(each.version) and _runs(each, python)]
    # As pip does: what is no proper release is taken only where there is nothing else.
    fitting = [each for each in fitting if not Version(each.version).is_prerelease] or fitting
    in_time = [each for each in fitting if each.uploaded <= before] if before else []
    later = not in_time and bool(before)
    versions = sorted({each.version for each in in_time or fitting}, key=Version, reverse=not later)
    for version in versions:
        if best := best_of([each for each in fitting if each.version == version], fits):
            return best
    raise NotFoundError("no release fits.", next_step="Name another release.")


def best_of(files: Sequence[PypiFile], fits: Callable[[PypiFile], bool]) -> PypiFile | None:
    """Of one release's files the pure wheel, else source, else a wheel for the sandbox."""
    pure = [each for each in files if each.pure]
    source = [each for each in files if each.source]
    compiled = [each for each in files if not each.source and not each.pure and fits(each)]
    return next(iter([*pure, *compiled, *source]), None)


def _runs(file: PypiFile, python: str) -> bool:
    try:
        return not file.requires_python or SpecifierSet(file.requires_python).contains(
            f"{python}.9"
        )
    except InvalidSpecifier:
        return True


def requirements_of(tree: Path) -> list[str]:
    """What the unpacked archive of a package says that it needs."""
    for file in (*sorted(tree.glob("*.dist-info/METADATA")), tree / "PKG-INFO"):
        stated = HeaderParser().parsestr(text_of(file)).get_all("Requires-Dist")
        if stated:
            return [" ".join(each.split()) for each in stated]
    for file in sorted(tree.rglob("*.egg-info/requires.txt")):
        return _of_egg(text_of(file))
    return []


def _of_egg(text: str) -> list[str]:
    """The requirements of setuptools' older file, whose sections are extras and markers."""
    told, marker = [], ""
    for line in text.splitlines():
        if section := re.fullmatch(r"\[([^\]:]*)(?::(.*))?\]", line.strip()):
            extra, marker = section[1], section[2] or ""
            if extra:
                marker = "extra == 'none'"
        elif line.strip():
            told.append(f"{line.strip()}; {marker}" if marker else line.strip())
    return told


def top_modules(tree: Path) -> list[str]:
    """The modules and packages at the top of an unpacked wheel."""
    kept = [
        each
        for each in sorted(tree.iterdir())
        if each.suffix == ".py" or (each.is_dir() and each.name.isidentifier())
    ]
    names = [each.stem if each.suffix == ".py" else each.name for each in kept]
    return [name for name in dict.fromkeys(names) if name.isidentifier()]

"""What a Python package index tells of a project's files (PEP 503, PEP 691 and PEP 700)."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

_LISTED: Final = re.compile(r">\s*([A-Za-z0-9][A-Za-z0-9._+!-]*\.(?:tar\.gz|zip|whl))\s*<")


class PypiFile(msgspec.Struct, frozen=True):
    """A published file: its version, whether it is source, its tags, and when it came.

    `tags` are empty for source; `uploaded` is RFC 3339 or empty.
    """

    filename: str
    version: str
    tags: frozenset[str] = frozenset()
    uploaded: str = ""
    requires_python: str = ""

    @property
    def source(self) -> bool:
        """Whether it is a source archive."""
        return not self.tags

    @property
    def pure(self) -> bool:
        """Whether it is a wheel that any Python 3 installs."""
        return any(each.startswith("py3") and each.endswith("-none-any") for each in self.tags)


class _Listed(msgspec.Struct, rename="kebab"):
    filename: str
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: bool | str = False


class _Index(msgspec.Struct):
    files: list[_Listed]


def read(content: bytes) -> list[PypiFile]:
    """The files that a page of an index lists, in its order, without those withdrawn."""
    try:
        listed = msgspec.json.decode(content, type=_Index).files
    except msgspec.DecodeError:
        text = content.decode("utf-8", "replace")
        listed = [_Listed(name) for name in _LISTED.findall(text)]
    found = (_file(each) for each in listed if each.yanked is False)
    return [each for each in found if each is not None]


def version_of(filename: str) -> str:
    """The version that a published file's name states; empty when it is named as none is."""
    return _parts(filename)[0]


def _parts(filename: str) -> tuple[str, frozenset[str]]:
    """Version and tags of a file by its name; an empty version when it is named as none is."""
    try:
        if filename.endswith(".whl"):
            _, version, _, stated = parse_wheel_filename(filename)
            return str(version), frozenset(map(str, stated))
        return str(parse_sdist_filename(filename)[1]), frozenset()
    except (InvalidSdistFilename, InvalidWheelFilename, InvalidVersion):
        return "", frozenset()


def _file(listed: _Listed) -> PypiFile | None:
    version, tags = _parts(listed.filename)
    if not version:
        return None
    return PypiFile(
        listed.filename, version, tags, listed.upload_time or "", listed.requires_python or ""
    )

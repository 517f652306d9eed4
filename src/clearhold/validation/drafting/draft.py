"""What a draft is made of: pinned archives, targets, and the parts that each kind of package gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

MARK: Final = "EDIT"
"""Stands in a driver where only a person knows what the proof goes to."""

FLAVOURS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("address", "assertion", "exhaustion", "leak"), "address"),
    "undefined": "undefined",
    "memory": "memory",
}
"""The build that an oracle reads; the plain one for oracles that are not here."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A published archive, by its origin and SHA-256, and where it belongs in the tree."""

    origin: str
    sha256: str
    into: str = ""


@dataclass(frozen=True, slots=True)
class Drafted:
    """One side of a draft: its version, archives, and patches of Debian's series left out."""

    version: str
    sources: tuple[Pinned, ...]
    series: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """How a drafted target is searched: by a program of the fuzz build, or a file of the recipe.

    `modules` are those that are watched when it is a `python` file; `seeds` are benign inputs besides
    the control.
    """

    binary: str = ""
    python: str = ""
    modules: tuple[str, ...] = ()
    seeds: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftedTarget:
    """One way of giving the package a proof: what `recipe.yaml` says of it, and a benign input.

    `files` are those of the recipe that no other target needs; `fuzz` is there when it can be searched.
    """

    name: str
    summary: str
    argv: tuple[str, ...]
    oracle: str
    flavour: str
    benign: bytes
    host: Literal["python", "native", "node"] = "native"
    files: tuple[str, ...] = ()
    fuzz: Fuzzed | None = None


@dataclass(slots=True)
class Parts:
    """What one kind of package gives to a draft: its script, drivers, targets, and what is left.

    `files` are drivers and the like by name, `drivers` shared ones, `needs` commands of the build
    beyond compilers, `build_s` the seconds that it may take. `scripts` are those that make one target
    alone, where `script` is for trying all of them. `otherwise` says what a person can do when none of
    the targets shows the flaw, `certain` that they are no guess: the proof or the user named them.
    """

    script: bytes
    targets: list[DraftedTarget]
    files: dict[str, bytes] = field(default_factory=dict)
    drivers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    missing: list[str] = field(default_factory=list)
    scripts: dict[str, bytes] = field(default_factory=dict)
    build_s: int = 120
    otherwise: str = "no way told the two sides apart: write the driver by hand"
    certain: bool = False

    def only(self, target: str) -> Parts:
        """The same with one target alone."""
        kept = [each for each in self.targets if each.name == target]
        own = {file for each in kept for file in each.files}
        others = {file for each in self.targets for file in each.files} - own
        return replace(
            self,
            script=self.scripts.get(target, self.script),
            targets=kept,
            files={name: content for name, content in self.files.items() if name not in others},
        )


@dataclass(slots=True)
class Draft:
    """A recipe's files by name, and in words what is left to do."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """How many lines were drafted."""
        return sum(content.count(b"\n") for content in self.files.values())

    def write(self, directory: Path) -> None:
        """Write the files into a directory that is made for them."""
        directory.mkdir(parents=True)
        for name, content in self.files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)


def text_of(file: Path) -> str:
    """The first megabyte of a file of an unpacked tree; empty when it is none."""
    # Trees are unpacked within bounds, and hold no links out of them.
    if not file.is_file() or file.is_symlink():
        return ""
    with file.open("rb") as opened:
        return opened.read(1 << 20).decode("utf-8", "replace")


def scalar(text: str) -> str:
    """`text` as a YAML scalar on one line."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted(path: str) -> str:
    """`path` as one word of a shell script."""
    return "'" + path.replace("'", "'\\''") + "'"

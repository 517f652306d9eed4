"""Reads a candidate diff and writes it again in the one form that the laboratory applies.

The program `patch` guesses formats and follows what it finds, context diffs and editor scripts
among them. What it is given here is therefore never what was sent, but unified hunks written anew
from what was understood: plain text changes of plain relative paths, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from clearhold.kernel.errors import InvalidError, TooLargeError

LARGEST_DIFF: Final = 1024 * 1024
MOST_FILES: Final = 200
_NOWHERE: Final = "/dev/null"
_PATH: Final = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9 ._@+~/-]{0,250}")
_REFUSED: Final = (
    (re.compile(r"^(GIT binary patch|Binary files )", re.MULTILINE), "it holds binary data"),
    (re.compile(r"^(rename|copy) (from|to) ", re.MULTILINE), "it renames or copies files"),
    (re.compile(r"^(old|new) mode ", re.MULTILINE), "it changes the mode of a file"),
    (
        re.compile(r"^(new file|deleted file) mode (?!100644)", re.MULTILINE),
        "it is about something other than a plain file",
    ),
    (re.compile(r"^(\*\*\* |\*{15})", re.MULTILINE), "it is a context diff"),
)


@dataclass(frozen=True, slots=True)
class Diff:
    """A diff as understood: what it touches, by path, and its size.

    `canonical` is the diff in the form that is applied; `added` and `removed` are lines.
    """

    canonical: bytes = field(repr=False)
    touched: tuple[str, ...]
    created: tuple[str, ...]
    deleted: tuple[str, ...]
    added: int
    removed: int

    def below(self, prefixes: Iterable[str]) -> tuple[str, ...]:
        """The touched paths that are, or lie below, one of `prefixes`."""
        places = tuple(prefixes)
        return tuple(
            path
            for path in self.touched
            if any(
                path == place or (place.endswith("/") and path.startswith(place))
                for place in places
            )
        )


def read_diff(content: bytes) -> Diff:
    """Understand a unified diff whose paths bear one leading directory (`a/`, `b/`).

    Raises `InvalidError` for anything but changes to plain text files within the tree, and
    `TooLargeError` above `LARGEST_DIFF` bytes or `MOST_FILES` files.
    """
    if len(content) > LARGEST_DIFF:
        raise TooLargeError(
            f"The diff has {len(content)} bytes; at most {LARGEST_DIFF} are taken.",
            next_step="Send the change to the flaw alone.",
        )
    # Latin-1 maps every byte to itself, so a file in any encoding survives being read and written.
    text = content.decode("latin-1")
    if "\0" in text:
        raise _refused("it holds binary data")
    try:
        files = PatchSet.from_string(text)
    except (UnidiffParseError, ValueError, IndexError, KeyError) as error:
        raise InvalidError(
            "The diff is not a unified diff.",
            next_step="Make it with `git diff` or `diff -u`.",
        ) from error
    if len(files) > MOST_FILES:
        raise TooLargeError(
            f"The diff touches {len(files)} files; at most {MOST_FILES} are taken.",
            next_step="Send the change to the flaw alone.",
        )
    for around in (*(str(file.patch_info or "") for file in files), _outside(text)):
        for pattern, why in _REFUSED:
            if pattern.search(around):
                raise _refused(why)
    if not any(len(file) for file in files):
        raise InvalidError(
            "The diff changes nothing.", next_step="Make it with `git diff` or `diff -u`."
        )
    return _understood(files)


def _understood(files: PatchSet) -> Diff:
    written: list[str] = []
    touched: list[str] = []
    created: list[str] = []
    deleted: list[str] = []
    for file in files:
        before, after = _path(file.source_file), _path(file.target_file)
        path = after or before
        if not path or (before and after and before != after):
            raise _refused("it renames or copies files")
        if path in touched:
            raise _refused("it names a file twice")
        if not len(file):
            raise _refused("it creates, removes or changes a file without showing its lines")
        touched.append(path)
        created += [path] if not before else []
        deleted += [path] if not after else []
        written.append(_written(file, before, after))
    return Diff(
        canonical="".join(written).encode("latin-1"),
        touched=tuple(sorted(touched)),
        created=tuple(sorted(created)),
        deleted=tuple(sorted(deleted)),
        added=files.added,
        removed=files.removed,
    )


def _written(file: PatchedFile, before: str, after: str) -> str:
    head = (
        f"--- {f'a/{before}' if before else _NOWHERE}\n+++ {f'b/{after}' if after else _NOWHERE}\n"
    )
    hunks = [str(hunk) for hunk in file]
    return head + "".join(hunk if hunk.endswith("\n") else f"{hunk}\n" for hunk in hunks)


def _path(name: str) -> str:
    """The path without its leading directory; empty for `/dev/null`."""
    if name == _NOWHERE:
        return ""
    _, _, path = name.partition("/")
    parts = PurePosixPath(path).parts
    plain = _PATH.fullmatch(path) and str(PurePosixPath(path)) == path
    if name.startswith("/") or not plain or ".." in parts or ".git" in parts:
        raise _refused("it names a path that is not plainly below the project's directory")
    return path


def _outside(text: str) -> str:
    """The lines before the first file, where a program that guesses would find other formats."""
    return text.partition("\n--- ")[0] if not text.startswith("--- ") else ""


def _refused(why: str) -> InvalidError:
    return InvalidError(
        f"The diff is refused: {why}.",
        next_step="Send a unified diff of plain text files, with paths below a/ and b/.",
    )

"""Reads a candidate diff and writes it again in the one form that the laboratory applies.

The program `patch` guesses formats and follows what it finds, context diffs and editor scripts
among them. What it is given here is therefore never what was sent, but unified hunks written anew
from what was understood: plain text changes of plain relative paths, and nothing else.

Commits as `git format-patch` writes them, one or several to a file, are read one after the other
(RFC 4155 mailboxes, RFC 2045 encodings of their bodies).
"""

from __future__ import annotations

import email
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
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_NOWHERE: Final = "/dev/null"
_PATH: Final = re.compile(r"[\w@+][\w ._@+~/()\[\],=#%:-]{0,250}")
_COMMIT: Final = re.compile(r"^From [0-9a-f]{40} .*\n", re.MULTILINE)
_ENCODED: Final = re.compile(
    r"^Content-Transfer-Encoding:\s*(quoted-printable|base64)", re.IGNORECASE | re.MULTILINE
)
_HEADERS: Final = re.compile(r"^(?:--- |\+\+\+ |@@ ).*$", re.MULTILINE)
_ESCAPED: Final = re.compile(r'\\([0-7]{3}|[abfnrtv"\\])')
_LETTERS: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_REFUSED: Final = (
    (re.compile(r"^(GIT binary patch|Binary files )", re.MULTILINE), "it holds binary data"),
    (re.compile(r"^(rename|copy) (from|to) ", re.MULTILINE), "it renames or copies files"),
    (re.compile(r"^(old|new) mode ", re.MULTILINE), "it changes the mode of a file"),
    (
        re.compile(
            r"^((new file|deleted file) mode (?!100644)|index \S+ (?!100644|100755))", re.MULTILINE
        ),
        "it is about a link, a submodule or something else that is no plain file",
    ),
    (re.compile(r"^(\*\*\* |\*{15})", re.MULTILINE), "it is a context diff"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit does to one file: its hunks in canonical form, and their lines.

    `lines` are those added, by their number in the file as changed, and the numbers are those that
    the diff states.
    """

    path: str
    canonical: bytes = field(repr=False)
    created: bool
    deleted: bool
    removed: tuple[str, ...]
    lines: tuple[tuple[int, str], ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """A diff as understood: what it touches, by path, and its size.

    `canonical` is the diff in the form that is applied; `added` and `removed` are lines. `notes`
    says in words what was read otherwise than it stood, and `commits` how many there were.
    """

    canonical: bytes = field(repr=False)
    touched: tuple[str, ...]
    created: tuple[str, ...]
    deleted: tuple[str, ...]
    added: int
    removed: int
    changes: tuple[Change, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    commits: int = field(default=1, compare=False)

    def below(self, prefixes: Iterable[str]) -> tuple[str, ...]:
        """The touched paths that are, or lie below, one of `prefixes`."""
        places = tuple(prefixes)
        return tuple(path for path in self.touched if is_below(path, places))

    def only(self, paths: Iterable[str]) -> Diff:
        """The diff with its changes to these paths alone."""
        wanted = set(paths)
        kept = [each for each in self.changes if each.path in wanted]
        return _made(kept, notes=self.notes, commits=self.commits)


def is_below(path: str, prefixes: Iterable[str]) -> bool:
    """Whether a path is one of `prefixes`, or lies below one that ends in a slash."""
    return any(
        path == place or (place.endswith("/") and path.startswith(place)) for place in prefixes
    )


def read_diff(content: bytes) -> Diff:
    """Understand a unified diff whose paths bear one leading directory (`a/`, `b/`).

    Raises `InvalidError` for anything but changes to plain text files within the tree, and
    `TooLargeError` above `LARGEST_DIFF` bytes or `MOST_FILES` files.
    """
    text = _text(content)
    notes: list[str] = []
    commits = [_body(each, notes) for each in _commits(text)]
    read = [(each, _files(each)) for each in commits]
    count = sum(len(files) for _, files in read)
    if count > MOST_FILES:
        raise TooLargeError(
            f"The diff touches {count} files; at most {MOST_FILES} are taken.",
            next_step="Send the change to the flaw alone.",
        )
    changes: list[Change] = []
    for each, files in read:
        for around in (*(str(file.patch_info or "") for file in files), _outside(each)):
            for pattern, why in _REFUSED:
                if pattern.search(around):
                    raise _refused(why)
        changes += _understood(files)
        notes += _prefixes(files)
    if not changes:
        raise InvalidError(
            "The diff changes nothing.", next_step="Make it with `git diff` or `diff -u`."
        )
    if len(commits) > 1:
        notes.append(f"it holds {len(commits)} commits, which are applied in their order")
    return _made(changes, notes=tuple(dict.fromkeys(notes)), commits=len(commits))


def _text(content: bytes) -> str:
    """A character for each byte, so that a file in any encoding survives being read and written."""
    if len(content) > LARGEST_DIFF:
        raise TooLargeError(
            f"The diff has {len(content)} bytes; at most {LARGEST_DIFF} are taken.",
            next_step="Send the change to the flaw alone.",
        )
    if content.startswith(_UTF16):
        raise InvalidError(
            "The diff is UTF-16 text, as some shells save what a program prints.",
            next_step="Save it as the program wrote it, such as by `git diff --output=FILE`.",
        )
    text = content.removeprefix(_UTF8_MARK).decode("latin-1")
    if "\0" in text:
        raise _refused("it holds binary data")
    return text


def _commits(text: str) -> list[str]:
    """The commits of a mailbox, or the one diff there is."""
    starts = [found.start() for found in _COMMIT.finditer(text)]
    if not starts or text[: starts[0]].strip():
        return [text]
    return [text[start:end] for start, end in zip(starts, (*starts[1:], len(text)), strict=True)]


def _body(commit: str, notes: list[str]) -> str:
    """The diff of a commit as it was before mail programs wrapped it."""
    head = commit.partition("\n\n")[0]
    if _COMMIT.match(commit) and _ENCODED.search(head):
        message = email.message_from_bytes(_COMMIT.sub("", commit, count=1).encode("latin-1"))
        payload = message.get_payload(decode=True)
        commit = payload.decode("latin-1") if isinstance(payload, bytes) else ""
        notes.append("its mail was decoded")
    ends = {line.endswith("\r") for line in _HEADERS.findall(commit)}
    if ends == {True}:
        # Git writes these lines itself and ends them in \n: something between turned all of them.
        notes.append("its lines ended in CR LF and were read as ending in LF")
        return commit.replace("\r\n", "\n")
    return commit


def _prefixes(files: PatchSet) -> Iterable[str]:
    """Leading directories that look like a part of the path, as `git diff --no-prefix` leaves them."""
    for file in files:
        before, after = (name.partition("/")[0] for name in (file.source_file, file.target_file))
        if before == after and before not in {"a", "b"}:
            yield f"the first directory of its paths, {before}/, was taken for a/ or b/ and left out"


def _files(text: str) -> PatchSet:
    try:
        return PatchSet.from_string(text)
    except (UnidiffParseError, ValueError, IndexError, KeyError) as error:
        raise InvalidError(
            "The diff is not a unified diff.",
            next_step="Make it with `git diff` or `diff -u`.",
        ) from error


def _made(changes: Iterable[Change], *, notes: tuple[str, ...], commits: int) -> Diff:
    kept = tuple(changes)
    return Diff(
        canonical=b"".join(each.canonical for each in kept),
        touched=tuple(sorted({each.path for each in kept})),
        created=tuple(sorted({each.path for each in kept if each.created})),
        deleted=tuple(sorted({each.path for each in kept if each.deleted})),
        added=sum(len(each.lines) for each in kept),
        removed=sum(len(each.removed) for each in kept),
        changes=kept,
        notes=notes,
        commits=commits,
    )


def _understood(files: PatchSet) -> list[Change]:
    found: list[Change] = []
    for file in files:
        before, after = _path(file.source_file), _path(file.target_file)
        path = after or before
        if not path or (before and after and before != after):
            raise _refused("it renames or copies files")
        if any(each.path == path for each in found):
            raise _refused("it names a file twice")
        if not len(file):
            raise _refused("it creates, removes or changes a file without showing its lines")
        changed = [line for hunk in file for line in hunk]
        found.append(
            Change(
                path=path,
                canonical=_written(file, before, after).encode("latin-1"),
                created=not before,
                deleted=not after,
                removed=tuple(line.value for line in changed if line.is_removed),
                lines=tuple(
                    (line.target_line_no or 0, line.value) for line in changed if line.is_added
                ),
                places=tuple(hunk.target_start for hunk in file),
            )
        )
    return found


def _written(file: PatchedFile, before: str, after: str) -> str:
    head = (
        f"--- {f'a/{before}' if before else _NOWHERE}\n+++ {f'b/{after}' if after else _NOWHERE}\n"
    )
    hunks = [str(hunk) for hunk in file]
    return head + "".join(hunk if hunk.endswith("\n") else f"{hunk}\n" for hunk in hunks)


def _path(name: str) -> str:
    """The path without its leading directory, in the bytes of the diff; empty for `/dev/null`."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        name = _ESCAPED.sub(
            lambda found: (
                _LETTERS.get(found[1], found[1])
                if len(found[1]) == 1
                else chr(int(found[1], 8) & 0xFF)
            ),
            name[1:-1],
        )
    if name == _NOWHERE:
        return ""
    _, _, path = name.partition("/")
    try:
        shown = path.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        shown = ""
    parts = PurePosixPath(path).parts
    plain = _PATH.fullmatch(shown) and str(PurePosixPath(path)) == path
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

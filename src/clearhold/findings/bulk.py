"""Splitting an upload of any size into submissions, in fixed memory and always in the same way.

A piece is what one submission can hold: consecutive lines of our own JSON, results of one run of a
SARIF log under that run's head, or one file of an archive. Lines go into pieces byte for byte, so
that all pieces' raw submissions one after the other are the upload. A piece's key comes from its
content: the same upload again makes the same pieces, is answered with the same receipts, and goes
on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from clearhold.findings.intake import MOST_FINDINGS, Format, detect_in
from clearhold.findings.model import Receipt, Skipped
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire import archive
from clearhold.wire.json_stream import Element, ElementReader

MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_HEAD: Final = 8 * 1024 * 1024
_MOST_RUNS: Final = 1000
_FILES: Final = archive.Limits(members=100_000, member=47 * 1024 * 1024, total=1 << 40)
_BY_SUFFIX: Final = {
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".sarif": Format.SARIF,
    ".eml": Format.MESSAGE,
    ".txt": Format.TEXT,
    ".md": Format.TEXT,
}
STREAMED: Final = frozenset({Format.JSON_LINES, Format.SARIF})
"""The formats that are split while they are read; others are one submission as a whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One submission of an upload: its bytes, its format, and where in the upload its items stood.

    `places` has one entry for each item; `file` is the name of the file in an archive.
    """

    raw: bytes
    form: Format
    places: tuple[str, ...]
    file: str = ""

    def key(self, base: str) -> str:
        """What the submission is known by when it is sent again under the same `base`."""
        digest = hashlib.sha256(f"{base}\0{self.form}\0".encode() + self.raw).hexdigest()
        return f"bulk:{digest}"

    def placed(self, skipped: Skipped) -> Skipped:
        """Where in the upload something stood that was skipped in this submission."""
        where = skipped.place
        number: int | None = None
        if self.form is Format.JSON_LINES and where.startswith("line "):
            number = int(where.removeprefix("line ")) - 1
        elif self.form is Format.SARIF and where.startswith("/runs/0/results/"):
            number = int(where.split("/")[4])
        if number is not None and number < len(self.places):
            where = self.places[number]
        return Skipped(f"{self.file}: {where}" if self.file else where, skipped.reason)


@dataclass(frozen=True, slots=True)
class BulkReceipt:
    """What became of an upload: the receipts of its submissions, and what was refused and why."""

    receipts: tuple[Receipt, ...]
    refused: tuple[Skipped, ...]


def pieces(
    file: BinaryIO, form: Format | None, *, name: str = "", unpacked: int = _FILES.total
) -> Iterator[Piece | Skipped]:
    """The submissions in a seekable `file`, and what in it can be none.

    Without `form`, an archive is taken for one of submissions, each of a format told by its name or
    content, and anything else for what it is; no more than `unpacked` bytes come out of it. Raises `InvalidError` and `TooLargeError` when the
    rest of the file cannot be read; what came before stays good.
    """
    if form is Format.JSON_LINES:
        yield from _of_lines(file)
    elif form is Format.SARIF:
        yield from _of_sarif(file)
    elif form is not None:
        yield Piece(_whole(file), form, ("",))
    else:
        head = file.read(512)
        file.seek(0)
        if archive.is_archive(head):
            yield from _of_archive(file, replace(_FILES, total=unpacked))
        else:
            yield from pieces(file, form_of(name, file))


def refusals(piece: Piece, problem: ClearholdError) -> list[Skipped]:
    """What is said of a piece of which nothing could be taken."""
    named = problem.facts.get("skipped")
    if isinstance(named, list) and named:
        return [piece.placed(Skipped(str(place), str(reason))) for place, reason in named]
    where = piece.places[0] if len(piece.places) == 1 else f"{piece.places[0]} and on"
    said = f"{problem.message} {problem.next_step}".strip()
    return [Skipped(": ".join(each for each in (piece.file, where) if each) or "the file", said)]


def form_of(name: str, file: BinaryIO) -> Format:
    """The format of a file, told by the ending of its name or by its content.

    Raises `InvalidError` when neither tells one.
    """
    told = _BY_SUFFIX.get(PurePosixPath(name.lower()).suffix)
    if told is not None:
        return told
    return detect_in(file)


def _whole(file: BinaryIO) -> bytes:
    raw = file.read(_FILES.member + 1)
    if len(raw) > _FILES.member:
        raise TooLargeError(
            f"The file is larger than {_FILES.member} bytes.", next_step="Split it."
        )
    return raw


def _of_lines(file: BinaryIO) -> Iterator[Piece | Skipped]:
    lines: list[bytes] = []
    size, number, first = 0, 0, 1
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            if lines:
                yield _lines_piece(lines, first)
            lines, size, first = [], 0, number + 1
            while line and not line.endswith(b"\n"):
                line = file.readline(MOST_BYTES)
            yield Skipped(f"line {number}", f"The line has more than {MOST_BYTES} bytes. Split it.")
            continue
        if lines and (len(lines) == MOST_FINDINGS or size + len(line) > MOST_BYTES):
            yield _lines_piece(lines, first)
            lines, size, first = [], 0, number
        lines.append(line)
        size += len(line)
    if lines:
        yield _lines_piece(lines, first)


def _lines_piece(lines: list[bytes], first: int) -> Piece:
    places = tuple(f"line {first + at}" for at in range(len(lines)))
    return Piece(b"".join(lines), Format.JSON_LINES, places)


def _of_sarif(file: BinaryIO) -> Iterator[Piece | Skipped]:
    """Twice through the log: first for the heads of its runs, which may stand behind the results."""
    heads = _heads(file)
    file.seek(0)
    run, size = -1, 0
    results: list[Element] = []
    wanted = (("runs", None, "results", None),)
    for each in ElementReader(file, wanted, most=MOST_BYTES, what="SARIF"):
        of_run = each.path[1]
        full = len(results) == MOST_FINDINGS or size + len(each.content) > MOST_BYTES
        if results and (of_run != run or full):
            yield _sarif_piece(heads.get(run, {}), results)
            results, size = [], 0
        run = of_run if isinstance(of_run, int) else -1
        results.append(each)
        size += len(each.content)
    if results:
        yield _sarif_piece(heads.get(run, {}), results)


def _heads(file: BinaryIO) -> dict[int, dict[str, bytes]]:
    heads: dict[int, dict[str, bytes]] = {}
    size, version = 0, b""
    wanted: tuple[tuple[str | None, ...], ...] = (
        ("version",),
        ("runs", None, "tool"),
        ("runs", None, "artifacts"),
    )
    for each in ElementReader(file, wanted, most=_MOST_HEAD, what="SARIF"):
        size += len(each.content)
        if each.path == ("version",):
            version = each.content
            continue
        run, name = each.path[1:3]
        if isinstance(run, int) and isinstance(name, str):
            heads.setdefault(run, {})[name] = each.content
        if size > _MOST_HEAD or len(heads) > _MOST_RUNS:
            raise TooLargeError(
                f"The tools and artifacts of the SARIF log take more than {_MOST_HEAD} bytes.",
                next_step="Leave the artifacts' contents out, or split the log by run.",
            )
    if version != b'"2.1.0"':
        raise InvalidError(
            "The log does not say that it is SARIF 2.1.0.",
            next_step="Have the tool write SARIF 2.1.0.",
        )
    return heads


def _sarif_piece(head: dict[str, bytes], results: list[Element]) -> Piece:
    artifacts = b',"artifacts":' + head["artifacts"] if "artifacts" in head else b""
    tool = head.get("tool", b"null")
    body = b",\n".join(each.content for each in results)
    raw = b'{"version":"2.1.0","runs":[{"tool":' + tool + artifacts + b',"results":[\n'
    places = tuple(
        f"/runs/{each.path[1]}/results/{each.number}, line {each.line}" for each in results
    )
    return Piece(raw + body + b"\n]}]}", Format.SARIF, places)


def _of_archive(file: BinaryIO, limits: archive.Limits) -> Iterator[Piece | Skipped]:
    for name, content in archive.members(file, limits):
        inner = io.BytesIO(content)
        try:
            form = form_of(name, inner)
            for each in pieces(inner, form):
                if isinstance(each, Skipped):
                    yield Skipped(f"{name}: {each.place}", each.reason)
                else:
                    yield replace(each, file=name)
        except ClearholdError as refused:
            yield Skipped(name, f"{refused.message} {refused.next_step}".strip())

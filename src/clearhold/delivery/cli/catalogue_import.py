"""`clearhold catalogue import`: published records in files and archives, sent in parts."""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import typer

from clearhold.catalogue.service import MOST_RECORDS
from clearhold.delivery.cli.finding_files import progress
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.client import HubClient
from clearhold.kernel.errors import InvalidError, TooLargeError

LARGEST: Final = 16 * 1024 * 1024
_PART: Final = 4 * 1024 * 1024
_SHOWN: Final = 50
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError),
    *(EOFError, ValueError, OSError),
)


@told
def import_public(path: list[Path], *, as_json: bool = JsonOption) -> None:
    """Take in published OSV and CVE records and CISA's KEV catalogue.

    Files may hold a record, a list of records, one on each line, or be zip archives of such files,
    as OSV publishes them for an ecosystem. Importing again replaces what changed.
    """
    importer = _Importer(hub())
    for file in path:
        try:
            for name, content in documents(file):
                importer.take(name, content)
        except OSError as error:
            raise InvalidError(
                f"The file cannot be read: {error.strerror}.",
                next_step="Check its name and rights.",
            ) from error
    importer.send()
    if as_json:
        typer.echo(json.dumps(importer.done, sort_keys=True))
    else:
        show({**importer.done, "refused": importer.done["refused"][:_SHOWN]}, as_json=False)
    if importer.done["refused"]:
        raise InvalidError(
            f"{len(importer.done['refused'])} records were refused; everything else was taken.",
            next_step="See the reasons; records that name no package cannot be compared.",
        )


class _Importer:
    """Sends records in parts that a request can carry, and adds up what became of them."""

    def __init__(self, connection: HubClient) -> None:
        self._connection = connection
        self._records: list[str] = []
        self._names: list[str] = []
        self._size = 0
        self.done: dict[str, Any] = {
            **dict.fromkeys(("taken", "withdrawn", "rows", "exploited"), 0),
            "refused": [],
        }

    def take(self, name: str, content: bytes) -> None:
        """Send a document, now or with others; a catalogue of exploited flaws at once."""
        if len(content) > LARGEST:
            self._refuse(name, f"It has more than {LARGEST} bytes.")
            return
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._refuse(name, "It is not UTF-8.")
            return
        if '"catalogVersion"' in text[:LARGEST] and '"cveID"' in text:
            try:
                done = self._connection.post("/catalogue/exploited", {"catalogue": text})
                self.done["exploited"] = done["entries"]
            except (InvalidError, TooLargeError) as refused:
                self._refuse(name, f"{refused.message} {refused.next_step}".strip())
            return
        if self._records and (len(self._records) == MOST_RECORDS or self._size + len(text) > _PART):
            self.send()
        self._records.append(text)
        self._names.append(name)
        self._size += len(text)

    def send(self) -> None:
        """Send what waits."""
        if not self._records:
            return
        done = self._connection.post("/catalogue/public", {"records": self._records})
        for each in ("taken", "withdrawn", "rows"):
            self.done[each] += done[each]
        for each in done["refused"]:
            self._refuse(self._names[each["place"]], each["reason"])
        self._records, self._names, self._size = [], [], 0
        progress(f"{self.done['taken']} records taken, {len(self.done['refused'])} refused")

    def _refuse(self, name: str, reason: str) -> None:
        self.done["refused"].append({"place": name, "reason": reason})


def documents(file: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each document in a file; lists and lines are taken apart."""
    if zipfile.is_zipfile(file):
        with _opened(file) as archive:
            for each in archive.infolist():
                if not each.is_dir() and each.filename.endswith(".json"):
                    yield from _taken_apart(f"{file.name}: {each.filename}", _member(archive, each))
        return
    if file.suffix == ".jsonl":
        with file.open("rb") as lines:
            yield from _lines(file.name, lines)
        return
    with file.open("rb") as opened:
        yield from _taken_apart(file.name, opened.read(LARGEST + 1))


def _lines(name: str, lines: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Each line that says something; of one that is too long, no more than shows that it is."""
    number = 0
    while line := lines.readline(LARGEST + 1):
        number += 1
        rest = line
        while len(rest) > LARGEST and not rest.endswith(b"\n"):
            rest = lines.readline(LARGEST + 1)
        if line.strip():
            yield f"{name}: line {number}", line


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged("its list of files") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as opened:
            return opened.read(LARGEST + 1)
    except _DAMAGED as error:
        raise _damaged(ascii(member.filename[:100])) from error


def _damaged(where: str) -> InvalidError:
    return InvalidError(f"The archive is damaged at {where}.", next_step="Download it again.")


def _taken_apart(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    if not content.lstrip().startswith(b"[") or len(content) > LARGEST:
        yield name, content
        return
    try:
        listed = json.loads(content)
    except (ValueError, RecursionError):
        yield name, content
        return
    for number, each in enumerate(listed):
        yield f"{name}: /{number}", json.dumps(each).encode()

"""Archives from strangers: tar (plain, gzip, bzip2, xz; POSIX.1-2001 pax) and zip (APPNOTE 6.3).

Nothing is ever written to a file system. Members come one at a time, each within bounds counted on
what really comes out, whatever a header says. Refused are names that lead elsewhere or deceive,
names given twice, links, devices, sparse files, encryption, entries that overlap, and ZIP64, which
nothing within these bounds needs. An archive within an archive is bytes like any other.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, Protocol

from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError

MAGIC_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
MAGIC_PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_PIECE: Final = 64 * 1024
_MOST_DIRECTORY: Final = 16 * 1024 * 1024
_END: Final = struct.Struct("<4s4H2LH")
_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,
    struct.error,
    LookupError,
    AttributeError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that comes out: members, bytes of one, and bytes of all."""

    members: int = 256
    member: int = 16 * 1024 * 1024
    total: int = 64 * 1024 * 1024


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def is_archive(head: bytes) -> bool:
    """Whether `head`, the first 512 bytes of something, is the beginning of an archive."""
    return head.startswith((*MAGIC_ZIP, *MAGIC_PACKED)) or head[257:262] == b"ustar"


def members(file: BinaryIO, limits: Limits = Limits()) -> Iterator[tuple[str, bytes]]:
    """Name and content of each regular file, in the order of the archive.

    `file` is seekable. Raises `InvalidError` and `TooLargeError`, which name the member.
    """
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    found = _of_zip(file, limits) if head.startswith(MAGIC_ZIP) else _of_tar(file, head, limits)
    try:
        yield from found
    except ClearholdError:
        raise
    except _BROKEN as problem:
        raise InvalidError(
            "The archive is damaged or is none that can be read here.",
            next_step="Pack the files again as .zip or .tar.gz.",
        ) from problem


class _Names:
    """Sees to it that every name is plain and new."""

    def __init__(self, limits: Limits) -> None:
        self._seen: set[str] = set()
        self._limits = limits

    def take(self, name: str) -> str:
        number = len(self._seen) + 1
        parts = name.split("/")
        what = ""
        if not name or len(name) > 500 or len(parts) > 32:
            what = "is empty or too long"
        elif any(unicodedata.category(each)[0] == "C" for each in name):
            what = "holds control characters"
        elif (
            name.startswith("/")
            or "\\" in name
            or re.match(r"[A-Za-z]:", name)
            or any(each in {"", ".", ".."} for each in parts)
        ):
            what = "leads out of the archive"
        elif unicodedata.normalize("NFC", name).casefold() in self._seen:
            what = "is there twice"
        if what:
            raise InvalidError(
                f"The name of member {number} of the archive {what}: {name[:80]!a}.",
                next_step="Pack the files again under plain relative names.",
            )
        if number > self._limits.members:
            raise TooLargeError(
                f"The archive has more than {self._limits.members} files.",
                next_step="Leave out what is not needed, or send several archives.",
            )
        self._seen.add(unicodedata.normalize("NFC", name).casefold())
        return name


def _of_tar(file: BinaryIO, head: bytes, limits: Limits) -> Iterator[tuple[str, bytes]]:
    # Headers and padding count too; the total of what members hold is counted below.
    stream = _Counted(_Unpacked(file, head), limits.total * 2 + 4 * 1024 * 1024)
    names, left = _Names(limits), limits.total
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would remember every header
            if entry.isdir():
                continue
            name = names.take(entry.name.removeprefix("./"))
            if not entry.isreg() or entry.issparse():
                raise _special(name)
            if entry.size > min(limits.member, left):
                raise _too_large(name, limits)
            opened: IO[bytes] | None = archive.extractfile(entry)
            content = opened.read(entry.size) if opened is not None else b""
            if len(content) != entry.size:
                raise _lies(name)
            left -= len(content)
            yield name, content


class _Counted(io.RawIOBase):
    """A stream of at most so many bytes."""

    def __init__(self, stream: _Unpacked, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, count: int = -1, /) -> bytes:
        piece = self._stream.read(count)
        self._left -= len(piece)
        if self._left < 0:
            raise TooLargeError(
                "The archive unpacks to more than is taken.",
                next_step="Leave out what is not needed, or send several archives.",
            )
        return piece


class _Unpacked:
    """What is packed in a file, a bounded piece at a time."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file = file
        self._kind = next((each for each in MAGIC_PACKED if head.startswith(each)), b"")
        self._unpacker = self._make() if self._kind else None
        self._waiting = b""

    def _make(self) -> _Unpacker:
        if self._kind == b"\x1f\x8b":
            return _Gzip()
        if self._kind == b"BZh":
            return bz2.BZ2Decompressor()
        return lzma.LZMADecompressor(memlimit=128 * 1024 * 1024)

    def read(self, count: int) -> bytes:
        unpacker = self._unpacker
        if unpacker is None:
            return self._file.read(count)
        out = bytearray()
        while len(out) < count:
            if unpacker.eof:
                self._waiting = unpacker.unused_data or self._file.read(_PIECE)
                if not self._waiting.strip(b"\0"):
                    break
                self._unpacker = unpacker = self._make()
            piece = unpacker.decompress(self._waiting, count - len(out))
            self._waiting = b""
            out += piece
            if not piece and not unpacker.eof:
                self._waiting = self._file.read(_PIECE)
                if not self._waiting:
                    raise EOFError
        return bytes(out)


class _Gzip:
    """zlib's decompressor with the face of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _of_zip(file: BinaryIO, limits: Limits) -> Iterator[tuple[str, bytes]]:
    _check_directory(file)
    names, left = _Names(limits), limits.total
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        _check_apart(entries)
        for entry in entries:
            if entry.is_dir():
                continue
            name = names.take(entry.orig_filename)
            kind = entry.external_attr >> 16 & 0o170000
            if kind not in {0, 0o100000} or entry.flag_bits & 0x41:
                raise _special(name)
            if entry.file_size > min(limits.member, left):
                raise _too_large(name, limits)
            content = _unzipped(archive, entry, name)
            left -= len(content)
            yield name, content


def _unzipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    with archive.open(entry) as opened:
        pieces, size = [], 0
        while piece := opened.read(_PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise _lies(name)
            pieces.append(piece)
    if size != entry.file_size:
        raise _lies(name)
    return b"".join(pieces)


def _check_directory(file: BinaryIO) -> None:
    """Refuse a central directory too large to be read whole, which the library would do."""
    size = file.seek(0, 2)
    start = max(0, size - _END.size - 0xFFFF)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + _END.size:
        raise InvalidError(
            "The zip archive has no directory at its end.", next_step="Pack the files again."
        )
    *_, length, _offset, _comment = _END.unpack_from(tail, at)
    if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07") or b"PK\x06\x06" in tail[:at]:
        raise InvalidError(
            "The zip archive is in the ZIP64 form.",
            next_step="Send a smaller archive, or a .tar.gz.",
        )
    if length > _MOST_DIRECTORY:
        raise TooLargeError(
            f"The zip archive's directory has {length} bytes; at most {_MOST_DIRECTORY} are taken.",
            next_step="Send several archives, or a .tar.gz.",
        )
    file.seek(0)


def _check_apart(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes of the file, by which a small one unpacks to a huge one."""
    end = -1
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise InvalidError(
                "Two entries of the zip archive lie in the same place.",
                next_step="Pack the files again with an ordinary tool.",
            )
        end = entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size


def _special(name: str) -> InvalidError:
    return InvalidError(
        f"The member {name!a} of the archive is no plain file.",
        next_step="Pack plain files alone: no links, no devices, nothing encrypted.",
    )


def _lies(name: str) -> InvalidError:
    return InvalidError(
        f"The member {name!a} of the archive has not the size it states.",
        next_step="Pack the files again.",
    )


def _too_large(name: str, limits: Limits) -> TooLargeError:
    return TooLargeError(
        f"The member {name!a} of the archive is too large: one may have {limits.member} bytes, "
        f"all together {limits.total}.",
        next_step="Reduce it to what is needed, or send several archives.",
    )

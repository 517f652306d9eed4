"""Archives, honest and hostile, for tests to send."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(files: Mapping[str, bytes], *, packed: str = "gz") -> bytes:
    """A tar archive of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packed}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def tar_with(kind: bytes, *, link: str = "/etc/passwd", name: str = "README.md") -> bytes:
    """A tar archive whose only member is of a kind that is no plain file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        archive.addfile(entry)
    return out.getvalue()


def zip_link() -> bytes:
    """A zip archive with a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("README.md")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


def lying_zip() -> bytes:
    """A zip archive whose directory states a smaller size than what is packed."""
    content = bytearray(zipped({"README.md": b"A" * 100_000}))
    at = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, 10)
    return bytes(content)


def overlapping_zip() -> bytes:
    """A zip archive whose many entries are one and the same packed file."""
    content = zipped({"a": b"A" * 1_000_000})
    at = content.rfind(b"PK\x01\x02")
    end = content.rfind(b"PK\x05\x06")
    entry = content[at:end]
    entries = b"".join(entry.replace(b"a", bytes([97 + each])) for each in range(20))
    tail = bytearray(content[end:])
    struct.pack_into("<HHL", tail, 8, 20, 20, len(entries))
    return content[:at] + entries + bytes(tail)


def bomb(megabytes: int) -> bytes:
    """A small archive of one huge member."""
    return tarred({"README.md": bytes(megabytes << 20)})

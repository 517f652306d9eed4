"""Archives of packages that tests make."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path


def archive(place: Path, files: dict[str, bytes], links: dict[str, str]) -> str:
    """An archive of these files and links, by its hash, which names it in `place`."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    digest = hashlib.sha256(written.getvalue()).hexdigest()
    (place / digest).write_bytes(written.getvalue())
    return digest

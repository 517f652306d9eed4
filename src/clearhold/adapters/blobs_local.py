"""Content-addressed files in a local directory."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from clearhold.kernel.errors import IntegrityError


class LocalBlobs:
    """`ports.blobs.BlobStore` on a directory, written by fsync and rename."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, content: bytes) -> str:
        """Store `content`; storing it twice changes nothing."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{digest}.{secrets.token_hex(4)}.new")
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        return digest

    def get(self, digest: str) -> bytes:
        """Read and check the content."""
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise IntegrityError(
                "A stored artefact is missing from the artefact directory.",
                next_step="Restore the data directory from a backup that is whole.",
            ) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise IntegrityError("A stored artefact was changed on disk.")
        return content

    def remove(self, digest: str) -> None:
        """Unlink the file; a repeated call changes nothing."""
        path = self._path(digest)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            descriptor = os.open(path.parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest

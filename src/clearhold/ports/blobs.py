"""Large bytes, named by what they are."""

from __future__ import annotations

from typing import Protocol


class BlobStore(Protocol):
    """Keeps byte strings under the SHA-256 of their content."""

    def put(self, content: bytes) -> str:
        """Store `content` durably and return its SHA-256 in hexadecimal."""
        ...

    def get(self, digest: str) -> bytes:
        """The content of that digest. Raises `IntegrityError` when it is gone or changed."""
        ...

    def remove(self, digest: str) -> None:
        """Take that content away durably; what is gone already stays gone."""
        ...

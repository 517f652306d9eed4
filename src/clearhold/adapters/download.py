"""Bringing one file by HTTP, within a size."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi
import httpx

from clearhold.kernel.errors import TooLargeError, refuse_full_disk


def trusting(certificate: str | None) -> ssl.SSLContext:
    """Trust in the authorities of a CA bundle; without one in the machine's and the common ones."""
    context = ssl.create_default_context(cafile=certificate)
    if certificate is None and "SSL_CERT_FILE" not in os.environ:
        context.load_verify_locations(certifi.where())
    return context


def download(client: httpx.Client, address: str, target: Path, *, size_cap: int) -> str:
    """Write what stands at `address` to the new file `target`; the reason when it cannot be had.

    Raises `TooLargeError` above `size_cap` bytes.
    """
    try:
        with client.stream("GET", address) as response:
            if response.status_code != httpx.codes.OK:
                return f"the server answers {response.status_code}"
            write_within(response, target, size_cap=size_cap)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        refuse_full_disk(error)
        target.unlink(missing_ok=True)
        return reason_of(error)
    return ""


class RefusedAddressError(httpx.RequestError):
    """A request would have gone where it may not go."""


def reason_of(error: Exception) -> str:
    """Why nothing was brought, in words that repeat nothing of what a server said."""
    return str(error) if isinstance(error, RefusedAddressError) else type(error).__name__


def write_within(response: httpx.Response, target: Path, *, size_cap: int) -> None:
    """Write a streamed answer to the new file `target`; raises `TooLargeError` above the cap."""
    written = 0
    with target.open("xb") as out:
        for piece in response.iter_bytes():
            written += len(piece)
            if written > size_cap:
                raise TooLargeError(
                    f"{target.name} is larger than {size_cap} bytes.",
                    next_step="Raise the recipe's size limit if the size is right.",
                )
            out.write(piece)

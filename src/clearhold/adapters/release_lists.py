"""What versions of a package are published, and from which origin each comes.

Lists are bounded and come from wherever pip, npm and apt of this machine are configured to ask.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import msgspec
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename

from clearhold.adapters.download import trusting
from clearhold.adapters.sources_debian import DebianFetcher
from clearhold.adapters.sources_npm import npm_settings
from clearhold.adapters.sources_pypi import pip_settings
from clearhold.kernel.errors import NotFoundError, TooLargeError, UnavailableError

_MOST: Final = 32 * 1024 * 1024
_TIMEOUT_S: Final = 30.0
_NPM: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")
_SDIST: Final = re.compile(r">\s*([A-Za-z0-9][A-Za-z0-9._+!-]*\.(?:tar\.gz|zip))\s*<")


class _Npm(msgspec.Struct):
    versions: dict[str, msgspec.Raw]


class _File(msgspec.Struct):
    filename: str


class _Index(msgspec.Struct):
    files: list[_File]


def of_npm(name: str) -> dict[str, str]:
    """Origins of an npm package by version. Raises `UnavailableError` and `NotFoundError`."""
    if not _NPM.fullmatch(name):
        raise _unknown(name)
    settings = npm_settings()
    content = _asked(
        f"{settings.registry}{quote(name, safe='@/')}", settings.certificate, "application/json"
    )
    try:
        found = msgspec.json.decode(content, type=_Npm).versions
    except msgspec.DecodeError as error:
        raise _unknown(name) from error
    return {version: f"npm:{name}@{version}" for version in found}


def of_pypi(name: str) -> dict[str, str]:
    """Origins of the source archives of a Python package by version; raises as `of_npm`."""
    settings = pip_settings()
    found: dict[str, str] = {}
    for index in settings.indexes:
        content = _asked(
            f"{index.rstrip('/')}/{canonicalize_name(name)}/",
            settings.certificate,
            "application/vnd.pypi.simple.v1+json, text/html;q=0.1",
        )
        try:
            files = [each.filename for each in msgspec.json.decode(content, type=_Index).files]
        except msgspec.DecodeError:
            files = _SDIST.findall(content.decode("utf-8", "replace"))
        for file in files:
            try:
                _, version = parse_sdist_filename(file)
            except InvalidSdistFilename:
                continue
            found.setdefault(str(version), f"pypi:{canonicalize_name(name)}=={version}:{file}")
    if not found:
        raise _unknown(name)
    return found


def of_debian(name: str, cache: Path) -> tuple[str, tuple[str, ...]]:
    """The newest version of a Debian source package and the origins of its archives."""
    version, files = DebianFetcher(cache / "apt").newest(name)
    if not files:
        raise _unknown(name)
    archives = sorted(each for each in files if re.search(r"\.tar\.\w+$", each))
    return version, tuple(f"debian:{name}={version}:{each}" for each in archives)


def _asked(address: str, certificate: str | None, accept: str) -> bytes:
    try:
        with (
            httpx.Client(
                verify=trusting(certificate), timeout=_TIMEOUT_S, follow_redirects=True
            ) as client,
            client.stream("GET", address, headers={"accept": accept}) as response,
        ):
            if response.status_code == httpx.codes.NOT_FOUND:
                raise _unknown(address.rstrip("/").rsplit("/", 1)[-1])
            response.raise_for_status()
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _MOST:
                    break
    except (httpx.HTTPError, ValueError) as error:
        raise UnavailableError(
            f"The list of releases could not be fetched ({type(error).__name__}).",
            next_step="Check the network and the package index of this machine.",
        ) from error
    if len(content) > _MOST:
        raise TooLargeError(
            f"The list of releases is longer than {_MOST} bytes.",
            next_step="Give the releases with --vulnerable and --fixed.",
        )
    return bytes(content)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"No source of {name[:100]!a} is published where this machine looks.",
        next_step="Check the name, and the index or archive that is configured.",
    )

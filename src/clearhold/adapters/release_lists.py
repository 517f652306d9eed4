"""What versions of a package are published, and from which origin each comes.

Lists are bounded and come from wherever pip, npm and apt of this machine are configured to ask.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
from packaging.utils import canonicalize_name
from packaging.version import Version

from clearhold.adapters.download import reason_of
from clearhold.adapters.guarded_address import Network
from clearhold.adapters.guarded_client import guarded_client
from clearhold.adapters.sources_debian import DebianFetcher
from clearhold.adapters.sources_npm import npm_settings
from clearhold.adapters.sources_pypi import pip_settings
from clearhold.kernel.errors import NotFoundError, TooLargeError, UnavailableError
from clearhold.kernel.purl import Purl
from clearhold.wire import npm_package, pypi_index
from clearhold.wire.npm_package import NpmPackage
from clearhold.wire.pypi_index import PypiFile

_MOST: Final = 32 * 1024 * 1024
_TIMEOUT_S: Final = 30.0
_NPM: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")
_INDEX: Final = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def of_npm(name: str, *, also: Sequence[Network] = ()) -> NpmPackage:
    """What the registry tells of a package. Raises `UnavailableError` and `NotFoundError`."""
    if not _NPM.fullmatch(name):
        raise _unknown(name)
    settings = npm_settings()
    address = f"{settings.registry_of(name)}{quote(name, safe='@/')}"
    return npm_package.read(
        _asked(
            address,
            settings.certificate,
            "application/json",
            settings.headers(address),
            also=also,
        )
    )


def of_pypi(name: str, *, also: Sequence[Network] = ()) -> list[PypiFile]:
    """The files of a Python project in all indexes that pip asks; raises as `of_npm`."""
    settings = pip_settings()
    found: dict[str, PypiFile] = {}
    for index in settings.indexes:
        address = f"{index.rstrip('/')}/{canonicalize_name(name)}/"
        with contextlib.suppress(NotFoundError):
            for file in pypi_index.read(_asked(address, settings.certificate, _INDEX, also=also)):
                found.setdefault(file.filename, file)
    if not found:
        raise _unknown(name)
    return list(found.values())


class RegistryReleases:
    """`ports.releases.ReleaseLists` from the registries of this machine.

    Of Debian, what its configured archives hold now; `cache` is where apt keeps its lists.
    """

    def __init__(self, cache: Path, *, also: Sequence[Network] = ()) -> None:
        self._cache = cache
        self._also = tuple(also)

    def releases(self, package: str) -> dict[str, tuple[str, ...]]:
        """The origins of each release by version; raises `NotFoundError`, `UnavailableError`."""
        purl = Purl.parse(package)
        if purl.type == "pypi":
            return _of_python(purl.name, self._also)
        if purl.type == "npm":
            name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
            proper = (each for each in of_npm(name, also=self._also).versions if "-" not in each)
            return {version: (f"npm:{name}@{version}",) for version in proper}
        if purl.type == "deb":
            held = DebianFetcher(self._cache / "apt").versions(purl.name)
            return {
                version: tuple(f"debian:{purl.name}={version}:{file}" for file in files)
                for version, files in held.items()
            }
        raise _unknown(purl.name)


def pypi_origin(name: str, file: PypiFile) -> str:
    """The origin of a file of a Python project, as recipes name it."""
    return f"pypi:{canonicalize_name(name)}=={file.version}:{file.filename}"


def _of_python(name: str, also: Sequence[Network]) -> dict[str, tuple[str, ...]]:
    """The source archives and pure wheels of each release that is none before a release proper."""
    found: dict[str, tuple[str, ...]] = {}
    for file in of_pypi(name, also=also):
        if (file.source or file.pure) and not Version(file.version).is_prerelease:
            found[file.version] = (*found.get(file.version, ()), pypi_origin(name, file))
    return found


def _asked(
    address: str,
    certificate: str | None,
    accept: str,
    headers: Mapping[str, str] | None = None,
    *,
    also: Sequence[Network],
) -> bytes:
    try:
        with (
            guarded_client(
                also=also, own=(address,), certificate=certificate, timeout_s=_TIMEOUT_S
            ) as client,
            client.stream(
                "GET", address, headers={"accept": accept, **(headers or {})}
            ) as response,
        ):
            if response.status_code == httpx.codes.NOT_FOUND:
                raise _unknown(address.rstrip("/").rsplit("/", 1)[-1])
            response.raise_for_status()
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _MOST:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnavailableError(
            f"The list of releases could not be fetched ({reason_of(error)}).",
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

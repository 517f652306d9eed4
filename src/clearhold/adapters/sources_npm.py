"""Published npm packages by name and version from the registry npm is configured for.

Only the tarball is brought: no lifecycle script runs, which `npm install` would do. Registry and
certificate are read from npm's own configuration (`npm_config_*`, the user's and the machine's
npmrc), so that a site configures its mirror once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from clearhold.adapters.download import download
from clearhold.adapters.guarded_address import Network
from clearhold.adapters.guarded_client import guarded_client
from clearhold.kernel.errors import InvalidError, UnavailableError

_LOCATOR = re.compile(
    r"((?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*)@([0-9][0-9A-Za-z.+-]*)"
)
_TOKEN = ":_authToken"  # noqa: S105 - how npmrc's settings of tokens end
_DEFAULT = "https://registry.npmjs.org/"


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What npm would use: the registry's address and a CA bundle or None.

    `scopes` are the registries of scopes (`@scope`), `tokens` what npmrc gives for a registry, by
    its address without scheme (`//host/path/`).
    """

    registry: str
    certificate: str | None
    scopes: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def registry_of(self, name: str) -> str:
        """The registry that a package of that name comes from."""
        scope, slash, _ = name.partition("/")
        return self.scopes.get(scope, self.registry) if slash else self.registry

    def headers(self, address: str) -> dict[str, str]:
        """What a registry wants to be told; a token goes to nobody but who it is for."""
        parts = urlsplit(address)
        place = f"//{parts.netloc}{parts.path}"
        fitting = [each for each in self.tokens if place.startswith(each)]
        if not fitting:
            return {}
        return {"authorization": f"Bearer {self.tokens[max(fitting, key=len)]}"}


def npm_settings() -> RegistrySettings:
    """Read `npm_config_*` variables, then the user's npmrc, then the machine's."""
    found: dict[str, str] = {}
    home = Path(os.environ.get("npm_config_userconfig") or Path.home() / ".npmrc")  # noqa: SIM112 - npm's own spelling
    for file in (Path("/etc/npmrc"), Path("/usr/etc/npmrc"), home):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            name, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                found[name.strip()] = value.strip().strip('"')
    for name in ("registry", "cafile"):
        found[name] = os.environ.get(f"npm_config_{name}") or found.get(name, "")
    return RegistrySettings(
        _address(found["registry"]) or _DEFAULT,
        found["cafile"] or None,
        {
            name.removesuffix(":registry"): _address(value)
            for name, value in found.items()
            if name.startswith("@") and name.endswith(":registry") and _address(value)
        },
        {
            f"{name.removesuffix(_TOKEN).rstrip('/')}/": _expanded(value)
            for name, value in found.items()
            if name.startswith("//") and name.endswith(_TOKEN)
        },
    )


def _address(stated: str) -> str:
    """A registry's address with a slash at its end; empty when it is none."""
    known = urlsplit(stated).scheme in {"http", "https"}
    return f"{stated.rstrip('/')}/" if known else ""


def _expanded(value: str) -> str:
    """A setting with the environment's value for each `${NAME}`."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: os.environ.get(found[1], ""), value)


class NpmFetcher:
    """`ports.sources.Fetcher` for locators `NAME@VERSION` and `@SCOPE/NAME@VERSION`."""

    def __init__(
        self,
        settings: RegistrySettings | None = None,
        *,
        also: Sequence[Network] = (),
        timeout_s: float = 30.0,
    ) -> None:
        self._settings = settings
        self._also = tuple(also)
        self._timeout_s = timeout_s

    def fetch(self, locator: str, target: Path, *, size_cap: int) -> None:
        """Write the tarball of that version to `target`."""
        match = _LOCATOR.fullmatch(locator)
        if match is None:
            raise InvalidError(
                f"{locator!r} names no published npm package.", next_step="Write NAME@VERSION."
            )
        name, version = match.groups()
        settings = self._settings or npm_settings()
        file = f"{name.rsplit('/', 1)[-1]}-{version}.tgz"
        address = f"{settings.registry_of(name)}{quote(name, safe='@/')}/-/{quote(file)}"
        with guarded_client(
            also=self._also,
            own=(address,),
            certificate=settings.certificate,
            timeout_s=self._timeout_s,
        ) as client:
            client.headers.update(settings.headers(address))
            reason = download(client, address, target, size_cap=size_cap)
        if reason:
            raise UnavailableError(
                f"{file} could not be fetched ({reason}).",
                next_step="Connect to the npm registry, or set npm's `registry` to a mirror.",
            )

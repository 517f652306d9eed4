"""Every setting there is, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from clearhold.kernel.errors import InvalidError
from clearhold.ports.sandbox import Tier

PREFIX = "CLEARHOLD_"
LARGEST_QUANTUM = 65536


@dataclass(frozen=True, slots=True)
class Settings:
    """How one hub is set up; each field is `CLEARHOLD_` and its name in capitals.

    data_directory: everything the hub keeps: database, sealed artefacts, published repository.
    key_directory: the key ring and signing keys; never inside `data_directory` or its backups.
    key_ring: `file` for a ring in the key directory, `pkcs11` for keys that stay in a token.
    pkcs11_module, pkcs11_token, pkcs11_pin_file: that token: the library that talks to it, its
        label, and a file of mode 0600 with its PIN.
    releases_per_hour: how many sealed pieces one principal may be given within an hour.
    cache_directory: fetched sources and builds, safe to delete at any time.
    database: a database address; empty means SQLite in `data_directory`.
    host, port: where `clearhold serve` listens.
    executor: this process's name among several workers on one database, stable over restarts.
    heavy_slots: how many builds, replays or fuzzers run at once.
    least_tier: the weakest sandbox accepted for our own recipes with data-only proofs.
    public_url: the https address readers reach the public feeds at; it stands in advisories.
    log_interval, log_quantum: every so many seconds the public log shows so many entries more,
        leaves or padding. Both can be seen by everybody.
    publisher: the name advisories are issued under.
    cve_organisation, cve_short_name: the hub's identity in the CVE programme. The default UUID is
        nobody's; a hub that is a CVE numbering authority sets its own.
    """

    data_directory: Path = Path("/var/lib/clearhold")
    key_directory: Path = Path("/etc/clearhold/keys")
    cache_directory: Path = Path("/var/cache/clearhold")
    key_ring: str = "file"
    pkcs11_module: Path = Path("/usr/lib/softhsm/libsofthsm2.so")
    pkcs11_token: str = "clearhold"  # noqa: S105  # a label, no secret
    pkcs11_pin_file: Path = Path("/etc/clearhold/pin")
    releases_per_hour: int = 3000
    database: str = ""
    host: str = "127.0.0.1"
    port: int = 4409
    executor: str = "hub"
    heavy_slots: int = 2
    least_tier: Tier = Tier.NAMESPACES
    public_url: str = "https://clearhold.invalid"
    log_interval: int = 300
    log_quantum: int = 256
    publisher: str = "Clearhold hub"
    cve_organisation: str = "00000000-0000-4000-8000-000000000000"
    cve_short_name: str = "clearhold"

    @property
    def database_url(self) -> str:
        """The address the database is opened with."""
        return self.database or f"sqlite:///{self.data_directory / 'clearhold.db'}"

    @property
    def log_directory(self) -> Path:
        """Where the published log of the ledger lies, readable by everybody."""
        return self.data_directory / "log"

    @property
    def log_name(self) -> str:
        """The name the published log is signed under: its address without the scheme."""
        return f"{self.public_url.partition('://')[2].rstrip('/')}/log"

    @property
    def repository_directory(self) -> Path:
        """Where the published TUF repository lies, readable by everybody."""
        return self.data_directory / "published"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises `InvalidError` naming the variable that is wrong."""
    values: dict[str, object] = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        text = environment.get(name)
        if text is None or text == "":
            continue
        try:
            values[field.name] = _READERS[str(field.type)](text)
        except (ValueError, KeyError) as error:
            raise InvalidError(
                f"The setting {name} cannot be read.",
                next_step=f"It must be of the kind {field.type}; see docs/operations.md.",
            ) from error
    settings = Settings(**values)  # type: ignore[arg-type]  # readers give each field its type
    if settings.heavy_slots < 1:
        raise InvalidError(
            "CLEARHOLD_HEAVY_SLOTS must be at least 1.", next_step="Set it to the number of cores."
        )
    if not 0 <= settings.port < 1 << 16:
        raise InvalidError(
            "CLEARHOLD_PORT must be from 0 to 65535.", next_step="Choose a free port, such as 4409."
        )
    if settings.log_interval < 1 or not 1 <= settings.log_quantum <= LARGEST_QUANTUM:
        raise InvalidError(
            "The public log needs an interval of a second or more and a quantum from 1 to 65536.",
            next_step="Correct CLEARHOLD_LOG_INTERVAL and CLEARHOLD_LOG_QUANTUM.",
        )
    if settings.key_ring not in {"file", "pkcs11"}:
        raise InvalidError(
            "CLEARHOLD_KEY_RING must be file or pkcs11.", next_step="Leave it empty for a file."
        )
    if settings.releases_per_hour < 1:
        raise InvalidError(
            "CLEARHOLD_RELEASES_PER_HOUR must be at least 1.",
            next_step="Set it to how many pieces a busy person opens within an hour.",
        )
    if settings.least_tier is Tier.NONE:
        raise InvalidError(
            "CLEARHOLD_LEAST_TIER cannot be none: nothing runs outside a sandbox.",
            next_step="Set it to namespaces, namespaces_cgroup or gvisor.",
        )
    return settings


def _path(text: str) -> Path:
    if "\0" in text:
        message = "no path holds a NUL"
        raise ValueError(message)
    return Path(text).absolute()


_READERS: dict[str, Callable[[str], object]] = {
    "Path": _path,
    "str": str,
    "int": int,
    "Tier": lambda text: Tier[text.upper()],
}

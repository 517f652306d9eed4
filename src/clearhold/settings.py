"""Every setting there is, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from clearhold.kernel.errors import InvalidError
from clearhold.ports.sandbox import Tier

PREFIX = "CLEARHOLD_"
MOST_BUILDS = 200
MOST_BACKPORTS = 24
LARGEST_QUANTUM = 65536
LEAST_CONTEXT = 4096
LEAST_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """How one hub is set up; each field is `CLEARHOLD_` and its name in capitals.

    data_directory: everything the hub keeps: database, sealed artefacts, published repository.
    key_directory: the key ring and signing keys; never inside `data_directory` or its backups.
    key_ring: `file` for a ring in the key directory, `pkcs11` for keys that stay in a token.
    pkcs11_module, pkcs11_token, pkcs11_pin_file: that token: the library that talks to it, its
        label, and a file of mode 0600 with its PIN.
    releases_per_hour: how many sealed pieces one principal may be given within an hour.
    scan_answers, scan_told: how many claims of a party about one package are answered within a day,
        and how many of the answers may tell of others.
    scan_per_package, scan_exclusive: how many leases a party may hold on one package, and how many
        exclusive ones in all.
    cache_directory: fetched sources and builds, safe to delete at any time.
    database: a database address; empty means SQLite in `data_directory`.
    host, port: where `clearhold serve` listens.
    connections: how many may be open to it at once, half of them by one address; those of all who
        come through a proxy are the proxy's.
    executor: this process's name among several workers on one database, stable over restarts.
    heavy_slots: how many builds, replays or fuzzers run at once.
    least_tier: the weakest sandbox accepted for our own recipes with data-only proofs.
    least_tier_code: the weakest one accepted for strangers' code, such as a fix that is compiled.
    log_interval, log_quantum: every so many seconds the public log shows so many entries more,
        leaves or padding. Both can be seen by everybody.
    public_url: the https address readers reach the public feeds at; it stands in advisories, and
        passkeys work there alone. For development http://localhost with a port.
    publisher: the name advisories are issued under.
    cve_organisation, cve_short_name: the hub's identity in the CVE programme. The default UUID is
        nobody's; a hub that is a CVE numbering authority sets its own.
    recovery_hours: how long a recovery waits, so that whoever it concerns can object.
    oidc_networks: networks beside the public ones where sign-in providers may be asked, such as
        10.0.0.0/8, separated by commas.
    known_questions, known_claims: how many questions whether a flaw is known a party may ask in a
        room a day, and how many hits on others' findings of one package it is told of in 30 days.
    known_second: the https address of who holds the second half of the key for such questions;
        empty while the hub holds it whole. Its token lies in `known-second` in the key directory.
    recipes: a directory of recipes of the operator's own, one directory each, beside those shipped;
        empty for none.
    affected_builds: how many releases are built at most to tell which of them a proof that
        reproduced shows its flaw on; 0 to never do that by itself.
    backport_versions: to how many other versions of a package an accepted fix is brought by itself,
        each judged there; 0 to bring none unless somebody of the case names it.
    source_networks: networks beside the public ones where Git repositories and archives of packages
        may lie, and what a registry of one's own links to, such as 10.0.0.0/8.
    validation_spool: the directory through which validation workers are asked; empty while the hub
        validates on its own machine. The workers are enrolled in `workers` in the key directory.
    model_url, model_name: the base address of a language model that searches under leases, by
        OpenAI's chat completions, as https://host/v1, and what it is called there; empty for none.
    model_key_file: a file of mode 0600 with the key it asks for; empty when it asks for none.
    model_networks: networks beside the public ones where it may lie, such as 127.0.0.0/8.
    model_context: how many tokens it takes in at once, its answer included.
    model_tokens: how many tokens a party's campaigns may use up within a day.
    endpoint_networks: networks beside the public ones where developers' endpoints of models under
        test may lie, such as 127.0.0.0/8; only there without TLS.
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
    connections: int = 512
    executor: str = "hub"
    heavy_slots: int = 2
    least_tier: Tier = Tier.NAMESPACES
    least_tier_code: Tier = Tier.GVISOR
    public_url: str = "https://clearhold.invalid"
    log_interval: int = 300
    log_quantum: int = 256
    publisher: str = "Clearhold hub"
    cve_organisation: str = "00000000-0000-4000-8000-000000000000"
    cve_short_name: str = "clearhold"
    recovery_hours: int = 24
    scan_answers: int = 12
    scan_told: int = 3
    scan_per_package: int = 16
    scan_exclusive: int = 256
    oidc_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    known_questions: int = 16
    known_claims: int = 4
    known_second: str = ""
    recipes: str = ""
    affected_builds: int = 24
    backport_versions: int = 6
    source_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    validation_spool: str = ""
    model_url: str = ""
    model_name: str = ""
    model_key_file: str = ""
    model_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    model_context: int = 32_000
    model_tokens: int = 2_000_000
    endpoint_networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def database_url(self) -> str:
        """The address the database is opened with."""
        return self.database or f"sqlite:///{self.data_directory / 'clearhold.db'}"

    @property
    def recipe_directory(self) -> Path | None:
        """Where the operator's own recipes lie."""
        return Path(self.recipes) if self.recipes else None

    @property
    def log_directory(self) -> Path:
        """Where the published log of the ledger lies, readable by everybody."""
        return self.data_directory / "log"

    @property
    def log_name(self) -> str:
        """The name the published log is signed under: its address without the scheme."""
        return f"{self.public_url.partition('://')[2].rstrip('/')}/log"

    @property
    def oidc_secrets(self) -> Path:
        """Where the secrets lie that sign-in providers gave the hub, one file each."""
        return self.key_directory / "oidc"

    @property
    def workers_directory(self) -> Path:
        """Where the validation workers that the hub knows are enrolled, one file each."""
        return self.key_directory / "workers"

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
    for sound, message, next_step in _demands(settings):
        if not sound:
            raise InvalidError(message, next_step=next_step)
    return settings


def _demands(settings: Settings) -> Iterator[tuple[bool, str, str]]:
    """What must hold of the settings, and what is told when it does not."""
    yield (
        0 <= settings.affected_builds <= MOST_BUILDS,
        f"CLEARHOLD_AFFECTED_BUILDS must be from 0 to {MOST_BUILDS}.",
        "Set it to 0 to replay no proofs over releases.",
    )
    yield (
        0 <= settings.backport_versions <= MOST_BACKPORTS,
        f"CLEARHOLD_BACKPORT_VERSIONS must be from 0 to {MOST_BACKPORTS}.",
        "Set it to 0 to bring no fix to other versions by itself.",
    )
    yield (
        settings.heavy_slots >= 1,
        "CLEARHOLD_HEAVY_SLOTS must be at least 1.",
        "Set it to the number of cores.",
    )
    yield (
        0 <= settings.port < 1 << 16,
        "CLEARHOLD_PORT must be from 0 to 65535.",
        "Choose a free port, such as 4409.",
    )
    yield (
        settings.connections >= LEAST_CONNECTIONS,
        f"CLEARHOLD_CONNECTIONS must be at least {LEAST_CONNECTIONS}.",
        "Leave it empty for 512; each takes a file descriptor.",
    )
    yield (
        settings.log_interval >= 1 and 1 <= settings.log_quantum <= LARGEST_QUANTUM,
        "The public log needs an interval of a second or more and a quantum from 1 to 65536.",
        "Correct CLEARHOLD_LOG_INTERVAL and CLEARHOLD_LOG_QUANTUM.",
    )
    yield (
        settings.key_ring in {"file", "pkcs11"},
        "CLEARHOLD_KEY_RING must be file or pkcs11.",
        "Leave it empty for a file.",
    )
    yield (
        min(
            settings.scan_answers,
            settings.scan_told,
            settings.scan_per_package,
            settings.scan_exclusive,
        )
        >= 1,
        (
            "CLEARHOLD_SCAN_ANSWERS, CLEARHOLD_SCAN_TOLD, CLEARHOLD_SCAN_PER_PACKAGE and"
            " CLEARHOLD_SCAN_EXCLUSIVE must be at least 1."
        ),
        "Correct the one that is 0 or less.",
    )
    yield (
        settings.releases_per_hour >= 1,
        "CLEARHOLD_RELEASES_PER_HOUR must be at least 1.",
        "Set it to how many pieces a busy person opens within an hour.",
    )
    yield (
        1 <= settings.recovery_hours <= 24 * 30,
        "CLEARHOLD_RECOVERY_HOURS must be from 1 to 720.",
        "Leave people a day to see a recovery they did not ask for.",
    )
    yield (
        _reachable_by_browsers(settings.public_url),
        "CLEARHOLD_PUBLIC_URL must be an https address, or http://localhost for development.",
        "Passkeys and session cookies are safe nowhere else.",
    )
    yield (
        settings.known_questions >= 1 and settings.known_claims >= 0,
        "CLEARHOLD_KNOWN_QUESTIONS must be at least 1 and CLEARHOLD_KNOWN_CLAIMS at least 0.",
        "Leave them empty for 16 and 4.",
    )
    yield (
        not settings.known_second or _reachable_by_browsers(settings.known_second),
        "CLEARHOLD_KNOWN_SECOND must be an https address, or http://localhost for development.",
        "Leave it empty while the hub holds the whole key.",
    )
    yield (
        not settings.model_url or (_is_base(settings.model_url) and settings.model_name != ""),
        "CLEARHOLD_MODEL_URL must be a plain http or https address, with CLEARHOLD_MODEL_NAME beside it.",
        "Write it as https://host/v1, and the key into the file of CLEARHOLD_MODEL_KEY_FILE.",
    )
    yield (
        settings.model_context >= LEAST_CONTEXT and settings.model_tokens >= 0,
        f"CLEARHOLD_MODEL_CONTEXT must be at least {LEAST_CONTEXT} and CLEARHOLD_MODEL_TOKENS at least 0.",
        "Leave them empty for 32000 and 2000000.",
    )
    yield (
        settings.least_tier is not Tier.NONE,
        "CLEARHOLD_LEAST_TIER cannot be none: nothing runs outside a sandbox.",
        "Set it to namespaces, namespaces_cgroup or gvisor.",
    )
    yield (
        settings.least_tier_code >= Tier.NAMESPACES_CGROUP,
        "CLEARHOLD_LEAST_TIER_CODE cannot be weaker than namespaces_cgroup.",
        "Set it to gvisor, or to namespaces_cgroup where no gVisor can be had.",
    )


def _path(text: str) -> Path:
    if "\0" in text:
        message = "no path holds a NUL"
        raise ValueError(message)
    return Path(text).absolute()


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(each.strip()) for each in text.split(","))


def _reachable_by_browsers(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return host != "" and (
        parts.scheme == "https" or (parts.scheme == "http" and host in {"localhost", "127.0.0.1"})
    )


def _is_base(address: str) -> bool:
    """Whether a path can be added to an address, and nothing secret stands in it."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return plain and host != "" and parts.scheme in {"http", "https"}


_READERS: dict[str, Callable[[str], object]] = {
    "Path": _path,
    "str": str,
    "int": int,
    "tuple[IPv4Network | IPv6Network, ...]": _networks,
    "Tier": lambda text: Tier[text.upper()],
}

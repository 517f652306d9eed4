"""The analysers there are: where each comes from, pinned, how it is run, and what it reads.

Each is run as a program of its own in the sandbox and writes SARIF 2.1.0. bandit is Apache-2.0,
ruff is MIT, Semgrep is LGPL-2.1 and brings no rules of its own: those it is run with are ours.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from clearhold.validation.recipe import Source

MACHINES: Final = frozenset({"x86_64"})
"""Machines for which the pinned files are built."""

_PYTHON: Final = frozenset({".py", ".pyi"})
_BANDIT_FILES: Final = (
    Source(
        "pypi:attrs==26.1.0:attrs-26.1.0-py3-none-any.whl",
        "c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309",
    ),
    Source(
        "pypi:bandit==1.9.4:bandit-1.9.4-py3-none-any.whl",
        "f89ffa663767f5a0585ea075f01020207e966a9c0f2b9ef56a57c7963a3f6f8e",
    ),
    Source(
        "pypi:jschema_to_python==1.2.3:jschema_to_python-1.2.3-py3-none-any.whl",
        "8a703ca7604d42d74b2815eecf99a33359a8dccbb80806cce386d5e2dd992b05",
    ),
    Source(
        "pypi:pbr==7.1.3:pbr-7.1.3-py2.py3-none-any.whl",
        "6583e878a1d97cb135fdc509811f31b9235905cde8d4dacd3dbadf9efc45d745",
    ),
    Source(
        "pypi:pyyaml==6.0.4:pyyaml-6.0.4-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl",
        "622aa875fa6533f25fedcffe23079357d65a690d462200afed5d8e9d0e01ebee",
    ),
    Source(
        "pypi:rich==15.0.0:rich-15.0.0-py3-none-any.whl",
        "33bd4ef74232fb73fe9279a257718407f169c09b78a87ad3d296f548e27de0bb",
    ),
    Source(
        "pypi:sarif_om==1.0.4:sarif_om-1.0.4-py3-none-any.whl",
        "539ef47a662329b1c8502388ad92457425e95dc0aaaf995fe46f4984c4771911",
    ),
    Source(
        "pypi:stevedore==5.10.0:stevedore-5.10.0-py3-none-any.whl",
        "47c48dc09e75933106c1bba0a7690eef3b5acecdb807df6d47cc40b2532fa927",
    ),
)
_RUFF_FILES: Final = (
    Source(
        "pypi:ruff==0.17.6:ruff-0.17.6-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "aa3b08254a732acba246891089a152c47c5733dc36b8ecb76ce8602f8326e5e4",
    ),
)
_SEMGREP_FILES: Final = (
    Source(
        "pypi:semgrep==1.185.0:semgrep-1.185.0-cp310.cp311.cp312.cp313.cp314"
        ".py310.py311.py312.py313.py314-none-manylinux_2_34_x86_64.whl",
        "0eb6aaadad5b957af96d1300487e10af1dc8016e8ef53072effb48cd4906c02b",
    ),
)


@dataclass(frozen=True, slots=True)
class Analyser:
    """One program that reads source and writes SARIF.

    `files` are its pinned wheels, found in the sandbox at `/tool/0`, `/tool/1` and so on in that
    order; `program` is what is run, as `argv`. `reads` are the suffixes of files that it
    understands, `rules` files of ours that it is given below `/in/rules`. `largest` is the size in
    bytes up to which its wheels are fetched. With `authority` it does not start unless it finds a
    certificate authority, at `/in/authority.pem`.
    """

    name: str
    version: str
    files: tuple[Source, ...]
    program: str
    argv: tuple[str, ...]
    reads: frozenset[str]
    env: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, bytes] = field(default_factory=dict)
    largest: int = 32 << 20
    memory_mb: int = 1024
    authority: bool = False

    @property
    def digest(self) -> str:
        """What tells this analyser with these rules from another (SHA-256, hex)."""
        said = [self.name, self.version, self.program, *self.argv]
        said += [each.sha256 for each in self.files]
        said += [
            f"{name}={hashlib.sha256(text).hexdigest()}"
            for name, text in sorted(self.rules.items())
        ]
        return hashlib.sha256("\0".join(said).encode()).hexdigest()

    def is_in(self, cache: Path) -> bool:
        """Whether its wheels lie unpacked in a laboratory's cache, so that none need be fetched."""
        return all((cache / "trees" / each.sha256).is_dir() for each in self.files)


def bandit() -> Analyser:
    """Bandit with all its rules but B101, which points at every assertion."""
    places = ":".join(f"/tool/{number}" for number in range(len(_BANDIT_FILES)))
    return Analyser(
        name="bandit",
        version="1.9.4",
        files=_BANDIT_FILES,
        program="/usr/bin/python3",
        argv=(
            *("python3", "-sSP", "-m", "bandit", "-q", "-r", "staged", "-f", "sarif"),
            *("--ignore-nosec", "--exit-zero", "-s", "B101", "-x", " "),
        ),
        reads=_PYTHON,
        env={"PYTHONPATH": places},
    )


def ruff() -> Analyser:
    """Ruff with its security rules but S101, which points at every assertion."""
    return Analyser(
        name="ruff",
        version="0.17.6",
        files=_RUFF_FILES,
        program="/tool/0/ruff-0.17.6.data/scripts/ruff",
        argv=(
            *("ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"),
            *("--no-respect-gitignore", "--ignore-noqa", "--select", "S", "--ignore", "S101"),
            *("--output-format", "sarif", "staged"),
        ),
        reads=_PYTHON,
    )


def semgrep() -> Analyser:
    """Semgrep with the rules in `rules/`, which are ours; it is told to ask no server."""
    return Analyser(
        name="semgrep",
        version="1.185.0",
        files=_SEMGREP_FILES,
        program="/tool/0/semgrep-1.185.0.data/purelib/semgrep/bin/semgrep-core",
        argv=(
            *("osemgrep", "scan", "--experimental", "--metrics", "off", "--quiet"),
            *("--disable-version-check", "--disable-nosem", "--no-git-ignore", "-j", "1"),
            *("--timeout", "10", "--config", "/in/rules", "--sarif", "staged"),
        ),
        reads=_PYTHON | {".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".js", ".cjs", ".mjs"},
        env={"SEMGREP_SEND_METRICS": "off", "SSL_CERT_FILE": "/in/authority.pem"},
        rules=_own_rules(),
        authority=True,
        largest=128 << 20,
        memory_mb=3072,
    )


def all_analysers() -> tuple[Analyser, ...]:
    """Every analyser, in the order of their names."""
    return (bandit(), ruff(), semgrep())


def built_for_here() -> bool:
    """Whether the pinned files run on this kind of machine."""
    return platform.machine() in MACHINES


@functools.cache
def lonely_authority() -> bytes:
    """The certificate, in PEM, of an authority that has vouched for nobody; its key is gone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def _own_rules() -> dict[str, bytes]:
    directory = resources.files("clearhold.discovery.static") / "rules"
    return {
        each.name: each.read_bytes() for each in directory.iterdir() if each.name.endswith(".yaml")
    }

"""What a party can stand for: a domain, a network, a repository, a package or a namespace of them.

Each has one canonical text, equal for equal things: `domain:example.org`,
`network:192.0.2.0/24`, `repository:https://github.com/owner/name`, `pkg:pypi/name`, and `pkg:npm/%40scope/` with a slash at
its end for a namespace.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl

_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_REPOSITORY: Final = re.compile(
    r"https://(?P<host>github\.com|gitlab\.com)/(?P<path>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+){1,6})"
)
_LONGEST_DOMAIN: Final = 253
_LONGEST: Final = 1200
WIDEST: Final = {4: 8, 6: 16}
"""The shortest prefix of a network that one party can stand for, by version of IP."""


class SubjectKind(StrEnum):
    """What it is that a party stands for."""

    DOMAIN = "domain"
    NETWORK = "network"
    REPOSITORY = "repository"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class Subject:
    """One of them, by its canonical text."""

    kind: SubjectKind
    text: str

    @property
    def name(self) -> str:
        """The domain or address alone; a package's URL as it is."""
        return self.text.partition(":")[2] if self.kind is not SubjectKind.PACKAGE else self.text


def parse(text: str) -> Subject:
    """A subject from what a person writes; raises `InvalidError` with the forms there are.

    Taken are a domain, `network:` and a block of addresses, the https address of a repository at GitHub or GitLab, and a package URL,
    with a slash at its end for a namespace.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise InvalidError("That is too long to name anything.")
    if text.startswith("pkg:"):
        return Subject(SubjectKind.PACKAGE, _package(text))
    if text.startswith("network:"):
        return Subject(SubjectKind.NETWORK, f"network:{_network(text.partition(':')[2])}")
    plain = text.removeprefix("repository:")
    if plain.startswith("https://"):
        return Subject(SubjectKind.REPOSITORY, f"repository:{_repository(plain)}")
    return Subject(SubjectKind.DOMAIN, f"domain:{domain(text.removeprefix('domain:'))}")


def domain(text: str) -> str:
    """A domain name in its canonical form; raises `InvalidError` when it is none."""
    name = text.strip().lower().removesuffix(".")
    labels = name.split(".")
    shaped = all(_LABEL.fullmatch(label) for label in labels)
    if len(labels) < 2 or not shaped or len(name) > _LONGEST_DOMAIN or labels[-1].isdigit():
        raise InvalidError(
            "That is not a domain name.",
            next_step="Write it as example.org, and letters beyond ASCII in their xn-- form.",
        )
    return name


def covering(subject: Subject) -> tuple[str, ...]:
    """The subjects that cover this one, itself included: whoever stands for them stands for it.

    A domain covers those below it, a network those within it, a namespace its packages and the namespaces below it, and a
    repository the package URL that names it.
    """
    match subject.kind:
        case SubjectKind.DOMAIN:
            labels = subject.name.split(".")
            return tuple(f"domain:{'.'.join(labels[at:])}" for at in range(len(labels) - 1))
        case SubjectKind.NETWORK:
            network = ipaddress.ip_network(subject.name)
            lengths = range(network.prefixlen, WIDEST[network.version] - 1, -1)
            return tuple(f"network:{network.supernet(new_prefix=each)}" for each in lengths)
        case SubjectKind.PACKAGE:
            return tuple(_over(subject.text))
        case SubjectKind.REPOSITORY:
            return (subject.text,)


def of_package(package: Purl) -> Subject:
    """The subject that a package is, whatever the version."""
    return Subject(SubjectKind.PACKAGE, str(package.package))


def of_domain(name: str) -> Subject:
    """The subject that a domain is. Raises `InvalidError`."""
    return Subject(SubjectKind.DOMAIN, f"domain:{domain(name)}")


def of_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Subject:
    """The subject that a block of addresses is."""
    return Subject(SubjectKind.NETWORK, f"network:{network}")


def _network(text: str) -> str:
    """A block of addresses; only a coordinator can confirm who stands for one."""
    try:
        network = ipaddress.ip_network(text if "/" in text and "%" not in text else "")
    except ValueError as error:
        raise _no_network() from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if network.prefixlen < WIDEST[network.version] or mapped is not None:
        raise _no_network()
    return str(network)


def _no_network() -> InvalidError:
    return InvalidError(
        "That is not a network that one party can stand for.",
        next_step="Write it as network:192.0.2.0/24 or network:2001:db8::/32, host bits zero.",
    )


def _over(text: str) -> Iterator[str]:
    yield text
    package = _inner(text) if text.endswith("/") else Purl.parse(text)
    spaces = (package.namespace or "").split("/") if package.namespace else []
    depth = len(spaces) - 1 if text.endswith("/") else len(spaces)
    for length in range(depth, 0, -1):
        yield _namespace(package.type, "/".join(spaces[:length]))
    if package.type in {"github", "gitlab"} and not text.endswith("/"):
        path = "/".join((*spaces, package.name))
        yield f"repository:https://{package.type}.com/{path}".lower()


def _package(text: str) -> str:
    if not text.endswith("/"):
        return str(Purl.parse(text).package)
    inner = _inner(text)
    if not inner.namespace:
        raise InvalidError(
            "That names every package there is of a type.",
            next_step="Write a namespace with a slash at its end, as pkg:npm/%40scope/.",
        )
    return _namespace(inner.type, inner.namespace)


def _inner(text: str) -> Purl:
    """The namespace of `text` as that of a package in it: for reading and normalising alone."""
    return Purl.parse(f"{text.rstrip('/')}/x")


def _namespace(kind: str, namespace: str) -> str:
    return str(Purl(type=kind, namespace=namespace, name="x"))[:-1]


def _repository(address: str) -> str:
    match = _REPOSITORY.fullmatch(address.rstrip("/").removesuffix(".git"))
    parts = match["path"].split("/") if match else []
    deep = match is not None and match["host"] == "github.com" and len(parts) != 2
    if match is None or deep or {".", "..", "-"} & set(parts):
        raise InvalidError(
            "That is not the address of a repository at GitHub or GitLab.",
            next_step="Write it as https://github.com/owner/name; for others verify the domain.",
        )
    # Both hosts take names in any case for the same repository.
    return address.rstrip("/").removesuffix(".git").lower()

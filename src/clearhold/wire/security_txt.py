"""security.txt (RFC 9116): how to reach those who answer for the security of a domain.

Read strictly: a file that breaks a rule of sections 2 to 4 is refused, whatever else it says. Whether
it was signed (section 2.3) is noted; the signature itself is not checked, since nobody here knows
the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from clearhold.kernel.errors import InvalidError, TooLargeError

LARGEST: Final = 16 * 1024
MOST_FIELDS: Final = 200
_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]+(\S.*?)[ \t]*")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_MAIL: Final = re.compile(r"[^@\s<>\"(),:;\\\[\]]{1,64}@[A-Za-z0-9.-]{1,253}(\?\S*)?")
_TELEPHONE: Final = re.compile(r"\+?[0-9().-]{3,40}(;\S*)?")
_BEGIN: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = "-----BEGIN PGP SIGNATURE-----"
_END: Final = "-----END PGP SIGNATURE-----"
_LINKS: Final = ("acknowledgments", "canonical", "hiring", "policy")


@dataclass(frozen=True, slots=True)
class SecurityTxt:
    """What such a file says; contacts stand in order of preference, as the RFC has it."""

    contacts: tuple[str, ...]
    expires: datetime
    encryption: tuple[str, ...]
    policy: tuple[str, ...]
    languages: tuple[str, ...]
    canonical: tuple[str, ...]
    signed: bool


def read(data: bytes) -> SecurityTxt:
    """Read a file; raises `TooLargeError`, or `InvalidError` naming the rule it breaks."""
    if len(data) > LARGEST:
        raise TooLargeError("A security.txt has at most 16 KiB.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken("it is not UTF-8") from error
    lines, signed = _unwrapped(re.split(r"\r?\n", text))
    found: dict[str, list[str]] = {}
    for name, value in _fields(lines):
        found.setdefault(name, []).append(_checked(name, value))
    if not found.get("contact"):
        raise _broken("it has no Contact")
    if len(found.get("expires", ())) != 1:
        raise _broken("it needs exactly one Expires")
    if len(found.get("preferred-languages", ())) > 1:
        raise _broken("it has more than one Preferred-Languages")
    languages = ",".join(found.get("preferred-languages", ()))
    return SecurityTxt(
        contacts=tuple(found["contact"]),
        expires=_instant(found["expires"][0]),
        encryption=tuple(found.get("encryption", ())),
        policy=tuple(found.get("policy", ())),
        languages=tuple(each.strip() for each in languages.split(",") if each.strip()),
        canonical=tuple(found.get("canonical", ())),
        signed=signed,
    )


def _unwrapped(lines: list[str]) -> tuple[list[str], bool]:
    """The lines that count, and whether they stood in a cleartext signature (RFC 9580, 7)."""
    if lines[0] != _BEGIN:
        if any(line.startswith("-----BEGIN PGP") for line in lines):
            raise _broken("its signature does not cover all of it")
        return lines, False
    rest = [line.rstrip() for line in lines]
    while rest and not rest[-1]:
        rest.pop()
    try:
        blank, signature = rest.index(""), rest.index(_SIGNATURE)
    except ValueError as error:
        raise _broken("its signature is cut off") from error
    if blank > signature or rest[-1] != _END:
        raise _broken("its signature is cut off")
    inner = rest[blank + 1 : signature]
    escaped = [line.removeprefix("- ") for line in inner]
    if any(line.startswith("-") and not line.startswith("- ") for line in inner):
        raise _broken("its signed part is not escaped")
    return escaped, True


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    seen = 0
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = _FIELD.fullmatch(line)
        seen += 1
        if match is None or not line.replace("\t", " ").isprintable() or seen > MOST_FIELDS:
            raise _broken("a line is neither a field nor a comment")
        yield match[1].lower(), match[2]


def _checked(name: str, value: str) -> str:
    if name == "contact" and not _reaches(value):
        raise _broken("a Contact is not a mailto, tel or https address")
    if name == "encryption" and not (_web(value) or value.startswith(("openpgp4fpr:", "dns:"))):
        raise _broken("an Encryption is not an https, dns or openpgp4fpr address")
    if name in _LINKS and not _web(value):
        raise _broken(f"a {name.title()} is not an https address")
    if name == "expires":
        _instant(value)
    if name == "preferred-languages" and not all(
        _LANGUAGE.fullmatch(each.strip()) for each in value.split(",")
    ):
        raise _broken("Preferred-Languages are not language tags")
    return value


def _reaches(value: str) -> bool:
    scheme, _, rest = value.partition(":")
    match scheme.lower():
        case "mailto":
            return _MAIL.fullmatch(rest) is not None
        case "tel":
            return _TELEPHONE.fullmatch(rest) is not None
        case _:
            return _web(value)


def _web(value: str) -> bool:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  # it is read to see whether it is one
    except ValueError:
        return False
    plain = not any(char.isspace() for char in value)
    return plain and parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc


def _instant(value: str) -> datetime:
    if _TIME.fullmatch(value) is None:
        raise _broken("Expires is not an instant of RFC 3339")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _broken("Expires is not an instant there is") from error


def _broken(rule: str) -> InvalidError:
    return InvalidError(
        f"The security.txt cannot be used: {rule}.",
        next_step="Correct it as RFC 9116 says, then try again.",
    )

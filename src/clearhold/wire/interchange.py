"""Federation records of scrutineer: in-toto Statements (v1) of five kinds, and sets of them.

The kinds are those of its schema `interchange/v1`: certificate (v1: a fix was looked at again and
holds; v2: it does not), claim (somebody holds a finding of that salted hash), optout and route. A
predicate's members are closed there and here: a record that carries more is refused, for it could
carry a finding's text to where nobody expects one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire.json_bounds import Limits, check, decode, decode_checked

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREFIX: Final = "https://github.com/alpha-omega-security/scrutineer/interchange/"
MAX_RECORDS: Final = 1000
_LIMITS: Final = Limits(size=8 * 1024 * 1024, depth=32)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

Kind = Literal["certificate/v1", "certificate/v2", "claim/v1", "optout/v1", "route/v1"]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fix was audited again: it holds (v1), or was bypassed, left a variant or regressed (v2)."""

    repository: str
    advisory: str
    status: Literal["fixed", "bypass", "variant", "regressed"]
    audited_at: datetime
    advisory_url: str = ""
    commit: str = ""


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody holds a finding, whose salted hash is the record's subject."""

    contact: str


class OptOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A repository's maintainer is said to want neither scans nor messages."""

    repository: str
    requested_at: datetime
    reason: str = ""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a repository's maintainers are said to take reports."""

    repository: str
    channel: str
    verified_at: datetime


Predicate = Certificate | Claim | OptOut | Route
_PREDICATES: Final[dict[str, type[Predicate]]] = {
    "certificate/v1": Certificate,
    "certificate/v2": Certificate,
    "claim/v1": Claim,
    "optout/v1": OptOut,
    "route/v1": Route,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, the name and SHA-256 of its first subject, and what it says."""

    kind: str
    subject: str
    digest: str
    predicate: Predicate
    place: str


class _Subject(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: msgspec.Raw


def read(data: bytes) -> tuple[Record, ...]:
    """The records in `data`: one statement, an array of them, or one in each line.

    Raises `InvalidError`, which names the record, and `TooLargeError`.
    """
    records: list[Record] = []
    for place, statement in _statements(data):
        if len(records) == MAX_RECORDS:
            raise TooLargeError(
                f"There are more than {MAX_RECORDS} interchange records.",
                next_step="Send them in several submissions.",
            )
        records.append(_record(statement, place))
    if not records:
        raise InvalidError(
            "There is no interchange record.", next_step="Send one in-toto statement or several."
        )
    return tuple(records)


def _statements(data: bytes) -> Iterator[tuple[str, _Statement]]:
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        many = decode(data, list[_Statement], limits=_LIMITS, what="in-toto")
        yield from ((f"/{at}", each) for at, each in enumerate(many))
        return
    if len(data) > _LIMITS.size:
        check(data, limits=_LIMITS, what="in-toto")
    lines = [(at, line) for at, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    if len(lines) > 1 and all(line.strip()[:1] + line.strip()[-1:] == b"{}" for _, line in lines):
        for at, line in lines:
            yield (
                f"line {at}",
                decode(line, _Statement, limits=_LIMITS, what=f"in-toto, line {at},"),
            )
        return
    yield "", decode(data, _Statement, limits=_LIMITS, what="in-toto")


def _record(statement: _Statement, place: str) -> Record:
    where = f"The interchange record{f' at {place}' if place else ''}"
    if statement.type != STATEMENT or not statement.predicate_type.startswith(PREFIX):
        raise InvalidError(
            f"{where} is no in-toto statement of a kind that is taken.",
            next_step=f"Send a Statement v1 whose predicateType begins with {PREFIX}.",
        )
    kind = statement.predicate_type.removeprefix(PREFIX)
    if kind not in _PREDICATES:
        raise InvalidError(
            f"{where} is of the unknown kind {kind[:40]!a}.",
            next_step=f"Send one of: {', '.join(_PREDICATES)}.",
        )
    subject = statement.subject[0] if statement.subject else _Subject("", {})
    digest = subject.digest.get("sha256", "")
    if not subject.name or not _DIGEST.fullmatch(digest):
        raise InvalidError(
            f"{where} has no subject with a name and a SHA-256 digest.",
            next_step="Give both, the digest in 64 small hexadecimal digits.",
        )
    predicate = decode_checked(
        bytes(statement.predicate), _PREDICATES[kind], what=f"{kind} predicate"
    )
    if isinstance(predicate, Certificate) and (predicate.status == "fixed") is not (
        kind == "certificate/v1"
    ):
        raise InvalidError(
            f"{where} is a {kind} with the status {predicate.status}.",
            next_step="A fix that holds is certificate/v1, any other certificate/v2.",
        )
    for text in (subject.name, *_texts(predicate)):
        if not text.isprintable() or len(text) > 2000:
            raise InvalidError(
                f"{where} holds text that is too long or not one printable line.",
                next_step="Correct it and send it again.",
            )
    return Record(kind, subject.name, digest, predicate, place)


def _texts(predicate: Predicate) -> list[str]:
    given = (getattr(predicate, name) for name in predicate.__struct_fields__)
    return [each for each in given if isinstance(each, str)]

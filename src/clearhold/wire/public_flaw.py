"""A published record of a flaw, as public knowledge is taken in: OSV, CVE JSON 5, and KEV.

Read leniently, where `osv` and `cve_record` are strict about what this project itself publishes: a
product without package URL is named by vendor and product, and what is said unclearly counts as
affected, so that nothing that is known goes unrecognised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire import cve_record, cve_report, osv, osv_report
from clearhold.wire.claims import Claims
from clearhold.wire.json_bounds import decode

MOST_STATED: Final = 10_000
"""Ranges and versions of one package: what is judged while a finder waits for a receipt."""

_DISTRIBUTION = re.compile(r"(?:ALSA|RLSA|RHSA|SUSE|openSUSE|DSA|DLA|USN|ELSA|MGASA)\b")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9_.:-]{1,60}")


@dataclass(frozen=True, slots=True)
class PublicFlaw:
    """What is published of a flaw.

    `source` is `osv` or `cve`, `names` are all identifiers, `id` the record's own. `symbols` are functions the record itself
    lists as vulnerable. A withdrawn record has no claims.
    """

    source: str
    id: str
    names: tuple[str, ...]
    title: str
    text: str
    weaknesses: tuple[str, ...]
    symbols: tuple[str, ...]
    claims: Claims | None


@dataclass(frozen=True, slots=True)
class Exploited:
    """An entry of CISA's catalogue of known exploited vulnerabilities."""

    cve: str
    added: date
    ransomware: bool


class _Place(msgspec.Struct):
    specific: dict[str, Any] | None = msgspec.field(default=None, name="ecosystem_specific")


class _Osv(msgspec.Struct):
    id: str
    upstream: list[str] | None = None
    related: list[str] | None = None
    withdrawn: str | None = None
    affected: list[_Place] | None = None


class _Kind(msgspec.Struct):
    cve: dict[str, Any] | None = msgspec.field(default=None, name="cveMetadata")


class _Entry(msgspec.Struct):
    cve: str = msgspec.field(name="cveID")
    added: date = msgspec.field(name="dateAdded")
    ransomware: str = msgspec.field(default="Unknown", name="knownRansomwareCampaignUse")


class _Catalogue(msgspec.Struct):
    entries: list[_Entry] = msgspec.field(name="vulnerabilities")
    version: str = msgspec.field(name="catalogVersion")


def read(data: bytes) -> PublicFlaw:
    """The flaw in an OSV or CVE record.

    Raises `InvalidError` and `TooLargeError` for what is neither, is rejected, names no package, or
    states more than `MOST_STATED` versions of one.
    """
    of_cve = decode(data, _Kind, what="record").cve is not None
    flaw = _of_cve(data) if of_cve else _of_osv(data)
    affected = flaw.claims.affected.values() if flaw.claims else ()
    stated = max((len(each.ranges) + len(each.versions) for each in affected), default=0)
    if stated > MOST_STATED:
        raise TooLargeError(
            f"{flaw.id} states {stated} ranges and versions of a package; "
            f"at most {MOST_STATED} are taken.",
            next_step="Record it by hand with ranges in place of lists of versions.",
        )
    return flaw


def read_exploited(data: bytes) -> tuple[Exploited, ...]:
    """The entries of a catalogue of known exploited vulnerabilities, as CISA publishes it in JSON.

    Raises `InvalidError` and `TooLargeError`.
    """
    catalogue = decode(data, _Catalogue, what="KEV")
    for each in catalogue.entries:
        if not re.fullmatch(r"CVE-[0-9]{4}-[0-9]{4,19}", each.cve):
            raise InvalidError(
                f"{each.cve[:40]!a} is not a CVE identifier.",
                next_step="Take the catalogue as CISA publishes it.",
            )
    return tuple(
        Exploited(each.cve, each.added, each.ransomware == "Known") for each in catalogue.entries
    )


def _of_osv(data: bytes) -> PublicFlaw:
    extra = decode(data, _Osv, what="OSV")
    if extra.withdrawn is not None:
        return PublicFlaw("osv", _named(extra.id), (_named(extra.id),), "", "", (), (), None)
    told = osv_report.read(data)
    names = [*told.names, *(extra.upstream or ())]
    # A distribution's advisory lists the flaws it is about as related where it has no better word.
    if len(names) == 1 and _DISTRIBUTION.match(extra.id):
        names += extra.related or ()
    return PublicFlaw(
        source="osv",
        id=_named(extra.id),
        names=tuple(dict.fromkeys(_named(each) for each in names)),
        title=told.title,
        text=told.description,
        weaknesses=told.weaknesses,
        symbols=tuple(
            dict.fromkeys(name for one in extra.affected or () for name in _symbols(one.specific))
        ),
        claims=osv.read(data, lenient=True),
    )


def _of_cve(data: bytes) -> PublicFlaw:
    told = cve_report.read(data)
    return PublicFlaw(
        source="cve",
        id=_named(told.names[0]),
        names=told.names,
        title=told.title,
        text=told.description,
        weaknesses=told.weaknesses,
        symbols=(),
        claims=cve_record.read(data, lenient=True),
    )


def _symbols(specific: dict[str, Any] | None) -> list[str]:
    """Functions as Go's and Rust's databases list them."""
    given = specific or {}
    imports = given.get("imports")
    affects = given.get("affects")
    found: list[Any] = []
    for each in imports if isinstance(imports, list) else []:
        symbols = each.get("symbols") if isinstance(each, dict) else None
        found += symbols if isinstance(symbols, list) else []
    if isinstance(affects, dict) and isinstance(affects.get("functions"), list):
        found += affects["functions"]
    return [each for each in found if isinstance(each, str) and len(each) <= 300]


def _named(identity: str) -> str:
    if not _NAME.fullmatch(identity):
        raise InvalidError(
            f"{identity[:80]!a} is not a vulnerability identifier.",
            next_step="Take the record as its database publishes it.",
        )
    return identity

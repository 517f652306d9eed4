"""The bundle: what an operator's agent needs to know, in one signed target (`bundles/<n>.json`).

Format `clearhold-bundle/1`, JSON: advisories with OSV-like affected ranges (half-open, introduced
to fixed), the artefacts that fix them, and probes that show whether the proof of concept still
works. Trust comes from the TUF metadata that names a bundle; this module only reads and writes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl

SCHEMA: Final = "clearhold-bundle/1"
MAX_BUNDLE_BYTES: Final = 256 * 1024 * 1024
MAX_TARGET_BYTES: Final = 512 * 1024 * 1024

_TARGET: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,179}(/[A-Za-z0-9][A-Za-z0-9._+!~-]{0,179}){0,7}"
)
_BUNDLE_TARGET: Final = re.compile(r"bundles/([1-9][0-9]{0,14})\.json")
_PLACE: Final = re.compile(r"/in(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,4}")

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}\Z")]
PackageUrl = Annotated[str, msgspec.Meta(pattern=r"^pkg:", max_length=512)]
Version = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_TARGET_BYTES)]


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the same repository: its TUF target path, SHA-256 and length in bytes."""

    path: str
    sha256: Sha256
    length: Length


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Versions from `introduced` ("0" for the first), without `fixed`, or with `last_affected`."""

    introduced: Version
    fixed: Version | None = None
    last_affected: Version | None = None


class Affected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions of a package (a purl without version) an advisory is about."""

    package: PackageUrl
    ranges: tuple[Range, ...] = ()
    versions: tuple[Version, ...] = ()


class Remedy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An artefact that brings `package` (a purl with the fixed version) into place."""

    package: PackageUrl
    artefact: Target


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ways a program can end: by one of the exit codes, by one of the signals, by running too long."""

    exit_codes: tuple[Annotated[int, msgspec.Meta(ge=0, le=255)], ...] = ()
    signals: tuple[Annotated[int, msgspec.Meta(ge=1, le=64)], ...] = ()
    timed_out: bool = False


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that shows whether the proof of concept works on an installed package.

    `argv` may hold `{python}` (the interpreter of the environment's version) and `{site_packages}`
    (where its packages are seen). `files` are targets laid below `/in`. The proof *works* when the
    program ends as in `works`, does not when it ends as in `clean`; any other end is inconclusive.
    Limits: `wall_s` in seconds, `memory_mb` in MiB.
    """

    package: PackageUrl
    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)]
    files: dict[str, Target]
    works: Ending
    clean: Ending
    wall_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 20
    memory_mb: Annotated[int, msgspec.Meta(ge=16, le=8192)] = 1024


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One advisory as an agent sees it; `documents` maps a format's name to its rendering."""

    id: Name
    revision: Annotated[int, msgspec.Meta(ge=1)]
    summary: Annotated[str, msgspec.Meta(max_length=2000)]
    published: datetime
    affected: tuple[Affected, ...]
    remedies: tuple[Remedy, ...] = ()
    probes: tuple[Probe, ...] = ()
    documents: dict[Name, Target] = {}


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is public at `issued`; `number` grows by one with every bundle."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    issued: datetime
    advisories: tuple[Entry, ...]
    schema: str = SCHEMA


def target_of(path: str, data: bytes) -> Target:
    """The reference to `data` published as `path`."""
    return Target(path=path, sha256=hashlib.sha256(data).hexdigest(), length=len(data))


def target_path(number: int) -> str:
    """Where bundle `number` is published."""
    return f"bundles/{number}.json"


def bundle_number(path: str) -> int | None:
    """The bundle number in a target path, None when the path is not a bundle's."""
    match = _BUNDLE_TARGET.fullmatch(path)
    return int(match[1]) if match else None


def safe_target_path(path: str) -> bool:
    """Whether `path` is plain: relative, at most 8 levels, no dot-first segment, no odd characters."""
    return _TARGET.fullmatch(path) is not None


def write(bundle: Bundle) -> bytes:
    """The bundle as canonical JSON; raises `InvalidError` on anything `read` would refuse."""
    issued = bundle.issued.astimezone(UTC) if bundle.issued.tzinfo else bundle.issued
    data = msgspec.json.encode(
        msgspec.structs.replace(bundle, issued=issued), order="deterministic"
    )
    read(data)
    return data


def read(data: bytes) -> Bundle:
    """Read a bundle; raises `TooLargeError` or `InvalidError` (with the place) on anything odd."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise TooLargeError(
            f"The bundle has {len(data)} bytes; at most {MAX_BUNDLE_BYTES} are read.",
            next_step="Ask the hub to publish smaller bundles.",
        )
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(str(error)) from error
    if bundle.schema != SCHEMA:
        raise _refused(f"its schema is {bundle.schema[:40]!r}, not {SCHEMA!r}")
    if bundle.issued.tzinfo is None:
        raise _refused("its instant of issue has no time zone")
    seen: set[str] = set()
    for entry in bundle.advisories:
        if entry.id in seen:
            raise _refused(f"advisory {entry.id} stands in it twice")
        seen.add(entry.id)
        _check_entry(entry)
    return bundle


def targets_of(entry: Entry) -> Iterator[Target]:
    """Every file the advisory refers to."""
    for remedy in entry.remedies:
        yield remedy.artefact
    for probe in entry.probes:
        yield from probe.files.values()
    yield from entry.documents.values()


def probe_argv(probe: Probe, values: Mapping[str, str]) -> tuple[str, ...]:
    """`argv` with `{python}` and `{site_packages}` replaced by `values`; other text stays as it is."""
    argv = []
    for argument in probe.argv:
        filled = argument
        for name, value in values.items():
            filled = filled.replace("{" + name + "}", value)
        argv.append(filled)
    return tuple(argv)


def _check_entry(entry: Entry) -> None:
    if entry.published.tzinfo is None:
        raise _refused(f"advisory {entry.id} has a date without a time zone")
    for target in targets_of(entry):
        if not safe_target_path(target.path):
            raise _refused(f"advisory {entry.id} names the target {target.path[:80]!r}")
    named: tuple[Affected | Remedy | Probe, ...] = (
        *entry.affected,
        *entry.remedies,
        *entry.probes,
    )
    for each in named:
        try:
            Purl.parse(each.package)
        except InvalidError as error:
            raise _refused(f"advisory {entry.id}: {error.message}") from error
    for probe in entry.probes:
        _check_probe(entry.id, probe)


def _check_probe(advisory: str, probe: Probe) -> None:
    if any(len(argument) > 4096 or "\0" in argument for argument in probe.argv):
        raise _refused(f"a probe of advisory {advisory} has an argument that cannot be passed")
    if not all(_PLACE.fullmatch(place) for place in probe.files):
        raise _refused(f"a probe of advisory {advisory} lays a file outside /in")
    works, clean = probe.works, probe.clean
    both = (set(works.exit_codes) & set(clean.exit_codes)) | (
        set(works.signals) & set(clean.signals)
    )
    if both or (works.timed_out and clean.timed_out):
        raise _refused(f"a probe of advisory {advisory} calls one end both working and clean")
    if not (works.exit_codes or works.signals or works.timed_out) or not clean.exit_codes:
        raise _refused(f"a probe of advisory {advisory} does not say how it ends")


def _refused(reason: str) -> InvalidError:
    return InvalidError(
        f"The bundle cannot be read: {reason}.",
        next_step="Keep the last good bundle and report this to the hub's coordinator.",
    )

"""CycloneDX in JSON (ECMA-424), versions 1.2 to 1.7: what an inventory needs of it, and 1.6 written.

Decoded straight into typed structs, because inventories are large. A component that cannot be
matched is reported with the reason and never dropped in silence. Of a member name given twice the
later one counts: an inventory concerns only who wrote it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire.json_bounds import canonical, decode_checked
from clearhold.wire.timestamps import rfc3339

MAX_BYTES = 256 * 1024 * 1024
MAX_COMPONENTS = 1_000_000

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of software in an inventory, at the version its purl names."""

    purl: Purl
    name: str
    version: str
    bom_ref: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A component that cannot be matched against advisories, and why."""

    name: str
    version: str
    bom_ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class BillOfMaterials:
    """An inventory as read: components in document order, and those that were left out."""

    spec_version: str
    serial_number: str
    components: tuple[Component, ...]
    skipped: tuple[Skipped, ...]


class _Component(msgspec.Struct):
    name: str = ""
    version: str | None = None
    purl: str | None = None
    bom_ref: str | None = msgspec.field(default=None, name="bom-ref")
    type: str = ""
    components: list[_Component] | None = None


class _Metadata(msgspec.Struct):
    component: _Component | None = None


class _Bom(msgspec.Struct):
    bom_format: str = msgspec.field(name="bomFormat")
    spec_version: str = msgspec.field(name="specVersion")
    serial_number: str | None = msgspec.field(default=None, name="serialNumber")
    metadata: _Metadata | None = None
    components: list[_Component] | None = None


def read(data: bytes) -> BillOfMaterials:
    """The inventory in `data`, nested components and the described component included.

    Raises `TooLargeError` beyond the limits and `InvalidError` for what is not CycloneDX JSON.
    """
    if len(data) > MAX_BYTES:
        raise TooLargeError(
            f"The inventory has {len(data)} bytes; at most {MAX_BYTES} are taken.",
            next_step="Split it by system.",
        )
    bom = decode_checked(data.removeprefix(_BOM), _Bom, what="CycloneDX")
    if bom.bom_format != "CycloneDX" or not bom.spec_version.startswith("1."):
        raise InvalidError(
            "The document does not say that it is CycloneDX 1.x.",
            next_step="Export the inventory as CycloneDX JSON.",
        )
    components: list[Component] = []
    skipped: list[Skipped] = []
    roots = list(bom.components or ())
    if bom.metadata is not None and bom.metadata.component is not None:
        roots.insert(0, bom.metadata.component)
    known: dict[str, Purl] = {}
    for number, given in enumerate(_walk(roots)):
        if number >= MAX_COMPONENTS:
            raise TooLargeError(
                f"The inventory has more than {MAX_COMPONENTS} components.",
                next_step="Split it by system.",
            )
        answer = _component(given, known)
        if isinstance(answer, Component):
            components.append(answer)
        else:
            skipped.append(answer)
    return BillOfMaterials(
        spec_version=bom.spec_version,
        serial_number=bom.serial_number or "",
        components=tuple(components),
        skipped=tuple(skipped),
    )


def _walk(components: Sequence[_Component]) -> Iterator[_Component]:
    """Every component in document order, nested ones after the one that holds them."""
    waiting = list(reversed(components))
    while waiting:
        component = waiting.pop()
        yield component
        waiting.extend(reversed(component.components or ()))


def _component(given: _Component, known: dict[str, Purl]) -> Component | Skipped:
    version, reference = given.version or "", given.bom_ref or ""
    if not given.purl:
        kind = given.type if given.type.isprintable() else ascii(given.type)
        return Skipped(given.name, version, reference, f"The {kind[:40]} component has no purl.")
    purl = known.get(given.purl)
    if purl is None:
        try:
            purl = Purl.parse(given.purl)
        except InvalidError as problem:
            return Skipped(given.name, version, reference, problem.message)
        known[given.purl] = purl
    if purl.version is None:
        return Skipped(given.name, version, reference, "The purl names no version.")
    return Component(purl, given.name, purl.version, reference)


def write(purls: Sequence[Purl], *, name: str, serial_number: uuid.UUID, now: datetime) -> bytes:
    """A CycloneDX 1.6 inventory of the system `name`, sorted and without repetition.

    The same arguments give the same bytes. Raises `InvalidError` for a purl without a version.
    """
    components: list[dict[str, Any]] = []
    for text, purl in sorted({str(purl): purl for purl in purls}.items()):
        if purl.version is None:
            raise InvalidError(
                f"{text} names no version and cannot stand in an inventory.",
                next_step="Name the version that is installed.",
            )
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": text,
            "name": purl.name,
            "version": purl.version,
            "purl": text,
        }
        if purl.namespace is not None:
            component["group"] = purl.namespace
        components.append(component)
    return canonical(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial_number}",
            "version": 1,
            "metadata": {
                "timestamp": rfc3339(now),
                "component": {"type": "application", "name": name, "bom-ref": "inventory"},
            },
            "components": components,
        }
    )

"""Everything that is published of one advisory, as files, and its entry in the bundle.

Paths: `advisories/<id>/<format>.json`, `patches/<id>/<wheel>`, `probes/<id>/…`, `bundles/<n>.json`.
"""

from __future__ import annotations

from datetime import datetime

from clearhold.advisories import renderings
from clearhold.advisories.model import Advisory
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.patches.judging import Delivery, Probe
from clearhold.wire import bundle

PATCH = "patch"
PROBE = "probe"


def left_out(advisory: Advisory) -> tuple[str, ...]:
    """The formats that are not published for this advisory, with the reason."""
    if advisory.cve is None:
        return ("cve: no CVE id is assigned, and none is invented",)
    return ()


def checked(advisory: Advisory, delivery: Delivery | None) -> renderings.Renderings:
    """Every rendering, valid and of one mind.

    Raises `InvalidError` whose `facts` list every problem.
    """
    rendered = renderings.render(advisory)
    problems = [
        f"{kind}: {problem}"
        for kind, data in rendered.items()
        for problem in renderings.validate(kind, data)
    ]
    probes: dict[str, tuple[str, ...]] = {}
    if delivery is not None:
        probes[str(Purl.parse(delivery.manifest.package).package)] = (delivery.manifest.version,)
    problems += renderings.disagreements(advisory, rendered, probes=probes)
    if problems:
        raise InvalidError(
            "The advisory's documents are not valid or do not agree with each other.",
            next_step="Correct the draft where the list says so.",
            facts={"problems": problems},
        )
    return rendered


def files(
    advisory: Advisory, rendered: renderings.Renderings, delivery: Delivery | None
) -> dict[str, tuple[str, bytes]]:
    """Every file of the release: path to (kind, content); kinds are formats, patch and probe."""
    found: dict[str, tuple[str, bytes]] = {
        f"advisories/{advisory.id}/{kind}.json": (kind, data) for kind, data in rendered.items()
    }
    if delivery is not None:
        found[_wheel_path(advisory, delivery)] = (PATCH, delivery.wheel)
        if delivery.manifest.probe is not None:
            for place, data in delivery.manifest.probe.files.items():
                found[_probe_path(advisory, place)] = (PROBE, data)
    return found


def bundle_with(
    previous: tuple[int, bytes] | None,
    advisory: Advisory,
    rendered: renderings.Renderings,
    delivery: Delivery | None,
    *,
    issued: datetime,
) -> tuple[int, bytes]:
    """The next bundle's number and content: all that the previous one carries, and this advisory."""
    entries: tuple[bundle.Entry, ...] = ()
    number = 1
    if previous is not None:
        number = previous[0] + 1
        entries = bundle.read(previous[1]).advisories
    entry = _entry(advisory, rendered, delivery)
    others = tuple(each for each in entries if each.id != entry.id)
    content = bundle.write(
        bundle.Bundle(
            number=number,
            issued=issued,
            advisories=tuple(sorted((*others, entry), key=lambda each: each.id)),
        )
    )
    return number, content


def _entry(
    advisory: Advisory, rendered: renderings.Renderings, delivery: Delivery | None
) -> bundle.Entry:
    affected = tuple(
        bundle.Affected(
            package=product.package,
            ranges=tuple(
                bundle.Range(each.introduced, each.fixed, each.last_affected)
                for each in product.ranges
            ),
            versions=product.versions,
        )
        for product in advisory.products
    )
    remedies: tuple[bundle.Remedy, ...] = ()
    probes: tuple[bundle.Probe, ...] = ()
    if delivery is not None:
        fixed = Purl.parse(delivery.manifest.package).package
        artefact = bundle.target_of(_wheel_path(advisory, delivery), delivery.wheel)
        remedies = (bundle.Remedy(str(fixed.at(delivery.manifest.version)), artefact),)
        if delivery.manifest.probe is not None:
            probes = (_probe(advisory, str(fixed), delivery.manifest.probe),)
    return bundle.Entry(
        id=advisory.id,
        revision=advisory.revision,
        summary=advisory.title,
        published=advisory.published,
        affected=affected,
        remedies=remedies,
        probes=probes,
        documents={
            kind: bundle.target_of(f"advisories/{advisory.id}/{kind}.json", data)
            for kind, data in rendered.items()
        },
    )


def _probe(advisory: Advisory, package: str, material: Probe) -> bundle.Probe:
    return bundle.Probe(
        package=package,
        argv=material.argv,
        files={
            place: bundle.target_of(_probe_path(advisory, place), data)
            for place, data in material.files.items()
        },
        works=material.works,
        clean=material.clean,
        wall_s=material.wall_s,
        memory_mb=material.memory_mb,
    )


def _wheel_path(advisory: Advisory, delivery: Delivery) -> str:
    return f"patches/{advisory.id}/{delivery.manifest.wheel_name}"


def _probe_path(advisory: Advisory, place: str) -> str:
    return f"probes/{advisory.id}/{place.removeprefix('/in/')}"

"""Which published advisories hit what is installed here, and what would fix them.

Judged by `kernel.matching`, on the operator's machine: the inventory goes nowhere. What cannot be
decided is shown as undetermined with its reason, never as unaffected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from clearhold.agent.environment import Environment, Installed
from clearhold.agent.wheel import preference
from clearhold.kernel import matching
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Judgement, Verdict
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.wire.bundle import Affected, Bundle, Entry, Probe, Remedy


@dataclass(frozen=True, slots=True)
class Match:
    """An advisory that hits, or may hit, an installed package.

    `remedy` is the nearest fixed version that the bundle delivers as a wheel for this machine and
    that is itself not affected; None when there is none. `probe` shows whether the proof of concept works; None when not given.
    """

    advisory: Entry
    installed: Installed
    judgement: Judgement
    remedy: Remedy | None
    probe: Probe | None


def match(bundle: Bundle, environment: Environment) -> tuple[Match, ...]:
    """Every affected or undetermined pair of advisory and installed package, by advisory id."""
    installed: dict[str, list[Installed]] = {}
    for package in environment.packages:
        installed.setdefault(str(package.purl.package), []).append(package)
    found = []
    for entry in sorted(bundle.advisories, key=lambda each: each.id):
        for name in dict.fromkeys(_package(each.package) for each in entry.affected):
            ours = tuple(each for each in entry.affected if _package(each.package) == name)
            for package in installed.get(name, ()):
                judgement = judge(package.version, ours)
                if judgement.verdict is not Verdict.NOT_AFFECTED:
                    hit = _matched(entry, package, ours, judgement, python=environment.python)
                    found.append(hit)
    return tuple(found)


def judge(version: str, affected: Iterable[Affected]) -> Judgement:
    """The judgement of `version` against everything an advisory says of one package."""
    parts = tuple(affected)
    return matching.judge(
        version,
        matching.Affected(
            type=Purl.parse(parts[0].package).type,
            ranges=tuple(
                matching.Range(each.introduced, each.fixed, each.last_affected)
                for part in parts
                for each in part.ranges
            ),
            versions=tuple(each for part in parts for each in part.versions),
        ),
    )


def _matched(
    entry: Entry,
    package: Installed,
    ours: tuple[Affected, ...],
    judgement: Judgement,
    *,
    python: str,
) -> Match:
    own = str(package.purl.package)
    remedy = None
    if judgement.verdict is Verdict.AFFECTED:
        remedy = _nearest(entry, package, ours, python=python)
    probe = next((each for each in entry.probes if _package(each.package) == own), None)
    return Match(entry, package, judgement, remedy, probe)


def _nearest(
    entry: Entry, package: Installed, ours: tuple[Affected, ...], *, python: str
) -> Remedy | None:
    """The lowest fixed version above, in the wheel that suits this machine best."""
    scheme = scheme_for(package.purl.type)
    higher = []
    for each in entry.remedies:
        fixed = Purl.parse(each.package)
        suits = preference(each.artefact.path.rpartition("/")[2], python)
        same = _package(each.package) == str(package.purl.package)
        if not same or suits is None or fixed.version is None:
            continue
        try:
            key = scheme.key(fixed.version)
            newer = key > scheme.key(package.version)
        except InvalidError:
            continue
        if newer and judge(fixed.version, ours).verdict is Verdict.NOT_AFFECTED:
            higher.append((key, suits, each.artefact.path, each))
    return min(higher, key=lambda each: each[:3])[3] if higher else None


def _package(purl: str) -> str:
    """The package a purl names, PyPI names compared as the index does (PEP 503: dots count too)."""
    package = Purl.parse(purl).package
    if package.type == "pypi":
        package = Purl(type="pypi", name=canonicalize_name(package.name))
    return str(package)

"""What to look at instead: free, listed in the catalogue, and the most worthwhile first.

What is named free tells that nobody is there, so only a few listed scopes are looked at, in an
order of the asker's own, and they are taken whole: never what is left of the wish, which would tell
the outline of what is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from clearhold.access.model import Actor
from clearhold.catalogue.model import Target
from clearhold.scanning.paths import EVERYTHING
from clearhold.scanning.software_scope import SoftwareScope
from clearhold.scanning.spans import Versions
from clearhold.store.unit_of_work import UnitOfWork

MOST_IN_PACKAGE: Final = 2
LOOKED_AT_IN_PACKAGE: Final = 6
MOST_ELSEWHERE: Final = 3
PACKAGES_LOOKED_AT: Final = 8

Free = Callable[[SoftwareScope], bool]


Ranking = Callable[[UnitOfWork, Actor, Sequence[SoftwareScope]], Sequence[SoftwareScope]]
"""Puts scopes in the order in which they are worth scanning, the most worthwhile first."""


def in_package(wanted: SoftwareScope, target: Target | None) -> tuple[SoftwareScope, ...]:
    """Listed scopes of the package that was asked for: other techniques, files, versions."""
    if target is None:
        return ()
    found: list[SoftwareScope] = []
    for scope in _listed(wanted, target):
        if scope not in found and not scope.overlap(wanted):
            found.append(scope)
    return tuple(found[:LOOKED_AT_IN_PACKAGE])


def elsewhere(wanted: SoftwareScope, target: Target) -> SoftwareScope | None:
    """A listed scope of another package: its newest version, by the wanted technique if it fits."""
    techniques = sorted(target.techniques, key=lambda each: (each is not wanted.technique, each))
    if not techniques or not target.versions:
        return None
    newest = Versions(exact=target.versions[-1])
    return SoftwareScope(target.package, newest, (EVERYTHING,), techniques[0])


def _listed(wanted: SoftwareScope, target: Target) -> Iterator[SoftwareScope]:
    newest = Versions(exact=target.versions[-1]) if target.versions else wanted.versions
    for technique in target.techniques:
        yield SoftwareScope(target.package, newest, (EVERYTHING,), technique)
    for path in target.paths:
        yield SoftwareScope(target.package, newest, (path,), wanted.technique)
    for version in reversed(target.versions):
        yield SoftwareScope(
            target.package, Versions(exact=version), (EVERYTHING,), wanted.technique
        )

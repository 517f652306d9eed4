"""What is free instead, when what was asked for is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from clearhold.catalogue.model import Target
from clearhold.scanning.model import MOST_PATHS, Mode, Scope, Versions, collide, overlap
from clearhold.scanning.paths import EVERYTHING

Taken = Sequence[tuple[Scope, Mode]]

MOST_IN_PACKAGE: Final = 4
MOST_ELSEWHERE: Final = 3


def is_free(scope: Scope, mode: Mode, taken: Taken) -> bool:
    """Whether no lease of `taken` stands against a lease of this scope and mode."""
    return not any(collide(mode, held) and overlap(scope, other) for other, held in taken)


def in_package(wanted: Scope, mode: Mode, target: Target | None, taken: Taken) -> tuple[Scope, ...]:
    """Free scopes of the package that was asked for, the nearest to the wish first.

    What is left of the wish and other known paths, then other techniques, then other versions.
    Techniques, versions and paths to choose from are those the catalogue lists for the package.
    """
    found: list[Scope] = []
    for scope in _neighbours(wanted, mode, target, taken):
        if len(found) == MOST_IN_PACKAGE:
            break
        if scope not in found and is_free(scope, mode, taken):
            found.append(scope)
    return tuple(found)


def elsewhere(wanted: Scope, mode: Mode, target: Target, taken: Taken) -> Scope | None:
    """A free scope of another package: its newest version, by the wanted technique if it fits."""
    techniques = sorted(target.techniques, key=lambda each: (each is not wanted.technique, each))
    for version in reversed(target.versions):
        for technique in techniques:
            for paths in ((EVERYTHING,), *((path,) for path in target.paths)):
                scope = Scope(target.package, Versions(exact=version), paths, technique)
                if is_free(scope, mode, taken):
                    return scope
    return None


def _neighbours(wanted: Scope, mode: Mode, target: Target | None, taken: Taken) -> Iterator[Scope]:
    known = target.paths if target is not None else ()
    options = dict.fromkeys((*wanted.paths, *known))
    left = tuple(path for path in options if is_free(replace(wanted, paths=(path,)), mode, taken))
    if left:
        yield replace(wanted, paths=left[:MOST_PATHS])
    if target is None:
        return
    for technique in target.techniques:
        yield replace(wanted, technique=technique)
    for version in reversed(target.versions):
        yield replace(wanted, versions=Versions(exact=version))

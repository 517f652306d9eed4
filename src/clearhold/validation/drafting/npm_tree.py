"""The tree of packages below an npm package, as npm would have laid it out when it was released."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.kernel.versions import npm_range
from clearhold.wire.npm_package import NpmPackage

MOST_PACKAGES: Final = 150
_ALIAS: Final = re.compile(r"npm:(?P<name>(?:@[^/@]+/)?[^/@]+)(?:@(?P<range>.*))?")


@dataclass(slots=True)
class Tree:
    """What lies where: name and version by the place (`node_modules/a/node_modules/b`).

    `problems` say in words what could not be placed.
    """

    placed: dict[str, tuple[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def raised(package: NpmPackage, before: str, after: str) -> dict[str, str]:
    """The ranges of what the release `after` needs otherwise than the release `before`, by name."""
    old, new = (package.release(each).needs for each in (before, after))
    return {alias: new[alias] for alias in old.keys() & new.keys() if old[alias] != new[alias]}


def resolve(
    name: str,
    version: str,
    ask: Callable[[str], NpmPackage],
    *,
    before: str = "",
    outside: Mapping[str, str] | None = None,
) -> Tree:
    """What `version` of the package `name` needs, each at a place where it is found.

    `ask` tells of a package. Of each, the newest fitting release that was published no later than
    `before` (RFC 3339) is taken, or the newest fitting one when all came later. One range is
    placed as high as no other version of the package stands in its way. What `name` itself needs is
    taken from `outside` a range, by name, where there is such a release: a fix may lie in what a
    package needs, and mirrors tell when they fetched a release, not when it was published.
    """
    tree = Tree()
    waiting = deque([("", name, ask(name).release(version).needs)])
    while waiting:
        place, _, needs = waiting.popleft()
        for alias, stated in sorted(needs.items()):
            if alias == name and not place:
                continue
            real, wanted = _meant(alias, stated)
            if _reachable(tree.placed, place, alias, wanted):
                continue
            if len(tree.placed) >= MOST_PACKAGES:
                tree.problems.append(f"more than {MOST_PACKAGES} packages are needed")
                return tree
            try:
                package = ask(real)
                shunned = "" if place else (outside or {}).get(alias, "")
                chosen = _chosen(package, wanted, before, shunned)
            except ClearholdError as error:
                tree.problems.append(f"its dependency {real[:80]} {wanted[:60]}: {error.message}")
                continue
            there = _place(tree.placed, place, alias)
            tree.placed[there] = (real, chosen)
            waiting.append((there, real, package.release(chosen).needs))
    return tree


def _meant(alias: str, stated: str) -> tuple[str, str]:
    found = _ALIAS.fullmatch(stated)
    return (found["name"], found["range"] or "*") if found else (alias, stated)


def _chosen(package: NpmPackage, wanted: str, before: str, shunned: str) -> str:
    if wanted in package.tags:
        wanted = f"<={package.tags[wanted]}"
    fitting = [each for each in package.versions if npm_range.contains(wanted, each)]
    if shunned and shunned not in package.tags:
        fitting = [each for each in fitting if not npm_range.contains(shunned, each)] or fitting
    times = package.times
    in_time = [each for each in fitting if before and each in times and times[each] <= before]
    found = npm_range.newest(in_time or fitting, wanted)
    if found is None:
        raise InvalidError("no release fits.", next_step="Name another release.")
    return found


def _levels(place: str) -> list[str]:
    """The places where a package at `place` looks for another, its own first, the root last."""
    parts = place.split("/node_modules/") if place else []
    return ["/node_modules/".join(parts[:count]) for count in range(len(parts), 0, -1)] + [""]


def _below(level: str, alias: str) -> str:
    return f"{level}/node_modules/{alias}" if level else f"node_modules/{alias}"


def _reachable(placed: Mapping[str, tuple[str, str]], place: str, alias: str, wanted: str) -> bool:
    """Whether what is found from `place` under that name fits already."""
    for level in _levels(place):
        if found := placed.get(_below(level, alias)):
            try:
                return npm_range.contains(wanted, found[1])
            except InvalidError:
                return True
    return False


def _place(placed: Mapping[str, tuple[str, str]], place: str, alias: str) -> str:
    """The highest place from which `place` finds it and where nothing of the name stands yet."""
    there = _below(place, alias)
    for level in _levels(place):
        if _below(level, alias) in placed:
            break
        there = _below(level, alias)
    return there

"""Following the branches or tags of a package's repository: which commit is to be searched next.

Rules without any asking: what was seen of the refs that a pattern names, and what is there now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from clearhold.discovery.engine import Plan
from clearhold.kernel.errors import InvalidError
from clearhold.validation.recipe import Recipe, Side, SideSource, Source

GIT: Final = "git:"
ANY_COMMIT: Final = "0" * 40
"""The name of no commit, for asking whether a lease covers those that are still to come."""
_ORIGIN: Final = re.compile(r"git:(.+)@([0-9a-f]{40})")


class Following(msgspec.Struct, frozen=True):
    """A pattern of refs that is followed, and the commits that were seen there.

    `base` is the commit that was searched last, empty when that was no commit; `known` says that the
    refs were looked at before, so that one that is not among them is new.
    """

    ref: str
    base: str = ""
    heads: Mapping[str, str] = {}
    known: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What to remember, the commit to search, and the one to compare it with; both may be empty."""

    following: Following
    commit: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a look came to: what to remember of refs, and what to search, if anything is newer.

    `following` is None when releases are watched. `first` are the files that changed since the commit
    that was seen before.
    """

    following: Following | None
    source: SideSource | None = None
    first: tuple[str, ...] = ()
    note: str = ""


def address_of(recipe: Recipe) -> tuple[str, str]:
    """The repository that a recipe's project is developed in, and the commit it builds, if it does.

    It is the one that the recipe names, or the one that its source comes from. Raises
    `InvalidError` when there is none, or no telling which of its sources a commit would replace.
    """
    sources = recipe.side(Side.VULNERABLE).sources
    from_git = [match for each in sources if (match := _ORIGIN.fullmatch(each.origin))]
    if len(from_git) == 1 and recipe.repository in {"", from_git[0][1]}:
        return from_git[0][1], from_git[0][2]
    if recipe.repository and len(sources) == 1:
        return recipe.repository, ""
    raise InvalidError(
        "The recipe of this package names no repository that its one source comes from.",
        next_step="Its operator can write `repository: https://HOST/PATH` into it.",
    )


def at_commit(recipe: Recipe, address: str, commit: str, sha256: str) -> SideSource:
    """The recipe's vulnerable side with the project's source as it is at a commit."""
    side = recipe.side(Side.VULNERABLE)
    alone = len(side.sources) == 1
    sources = tuple(
        Source(origin(address, commit), sha256, each.into)
        if alone or _ORIGIN.fullmatch(each.origin)
        else each
        for each in side.sources
    )
    return SideSource(commit, sources)


def origin(address: str, commit: str) -> str:
    """The origin of a commit's tree, as recipes name it."""
    return f"{GIT}{address}@{commit}"


def next_commit(following: Following, heads: Mapping[str, str]) -> Step:
    """What to remember of the refs, and the one commit that is to be searched now, or none.

    One commit at a time: refs that moved besides keep what was seen there until another look. What
    is there at the first look counts as seen, but for a single ref that is no longer at the commit
    which the campaign searched.
    """
    single = "*" not in following.ref
    if not following.known and not (single and following.base):
        return Step(msgspec.structs.replace(following, heads=dict(heads), known=True))
    seen = {ref: following.heads[ref] for ref in heads if ref in following.heads}
    for ref, commit in sorted(heads.items()):
        before = seen.get(ref, following.base)
        searched = commit in {following.base, *seen.values()}
        seen[ref] = commit
        if not searched:
            moved = msgspec.structs.replace(following, base=commit, heads=seen, known=True)
            return Step(moved, commit, before)
    return Step(msgspec.structs.replace(following, heads=seen, known=True))


def base_of(plan: Plan, recipe_base: str) -> str:
    """The commit that a campaign searched; empty when it searched a release."""
    if plan.source is None:
        return recipe_base
    found = (_ORIGIN.fullmatch(each.origin) for each in plan.source.sources)
    return next((each[2] for each in found if each), "")

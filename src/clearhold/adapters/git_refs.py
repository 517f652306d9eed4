"""`ports.repositories.Repositories` by the machine's git: names of refs, and trees without files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clearhold.adapters.git_ways import HTTPS, is_address, way_to
from clearhold.adapters.guarded_address import Network
from clearhold.adapters.sources_git import Git
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.ports.repositories import MOST_CHANGED, MOST_HEADS, REF
from clearhold.ports.sources import DEFAULT_SIZE_CAP

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_LIST: Final = 256 * 1024
_LONGEST_PATHS: Final = 4 << 20
_PEELED: Final = "^{}"


class GitRepositories:
    """Asks repositories over https, at public addresses and in the networks `also`.

    `protocol` is another one for a repository of one's own.
    """

    def __init__(self, protocol: str = HTTPS, *, also: Sequence[Network] = ()) -> None:
        self._protocol = protocol
        self._also = tuple(also)

    def heads(self, address: str, pattern: str) -> Mapping[str, str]:
        """The commits of refs that a pattern names; an annotated tag counts as its commit."""
        self._check(address)
        if not REF.fullmatch(pattern):
            raise InvalidError(
                f"{pattern[:80]!a} names no branches or tags.",
                next_step="Write refs/heads/main, or refs/tags/v1.* with * for any characters.",
            )
        with tempfile.TemporaryDirectory() as scratch:
            git = self._git(address, _LONGEST_LIST)
            asked = ["ls-remote", "--quiet", git.address, pattern, pattern + _PEELED]
            told = git.told(asked, Path(scratch), most=_LONGEST_LIST)
        if len(told) > _LONGEST_LIST:
            raise _too_many(pattern)
        found = _named(told.decode("utf-8", "replace"), pattern)
        if len(found) > MOST_HEADS:
            raise _too_many(pattern)
        return found

    def changed(self, address: str, before: str, after: str) -> tuple[str, ...]:
        """The paths of files that a commit adds or changes against another one."""
        self._check(address)
        for each in (before, after):
            if not _COMMIT.fullmatch(each):
                raise InvalidError(
                    f"{each[:80]!a} is not the full name of a commit.",
                    next_step="Write all of its digits.",
                )
        with tempfile.TemporaryDirectory() as scratch:
            git, bare = self._git(address, DEFAULT_SIZE_CAP), Path(scratch) / "bare"
            git.run(["init", "--quiet", "--bare", str(bare)], Path(scratch))
            git.run(["remote", "add", "origin", git.address], bare)
            depth = ("--depth=1", "--no-tags", "--filter=blob:none")
            git.run(["fetch", "--quiet", *depth, "origin", before, after], bare)
            kinds = ("--no-renames", "--name-only", "--diff-filter=AMT", "-z")
            told = git.told(["diff-tree", "-r", *kinds, before, after], bare, most=_LONGEST_PATHS)
        whole, _, _ = told.rpartition(b"\0")
        names = [each.decode("utf-8", "replace") for each in whole.split(b"\0") if each]
        return tuple(names[:MOST_CHANGED])

    def _git(self, address: str, size_cap: int) -> Git:
        return Git(way_to(address, protocol=self._protocol, also=self._also), size_cap=size_cap)

    def _check(self, address: str) -> None:
        if self._protocol == HTTPS and not is_address(address):
            raise InvalidError(
                f"{address[:200]!a} is no repository's address.",
                next_step="Write https://HOST/PATH.",
            )


def _named(told: str, pattern: str) -> dict[str, str]:
    """The refs of a list that the pattern names in full; git itself also lists those that end so."""
    parts = (re.escape(each) for each in pattern.split("*"))
    wanted = re.compile("[^/]*".join(parts))
    found: dict[str, str] = {}
    for line in told.splitlines():
        commit, _, name = line.partition("\t")
        ref = name.removesuffix(_PEELED)
        if not _COMMIT.fullmatch(commit) or not wanted.fullmatch(ref) or not ref.isprintable():
            continue
        if name != ref or ref not in found:
            found[ref] = commit
    return dict(sorted(found.items()))


def _too_many(pattern: str) -> TooLargeError:
    return TooLargeError(
        f"{pattern!a} names more than {MOST_HEADS} branches or tags.",
        next_step="Follow fewer, by a narrower pattern.",
    )

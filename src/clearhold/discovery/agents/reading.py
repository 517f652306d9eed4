"""Reading the source of one package as its lease allows, in the sandbox.

Trees are pristine: what the recipe's archives hold, before a distribution's patches. Paths are
those of the package, as leases name them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clearhold.kernel.errors import InvalidError, NotFoundError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.scanning import paths as globs
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side

MOST_LISTED: Final = 200
MOST_LINES: Final = 400
MOST_CHARACTERS: Final = 16_000
WIDTH: Final = 400
MOST_HITS: Final = 60
LONGEST_PATTERN: Final = 400
SEARCH_S: Final = 8
_HIT_WIDTH: Final = 240


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package: in which tree, its path there, its path in the package, its bytes."""

    root: int
    inner: str
    path: str
    size: int


def in_order(files: Iterable[File], *, first: Sequence[str]) -> list[File]:
    """Files as they come, but for those of the paths that are to be looked at before all others."""
    early = frozenset(first)
    return sorted(files, key=lambda each: each.path not in early)


class Reading:
    """The files of one package, in its vulnerable version, that a scope's path globs name.

    `run` is how jobs are run, the laboratory's own way when not given.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        recipe: Recipe,
        scope: Sequence[str],
        *,
        run: Callable[[Job], Outcome] | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._recipe = recipe
        self._scope = tuple(scope)
        self._run = run or laboratory.run

    def files(self, glob: str = "**", after: str = "") -> dict[str, Any]:
        """Files that a glob names, in order, those behind the path `after`."""
        wanted = globs.normal(glob)
        named = [
            each.path
            for each in self._files.values()
            if each.path > after and globs.names(wanted, each.path)
        ]
        return {
            "files": [
                {"path": path, "bytes": self._files[path].size} for path in named[:MOST_LISTED]
            ],
            "more": len(named) > MOST_LISTED,
        }

    def read(self, path: str, first: int = 1, count: int = 200) -> dict[str, Any]:
        """Lines of a file from `first` on. Raises `NotFoundError` outside the scope."""
        file = self._file(path)
        if not (first >= 1 and 1 <= count <= MOST_LINES):
            raise InvalidError(
                "Lines count from 1, and so many are read at once.",
                next_step=f"Ask for at most {MOST_LINES} lines.",
            )
        told = self._ask(
            what="read",
            root=f"/src/{file.root}",
            path=file.inner,
            first=first,
            count=count,
            width=WIDTH,
            characters=MOST_CHARACTERS,
        )
        if not told:
            raise NotFoundError("The file cannot be read.", next_step="Read another.")
        facts, *lines = told
        if facts.get("binary"):
            return {"path": path, "binary": True, "bytes": facts["size"]}
        return {
            "path": path,
            "lines_in_all": facts["lines"],
            "lines": [
                f"{each['number']}: {each['text']}{' …' if each['more'] else ''}"
                for each in lines
                if "number" in each
            ],
        }

    def search(
        self, pattern: str, glob: str = "**", *, literal: bool = True, ignore_case: bool = False
    ) -> dict[str, Any]:
        """Lines in which a text stands, or what a regular expression of Python's matches."""
        if not pattern or len(pattern) > LONGEST_PATTERN:
            raise InvalidError(
                f"A pattern has between 1 and {LONGEST_PATTERN} characters.",
                next_step="Search for something shorter.",
            )
        wanted = globs.normal(glob)
        told = self._ask(
            what="search",
            pattern=pattern,
            literal=literal,
            ignore_case=ignore_case,
            seconds=SEARCH_S,
            most=MOST_HITS,
            width=_HIT_WIDTH,
            files=[
                (f"/src/{each.root}", each.inner, each.path)
                for each in self._files.values()
                if each.size >= 0 and globs.names(wanted, each.path)
            ],
        )
        wrong = next((each["wrong"] for each in told if "wrong" in each), None)
        if wrong is not None:
            raise InvalidError(
                f"This is no regular expression: {wrong}.",
                next_step="Correct it, or search literally.",
            )
        hits = [each for each in told if "line" in each]
        whole = {"done": True} in told and not any(each.get("cut") for each in told)
        return {"hits": hits, "complete": whole}

    def holds(self, path: str) -> bool:
        """Whether a path is a file of the package within the scope."""
        return path in self._files

    @property
    def within(self) -> tuple[File, ...]:
        """Every file within the scope, in order."""
        return tuple(self._files.values())

    @property
    def listed(self) -> bool:
        """Whether `within` is all there is: a package may have too many files to be listed."""
        return self._listing[-1:] == [{"done": True}] and {"cut": True} not in self._listing

    @property
    def mounts(self) -> dict[str, Path]:
        """The trees by the places at which jobs find them, numbered as files name their root."""
        return {f"/src/{n}": tree for n, tree in enumerate(self._trees.values())}

    def lines(self, wanted: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], str]:
        """Some lines of some files by path and number, cut to a width; those alone that are there."""
        asked = [(path, numbers) for path, numbers in wanted.items() if path in self._files]
        told = self._ask(
            what="lines",
            width=WIDTH,
            files=[
                (f"/src/{self._files[path].root}", self._files[path].inner, list(numbers))
                for path, numbers in asked
            ],
        )
        return {
            (asked[each["file"]][0], each["number"]): each["text"]
            for each in told
            if "number" in each
        }

    def _file(self, path: str) -> File:
        file = self._files.get(path)
        if file is None or file.size < 0:
            raise NotFoundError(
                "There is no such file within your lease.",
                next_step="List the files first; what lies outside the lease's paths is not read.",
            )
        return file

    @cached_property
    def _trees(self) -> Mapping[str, Path]:
        return self._laboratory.source_tree(self._recipe, Side.VULNERABLE)[0]

    @cached_property
    def _listing(self) -> list[dict[str, Any]]:
        return self._ask(what="list", roots=[f"/src/{n}" for n in range(len(self._trees))])

    @cached_property
    def _files(self) -> dict[str, File]:
        """What lies within the scope, by path and in order."""
        places = tuple(self._trees)
        files = []
        for each in self._listing:
            if "path" in each:
                place = places[each["root"]]
                whole = f"{place}/{each['path']}" if place else each["path"]
                files.append(File(each["root"], each["path"], whole, each["size"]))
        return {
            each.path: each
            for each in sorted(files, key=lambda file: file.path)
            if any(globs.names(glob, each.path) for glob in self._scope)
        }

    def _ask(self, **question: Any) -> list[dict[str, Any]]:
        """The lines that the program inside tells; those it had told when its time was up."""
        program = resources.files("clearhold.discovery.agents") / "inside" / "browse.py"
        outcome = self._run(
            Job(
                argv=("/usr/bin/python3", "-I", "/in/browse.py"),
                trees=self.mounts,
                files={
                    "/in/browse.py": program.read_bytes(),
                    "/in/question": json.dumps(question).encode(),
                },
                env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                limits=Limits(
                    wall_s=SEARCH_S + 4, cpu_s=SEARCH_S + 4, memory_mb=512, output_kb=16_384
                ),
            )
        )
        if outcome.output_truncated:
            raise UnavailableError("The package has too many files to be read here.")
        whole, _, _ = outcome.stdout.rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line]

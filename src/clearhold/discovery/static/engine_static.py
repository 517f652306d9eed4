"""An analyser as an engine of campaigns: it reads what the lease covers, and its hits are leads."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import msgspec

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.reading import File, Reading, in_order
from clearhold.discovery.engine import (
    LOG_TAIL,
    Ending,
    Kind,
    Lead,
    Plan,
    Progress,
    Searched,
    Workspace,
    no_options,
)
from clearhold.discovery.static.analysers import Analyser, built_for_here, lonely_authority
from clearhold.discovery.static.marks import Hit, around, hits, leads, wanted_lines
from clearhold.findings.report import one_line
from clearhold.kernel.errors import ClearholdError, IntegrityError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.recipe import Recipe

SOURCE: Final = "source"
"""What a search by a reader of source names as its target: all that the lease covers."""
MOST_LEADS: Final = 2000
"""Leads that one campaign keeps, the gravest."""
MOST_FILES: Final = 400
MOST_BYTES: Final = 8 << 20
LARGEST_FILE: Final = 1 << 20
"""Bounds of what is analysed at once; a larger file is machine-made, and is not read."""
MOST_REFUSED: Final = 32
"""Files that make the analyser fail, which are looked for one by one; further ones cost their batch."""
_LONGEST_S: Final = 300.0
_SHORTEST_S: Final = 10.0
_FREE: Final = 1
_TOLD: Final = 10


class _Read(msgspec.Struct, frozen=True):
    """What was laid out, as the program inside says."""

    files: Annotated[int, msgspec.Meta(ge=0, le=MOST_FILES)]
    lines: Annotated[int, msgspec.Meta(ge=0, le=MOST_BYTES)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=MOST_BYTES)]
    code: int
    skipped: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=40)]], msgspec.Meta(max_length=MOST_FILES)
    ]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files that are analysed together, by the names they have there."""

    files: Mapping[str, File]

    @property
    def names(self) -> dict[str, str]:
        """Their paths in the package by those names."""
        return {name: each.path for name, each in self.files.items()}

    @property
    def halves(self) -> tuple[_Batch, _Batch]:
        """Two with half of the files each."""
        named = list(self.files.items())
        middle = len(named) // 2
        return _Batch(dict(named[:middle])), _Batch(dict(named[middle:]))


class _CouldNotReadError(UnavailableError):
    """The analyser did not end well on some files."""


class StaticEngine:
    """One analyser, which searches all that a lease covers of the source it understands."""

    technique = Technique.STATIC
    kind = Kind.STATIC

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser

    @property
    def name(self) -> str:
        """The analyser's name."""
        return self._analyser.name

    @property
    def needs(self) -> tuple[str, ...]:
        """The pinned files."""
        return tuple(each.origin for each in self._analyser.files)

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """The source of whatever there is a recipe for."""
        del recipe
        return (SOURCE,)

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` for any option: there are none."""
        no_options(options)

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Analyse everything within the scope, some files at a time."""
        began, tools = time.monotonic(), self._tools(workspace)
        reading = Reading(
            workspace.laboratory, workspace.recipe, workspace.start.scope, run=workspace.run
        )
        ours = in_order(filter(self._understands, reading.within), first=plan.first)
        readable = [each for each in ours if 0 <= each.size <= LARGEST_FILE]
        done = _Reader(self, plan, workspace, on_progress, began)
        done.through(reading, _batches(readable), tools)
        made = leads(
            done.found, around(lines_of(reading, done.found), done.found), engine=self.name
        )
        return Searched(
            done.ending,
            executions=done.files,
            spent_s=min(done.spent_s, plan.budget_s),
            leads=made[:MOST_LEADS],
            lines=done.lines,
            read=tuple(done.read),
            complete=done.ending is Ending.DONE and reading.listed,
            listed=reading.listed,
            unread=tuple(sorted({each.path for each in ours}.difference(done.read))),
            log=self._log(made, done, len(ours), listed=reading.listed),
        )

    def _tools(self, workspace: Workspace) -> tuple[Path, ...]:
        """The unpacked wheels. Raises `UnavailableError` when they cannot be had."""
        if not built_for_here():
            raise UnavailableError(
                f"No build of {self.name} is pinned for this kind of machine.",
                next_step="Search by another engine, or run the hub's laboratory on x86_64.",
            )
        try:
            return workspace.laboratory.tools(self._analyser.files, size_cap=self._analyser.largest)
        except UnavailableError as problem:
            raise UnavailableError(
                f"{self.name} {self._analyser.version} is not here and cannot be fetched: "
                f"{problem.message}",
                next_step=problem.next_step,
            ) from problem

    def _understands(self, file: File) -> bool:
        return PurePosixPath(file.inner).suffix.lower() in self._analyser.reads

    def job(self, reading: Reading, batch: _Batch, tools: Sequence[Path], seconds: float) -> Job:
        """The job that analyses some files within so many seconds."""
        question = {
            "files": [(each.root, each.inner, name) for name, each in batch.files.items()],
            "largest": LARGEST_FILE,
            "program": self._analyser.program,
            "argv": self._analyser.argv,
        }
        return Job(
            argv=("/usr/bin/python3", "-I", "/in/analyse.py"),
            trees={
                **reading.mounts,
                **{f"/tool/{number}": tree for number, tree in enumerate(tools)},
            },
            files={
                "/in/analyse.py": _inside("static", "analyse.py"),
                "/in/browse.py": _inside("agents", "browse.py"),
                "/in/question": json.dumps(question).encode(),
                **{f"/in/rules/{name}": text for name, text in self._analyser.rules.items()},
                **({"/in/authority.pem": lonely_authority()} if self._analyser.authority else {}),
            },
            env={
                "LC_ALL": "C.UTF-8",
                "HOME": "/tmp",  # noqa: S108  # the sandbox's own, empty and bounded
                "PYTHONDONTWRITEBYTECODE": "1",
                **self._analyser.env,
            },
            limits=Limits(
                wall_s=seconds,
                cpu_s=int(seconds) * 2,
                memory_mb=self._analyser.memory_mb,
                scratch_mb=64,
                artefacts_mb=64,
            ),
        )

    def taken(self, outcome: Outcome, batch: _Batch) -> tuple[_Read, tuple[Hit, ...]]:
        """What was read, and the hits. Raises `_CouldNotReadError` when it did not end well."""
        try:
            told = msgspec.json.decode(outcome.artefacts.get("read.json", b""), type=_Read)
            if told.code == 0:
                return told, hits(outcome.artefacts.get("result.sarif", b""), batch.names)
            why = f"it ended with {told.code}"
        except msgspec.DecodeError:
            why = "it did not come to its end"
            if outcome.out_of_memory:
                why = "out of memory"
            elif outcome.timed_out:
                why = "it took too long"
        except ClearholdError as problem:
            why = problem.message
        said = outcome.stderr.decode("utf-8", "replace").strip()[:LOG_TAIL]
        raise _CouldNotReadError(
            f"{self.name} could not analyse {len(batch.files)} files ({why}). {said}".strip(),
            next_step="Claim a lease for fewer paths, or search by another engine.",
        )

    def _log(self, made: Sequence[Lead], done: _Reader, ours: int, *, listed: bool) -> str:
        left_out = max(0, len(made) - MOST_LEADS)
        said = [
            f"{self.name} {self._analyser.version}, rules {self._analyser.digest[:16]}",
            f"{done.files} of {ours} files read, {done.lines} lines, {len(made)} leads",
        ]
        if not listed:
            said.append("there are more files than are listed; narrow the lease's paths")
        if left_out:
            said.append(
                f"{left_out} leads beyond {MOST_LEADS} are left out; narrow the lease's paths"
            )
        if done.refused:
            said.append(f"{len(done.refused)} files made {self.name} fail and were left out:")
            said += [f"  {one_line(path)[:200]}" for path in done.refused[:_TOLD]]
        return "\n".join(said)


@dataclass(slots=True)
class _Reader:
    """One search's batches, and what came of them.

    A batch on which the analyser fails is halved until the files are found that it fails on, so that
    one file costs itself and not the search. A batch may take half of the time that is left, so that
    what makes the analyser hang leaves time for the rest.
    """

    engine: StaticEngine
    plan: Plan
    workspace: Workspace
    on_progress: Callable[[Progress], None]
    began: float
    found: list[Hit] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    ending: Ending = Ending.DONE

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.plan.budget_s - (time.monotonic() - self.began)

    @property
    def spent_s(self) -> int:
        """Whole seconds since it began."""
        return int(time.monotonic() - self.began)

    def through(self, reading: Reading, batches: Iterable[_Batch], tools: Sequence[Path]) -> None:
        """Read all, as far as the budget goes.

        Raises `ClearholdError` when the analyser fails on everything.
        """
        waiting = deque(batches)
        failed: ClearholdError | None = None
        while waiting:
            batch = waiting.popleft()
            seconds = min(self.left, _LONGEST_S, max(self.left / 2, _SHORTEST_S))
            if seconds < _FREE:
                self.ending = Ending.BUDGET
                break
            try:
                outcome = self.workspace.run(self.engine.job(reading, batch, tools, seconds))
                self._take(*self.engine.taken(outcome, batch), batch)
            except (_CouldNotReadError, IntegrityError) as problem:
                failed = problem
                if len(batch.files) > 1 and len(self.refused) < MOST_REFUSED:
                    waiting.extendleft(reversed(batch.halves))
                elif self.left < _FREE:  # it may well have been too little time
                    waiting.appendleft(batch)
                else:
                    self.refused += batch.names.values()
        if failed is not None and not self.read and self.ending is Ending.DONE:
            raise failed

    def _take(self, told: _Read, new: Sequence[Hit], batch: _Batch) -> None:
        self.found += new
        self.read += [path for name, path in batch.names.items() if name not in told.skipped]
        self.files, self.lines = self.files + told.files, self.lines + told.lines
        self.on_progress(Progress(executions=self.files, spent_s=self.spent_s))


def _batches(files: Sequence[File]) -> Iterator[_Batch]:
    """Files in order, as many at once as the bounds allow, under names that are numbers."""
    batch: dict[str, File] = {}
    size = 0
    for each in files:
        if batch and (len(batch) >= MOST_FILES or size + each.size > MOST_BYTES):
            yield _Batch(batch)
            batch, size = {}, 0
        batch[f"{len(batch):05}{PurePosixPath(each.inner).suffix.lower()}"] = each
        size += each.size
    if batch:
        yield _Batch(batch)


def lines_of(reading: Reading, found: Sequence[Hit]) -> dict[tuple[str, int], str]:
    """What stands where hits are, with what is around."""
    return reading.lines(wanted_lines(found)) if found else {}


def _inside(part: str, name: str) -> bytes:
    return (resources.files(f"clearhold.discovery.{part}") / "inside" / name).read_bytes()

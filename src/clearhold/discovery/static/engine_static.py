"""An analyser as an engine of campaigns: it reads what the lease covers, and its hits are leads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import msgspec

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.reading import File, Reading
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
from clearhold.kernel.errors import ClearholdError, UnavailableError
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
_JOB_S: Final = 300
_FREE: Final = 1


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
        began = time.monotonic()
        tools = self._tools(workspace)
        reading = Reading(
            workspace.laboratory, workspace.recipe, workspace.start.scope, run=workspace.run
        )
        ours = [each for each in reading.within if self._understands(each)]
        readable = [each for each in ours if 0 <= each.size <= LARGEST_FILE]
        found: list[Hit] = []
        read: list[str] = []
        files = lines = 0
        ending = Ending.DONE
        for batch in _batches(readable):
            spent = time.monotonic() - began
            left = plan.budget_s - spent
            if left < _FREE:
                ending = Ending.BUDGET
                break
            outcome = workspace.run(self._job(reading, batch, tools, left))
            if outcome.timed_out:
                ending = Ending.BUDGET
                break
            told, new = self._taken(outcome, batch)
            found += new
            read += [path for name, path in batch.names.items() if name not in told.skipped]
            files, lines = files + told.files, lines + told.lines
            on_progress(Progress(executions=files, spent_s=int(time.monotonic() - began)))
        made = leads(found, around(_lines(reading, found), found), engine=self.name)
        return Searched(
            ending,
            executions=files,
            spent_s=min(int(time.monotonic() - began), plan.budget_s),
            leads=made[:MOST_LEADS],
            lines=lines,
            read=tuple(read),
            complete=ending is Ending.DONE,
            unread=tuple(sorted({each.path for each in ours}.difference(read))),
            log=self._log(made, files, len(ours), lines),
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

    def _job(self, reading: Reading, batch: _Batch, tools: Sequence[Path], seconds: float) -> Job:
        question = {
            "files": [(each.root, each.inner, name) for name, each in batch.files.items()],
            "largest": LARGEST_FILE,
            "program": self._analyser.program,
            "argv": self._analyser.argv,
        }
        wall_s = max(1.0, min(seconds, _JOB_S))
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
                wall_s=wall_s,
                cpu_s=int(wall_s) * 2,
                memory_mb=self._analyser.memory_mb,
                scratch_mb=64,
                artefacts_mb=64,
            ),
        )

    def _taken(self, outcome: Outcome, batch: _Batch) -> tuple[_Read, tuple[Hit, ...]]:
        """What was read, and the hits. Raises `UnavailableError` when the analyser did not end well."""
        try:
            told = msgspec.json.decode(outcome.artefacts.get("read.json", b""), type=_Read)
            if told.code == 0:
                return told, hits(outcome.artefacts.get("result.sarif", b""), batch.names)
            why = f"it ended with {told.code}"
        except msgspec.DecodeError:
            why = "out of memory" if outcome.out_of_memory else "it did not come to its end"
        except ClearholdError as problem:
            why = problem.message
        said = outcome.stderr.decode("utf-8", "replace").strip()[:LOG_TAIL]
        raise UnavailableError(
            f"{self.name} could not analyse {len(batch.files)} files ({why}). {said}".strip(),
            next_step="Claim a lease for fewer paths, or search by another engine.",
        )

    def _log(self, made: Sequence[Lead], files: int, ours: int, lines: int) -> str:
        left_out = max(0, len(made) - MOST_LEADS)
        said = [
            f"{self.name} {self._analyser.version}, rules {self._analyser.digest[:16]}",
            f"{files} of {ours} files read, {lines} lines, {len(made)} leads",
        ]
        if left_out:
            said.append(
                f"{left_out} leads beyond {MOST_LEADS} are left out; narrow the lease's paths"
            )
        return "\n".join(said)


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


def _lines(reading: Reading, found: Sequence[Hit]) -> dict[tuple[str, int], str]:
    return reading.lines(wanted_lines(found)) if found else {}


def _inside(part: str, name: str) -> bytes:
    return (resources.files(f"clearhold.discovery.{part}") / "inside" / name).read_bytes()

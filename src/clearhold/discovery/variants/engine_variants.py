"""Variant hunting as an engine: functions like those of a confirmed finding are leads that name it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.reading import File, Reading, in_order
from clearhold.discovery.engine import (
    Ending,
    Kind,
    Lead,
    Plan,
    Progress,
    Searched,
    Workspace,
    no_options,
)
from clearhold.discovery.static.engine_static import LARGEST_FILE, SOURCE
from clearhold.discovery.static.marks import fingerprint
from clearhold.discovery.variants.flawed import FindingModel
from clearhold.findings.report import one_line
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.kernel.purl import Purl
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.recipe import Recipe

NAME: Final = "variants"
MOST_VARIANTS: Final = 60
"""Leads of one campaign, those most alike."""
LEAST_ALIKE: Final = 0.35
_READS: Final = frozenset(
    {
        ".py",
        ".pyi",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".cxx",
        ".hpp",
        ".js",
        ".cjs",
        ".mjs",
        ".ts",
        ".java",
    }
)
_ID: Final = re.compile(r"[0-9a-f-]{36}")
_LONGEST_S: Final = 600


class _Told(msgspec.Struct, frozen=True):
    """A line of the program inside: a function that was looked for, one that is like it, an end."""

    model: Annotated[str, Meta(max_length=1000)] = ""
    file: int = -1
    line: Annotated[int, Meta(ge=0)] = 0
    name: Annotated[str, Meta(max_length=400)] = ""
    like: Annotated[str, Meta(max_length=400)] = ""
    score: Annotated[int, Meta(ge=0, le=100)] = 0
    text: Annotated[list[Annotated[str, Meta(max_length=400)]], Meta(max_length=8)] = []
    cut: int | None = None
    done: bool = False


class VariantEngine:
    """Searches the leased source for functions like those of a finding its party may read."""

    name = NAME
    technique = Technique.STATIC
    kind = Kind.STATIC
    needs: tuple[str, ...] = ()

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """The source of whatever there is a recipe for."""
        del recipe
        return (SOURCE,)

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` unless there is one option, `finding`, with an id."""
        no_options(options, "finding")
        if not _ID.fullmatch(options.get("finding", "")):
            raise InvalidError(
                "Variants are looked for of a finding.", next_step="Say finding=ID, an id of yours."
            )

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Compare every function within the scope with those of the finding."""
        del on_progress  # it is over in one run
        began = time.monotonic()
        model = workspace.start.model
        if model is None:
            raise UnavailableError("The finding is not there.", next_step="Begin it anew.")
        reading = Reading(
            workspace.laboratory, workspace.recipe, workspace.start.scope, run=workspace.run
        )
        ours = in_order(filter(_understands, reading.within), first=plan.first)
        over = [each for each in ours if _reads(each)]
        told = self._compared(plan, workspace, model, reading, over)
        looked_for = [each.model for each in told if each.model]
        if not looked_for:
            raise UnavailableError(
                "None of the functions that the finding names, of a size worth comparing, is in the "
                "source that its recipe knows.",
                next_step="Submit the finding with a fix, which says by its lines where the flaw is.",
            )
        cut = next((each.cut for each in told if each.cut is not None), None)
        whole = any(each.done for each in told)
        read = over if whole else over[: cut or 0]
        made = _leads(model, told, over)
        return Searched(
            Ending.DONE if whole else Ending.BUDGET,
            executions=len(read),
            spent_s=min(int(time.monotonic() - began), plan.budget_s),
            leads=tuple(made[:MOST_VARIANTS]),
            read=tuple(each.path for each in read),
            unread=tuple(
                sorted({each.path for each in ours}.difference(each.path for each in read))
            ),
            listed=reading.listed,
            log=f"{len(looked_for)} functions of the finding compared with those of {len(read)} of "
            f"{len(over)} files; {len(made)} are alike by {LEAST_ALIKE:.0%} or more",
        )

    def _compared(
        self,
        plan: Plan,
        workspace: Workspace,
        model: FindingModel,
        reading: Reading,
        over: Sequence[File],
    ) -> list[_Told]:
        of = Purl.parse(model.package)
        recipe = workspace.laboratory.recipes.find(str(of.package), version=of.version or "")
        if recipe is None:
            raise UnavailableError(
                "There is no recipe of the finding's package.", next_step="Add one of yours."
            )
        there = Reading(workspace.laboratory, recipe, ("**",), run=workspace.run)
        seconds = max(1, min(plan.budget_s, _LONGEST_S))
        question = {
            "model": [
                (f"/model/{each.root}", each.inner, each.path)
                for each in there.within
                if _reads(each)
            ],
            "over": [(f"/src/{each.root}", each.inner, each.path) for each in over],
            "names": model.names,
            "places": model.places,
            "largest": LARGEST_FILE,
            "least": LEAST_ALIKE,
            "seconds": seconds,
            "same": recipe.package == workspace.recipe.package,
        }
        inside = resources.files("clearhold.discovery")
        outcome = workspace.run(
            Job(
                argv=("/usr/bin/python3", "-I", "/in/alike.py"),
                trees={
                    **reading.mounts,
                    **{
                        place.replace("/src/", "/model/", 1): tree
                        for place, tree in there.mounts.items()
                    },
                },
                files={
                    "/in/alike.py": (inside / "variants" / "inside" / "alike.py").read_bytes(),
                    "/in/browse.py": (inside / "agents" / "inside" / "browse.py").read_bytes(),
                    "/in/cutting.py": (inside / "variants" / "inside" / "cutting.py").read_bytes(),
                    "/in/question": json.dumps(question).encode(),
                },
                env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                limits=Limits(
                    wall_s=seconds + 30, cpu_s=seconds + 30, memory_mb=1024, output_kb=16_384
                ),
            )
        )
        lines, _, _ = outcome.stdout.rpartition(b"\n")
        try:
            return [msgspec.json.decode(line, type=_Told) for line in lines.split(b"\n") if line]
        except msgspec.DecodeError as problem:
            raise UnavailableError(
                "The comparison of functions did not come to its end."
            ) from problem


def _leads(model: FindingModel, told: Sequence[_Told], over: Sequence[File]) -> list[Lead]:
    rule = f"{NAME}:{model.finding}"
    made: dict[str, Lead] = {}
    for each in sorted(told, key=lambda line: -line.score):
        if not (each.score and 0 <= each.file < len(over)):
            continue
        path, name = over[each.file].path, one_line(each.name)
        mark = fingerprint(rule, path, name, 0)
        made.setdefault(
            mark,
            Lead(
                rule=rule,
                path=path,
                line=each.line,
                message=f"{name} is like {one_line(each.like)} of finding {model.finding} by {each.score} %",
                fingerprint=mark,
                excerpt="\n".join(
                    f"{number}: {text}" for number, text in enumerate(each.text, start=each.line)
                ),
                level="warning" if each.score >= 80 else "note",
            ),
        )
    return list(made.values())


def _understands(file: File) -> bool:
    return PurePosixPath(file.inner).suffix.lower() in _READS


def _reads(file: File) -> bool:
    return 0 <= file.size <= LARGEST_FILE and _understands(file)

"""CodeQL as an engine, where the operator has it: a database is built and asked in the sandbox.

It is not ours to fetch: its licence binds whoever uses it. Its program and its query packs are those
that lie on the machine. What is compiled is compiled as the recipe says, under CodeQL's tracer.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Final
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.reading import File, Reading, in_order
from clearhold.discovery.engine import (
    LOG_TAIL,
    Ending,
    Kind,
    Plan,
    Progress,
    Searched,
    Workspace,
    no_options,
)
from clearhold.discovery.static.engine_static import MOST_LEADS, SOURCE, lines_of
from clearhold.discovery.static.marks import Hit, around, hits, leads
from clearhold.findings.report import one_line
from clearhold.kernel.errors import ClearholdError, InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import LAID_OUT, build_surroundings
from clearhold.validation.recipe import Flavour, Recipe, Side

NAME: Final = "codeql"
MARK: Final = ".codeqlmanifest.json"
"""What lies beside the program in every distribution of it."""
LARGEST_FILE: Final = 1 << 20
_C: Final = frozenset({".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh"})
LANGUAGES: Final[Mapping[str, frozenset[str]]] = {
    "cpp": _C,
    "javascript": frozenset({".js", ".cjs", ".mjs", ".jsx", ".ts", ".tsx"}),
    "python": frozenset({".py"}),
}
"""The languages that are searched, by CodeQL's names, and their files."""
_BUILT: Final = "cpp"
_MEMORY_MB: Final = 3072
_MOST_READ: Final = 60_000
_UNPACKED: Final = "mkdir /work/src\n"
_BUILT_ELSEWHERE: Final = LAID_OUT + "OUT=/work/built; mkdir $OUT\n"
"""What is built is no artefact of the search."""
_RUN: Final = "exec python3 -I /in/codeql.py\n"


class _Told(msgspec.Struct, frozen=True):
    """What the program inside says: CodeQL's version, and the files its database was made of."""

    version: Annotated[str, Meta(max_length=60)]
    read: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=_MOST_READ)]


def distribution(path: str | None = None) -> Path | None:
    """Where CodeQL lies on this machine, when `codeql` is a command of the search path."""
    found = shutil.which(NAME, path=path)
    if found is None:
        return None
    place = Path(found).resolve()
    whole = place.name == NAME and (place.parent / MARK).is_file()
    return place.parent if whole else None


class CodeqlEngine:
    """Searches the source of one language that a lease covers; `installed` is where CodeQL lies."""

    name = NAME
    technique = Technique.STATIC
    kind = Kind.STATIC
    needs = ("the CodeQL CLI bundle with its query packs, as the command codeql",)

    def __init__(self, installed: Callable[[], Path | None] = distribution) -> None:
        self._installed = installed

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """The source of whatever there is a recipe for."""
        del recipe
        return (SOURCE,)

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` unless the one option, `language`, is one that is searched."""
        no_options(options, "language")
        if options.get("language", _BUILT) not in LANGUAGES:
            raise InvalidError(
                "CodeQL is not asked for that language here.",
                next_step=f"Say language= and one of: {', '.join(LANGUAGES)}.",
            )

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Make the database, ask it, and keep what lies within the scope.

        Raises `UnavailableError` without CodeQL, without a file to search, and when it fails.
        """
        del on_progress  # it is over in one run
        began = time.monotonic()
        place = self._installed()
        if place is None:
            raise UnavailableError(
                "CodeQL is not on this machine, and is not fetched.",
                next_step="Let the hub's operator unpack the CodeQL bundle, under its licence, and "
                f"link its program as {NAME} into the search path; or search by another engine.",
            )
        reading = Reading(
            workspace.laboratory, workspace.recipe, workspace.start.scope, run=workspace.run
        )
        language = plan.options.get("language") or _main_language(reading.within)
        ours = in_order((each for each in reading.within if _is(each, language)), first=plan.first)
        if not ours:
            raise UnavailableError(
                "The lease covers no file that CodeQL is asked about.",
                next_step=f"Claim a lease on files of one of: {', '.join(LANGUAGES)}.",
            )
        outcome = workspace.run(
            self._job(plan, workspace, reading, place=place, language=language, ours=ours)
        )
        told, found = _taken(outcome, ours)
        read = sorted({*told.read}.intersection(each.path for each in ours))
        made = leads(found, around(lines_of(reading, found), found), engine=NAME)
        return Searched(
            Ending.DONE,
            executions=len(read),
            spent_s=min(int(time.monotonic() - began), plan.budget_s),
            leads=made[:MOST_LEADS],
            read=tuple(read),
            unread=tuple(sorted({each.path for each in ours}.difference(read))),
            listed=reading.listed,
            log=f"CodeQL {one_line(told.version)}, {_queries(language)}\n"
            f"{len(read)} of {len(ours)} files are in its database, {len(made)} leads",
        )

    def _job(
        self,
        plan: Plan,
        workspace: Workspace,
        reading: Reading,
        *,
        place: Path,
        language: str,
        ours: Sequence[File],
    ) -> Job:
        recipe, built = workspace.recipe, language == _BUILT
        readable = [each for each in ours if 0 <= each.size <= LARGEST_FILE]
        question = {
            "files": [] if built else [(each.root, each.inner, each.path) for each in readable],
            "language": language,
            "queries": _queries(language),
            "command": f"/bin/sh /recipe/{recipe.build.script}" if built else "",
            "memory_mb": _MEMORY_MB * 3 // 4,
        }
        trees = {**reading.mounts, "/codeql": place}
        env = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        if built:
            env = build_surroundings(recipe, Side.VULNERABLE, Flavour.PLAIN)
        inside = resources.files("clearhold.discovery")
        return Job(
            argv=("/bin/sh", "-c", (_BUILT_ELSEWHERE if built else _UNPACKED) + _RUN),
            trees=trees,
            files={
                **(recipe.mounted if built else {}),
                "/in/codeql.py": (inside / "static" / "inside" / "codeql.py").read_bytes(),
                "/in/browse.py": (inside / "agents" / "inside" / "browse.py").read_bytes(),
                "/in/question": json.dumps(question).encode(),
            },
            env={**env, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108  # the sandbox's own
            limits=Limits(
                wall_s=float(plan.budget_s),
                cpu_s=plan.budget_s * 2,
                memory_mb=_MEMORY_MB,
                processes=256,
                scratch_mb=recipe.limits.scratch_mb + 1024,
                artefacts_mb=64,
            ),
        )


def _taken(outcome: Outcome, ours: Sequence[File]) -> tuple[_Told, tuple[Hit, ...]]:
    """What the database holds and the hits in our files; raises `UnavailableError` without a log."""
    paths = {each.path: each.path for each in ours}
    try:
        told = msgspec.json.decode(outcome.artefacts.get("read.json", b""), type=_Told)
        log = outcome.artefacts.get("result.sarif", b"")
        return told, hits(log, paths, named=lambda uri: unquote(uri).removeprefix("./"))
    except msgspec.DecodeError:
        why = "it did not come to its end"
        if outcome.out_of_memory:
            why = "out of memory"
        elif outcome.timed_out:
            why = "it took longer than the budget"
    except ClearholdError as problem:
        why = problem.message
    said = outcome.stderr.decode("utf-8", "replace").strip()[-LOG_TAIL:]
    raise UnavailableError(
        f"CodeQL could not be asked ({why}). {said}".strip(),
        next_step="Give it a larger budget, see that its bundle has the query packs and can be read "
        "by the sandbox's own user, or search by another engine.",
    )


def _main_language(files: Sequence[File]) -> str:
    """The language of which most files are; the first of equals."""
    counted: Counter[str] = Counter()
    for each in files:
        counted.update(language for language in LANGUAGES if _is(each, language))
    return max(LANGUAGES, key=lambda language: counted[language])


def _is(file: File, language: str) -> bool:
    return PurePosixPath(file.inner).suffix.lower() in LANGUAGES[language]


def _queries(language: str) -> str:
    """The suite of the pack on this machine that asks for flaws of security."""
    return f"codeql/{language}-queries:codeql-suites/{language}-security-extended.qls"

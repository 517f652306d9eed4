"""The tools of an agent, and all of its powers: reading one package, and trying proofs on it.

There is no tool that reaches a network, another package, a secret or anything that the hub keeps.
Whatever text an agent reads can at most make it call one of these. A proof counts when the
laboratory shows it, whatever the agent says of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from clearhold.discovery.agents.journal import Allowance, Spent
from clearhold.discovery.agents.reading import Reading
from clearhold.discovery.engine import Crash, Lead, Standing
from clearhold.kernel.errors import (
    ClearholdError,
    InvalidError,
    LimitError,
    NotFoundError,
    TooLargeError,
)
from clearhold.ports.model import ToolSpec
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.oracles import oracle
from clearhold.validation.recipe import Recipe
from clearhold.validation.reproduce import MAXIMUM_PROOF_BYTES
from clearhold.validation.verdict import Claim
from clearhold.wire.json_bounds import Limits as JsonLimits
from clearhold.wire.json_bounds import decode

MOST_NOTES: Final = 50
LARGEST_PROGRAM: Final = 64 * 1024
GENERATOR_S: Final = 10
_ARGUMENTS: Final = JsonLimits(size=6 << 20, depth=8)
_DRIVER_CHARACTERS: Final = 6000
_CONTROL_BYTES: Final = 2000
_REPORT_CHARACTERS: Final = 2000
_MOST_CRASHES: Final = 32

Path = Annotated[str, Meta(max_length=1000, description="A path in the package.")]
Glob = Annotated[
    str, Meta(max_length=128, description="A path glob: lib/**/*.c. ** means everything.")
]


class _Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool is called with."""


class _ListFiles(_Arguments, frozen=True):
    glob: Glob = "**"
    after: Annotated[str, Meta(max_length=1000, description="The last path told before.")] = ""


class _ReadFile(_Arguments, frozen=True):
    path: Path
    first: Annotated[int, Meta(ge=1, description="The first line, from 1.")] = 1
    count: Annotated[int, Meta(ge=1, le=400, description="How many lines.")] = 200


class _Search(_Arguments, frozen=True):
    pattern: Annotated[str, Meta(min_length=1, max_length=400, description="What to look for.")]
    glob: Glob = "**"
    regex: Annotated[bool, Meta(description="It is a regular expression of Python's.")] = False
    ignore_case: bool = False


class _DescribeTargets(_Arguments, frozen=True):
    pass


class _RunProof(_Arguments, frozen=True):
    target: Annotated[str, Meta(max_length=64, description="A target of describe_targets.")]
    text: Annotated[str | None, Meta(description="The proof as text, in UTF-8.")] = None
    base64: Annotated[str | None, Meta(description="The proof's bytes in base64.")] = None
    program: Annotated[
        Annotated[str, Meta(max_length=LARGEST_PROGRAM)] | None,
        Meta(description="A Python 3 program that writes the proof to standard output."),
    ] = None


class _Note(_Arguments, frozen=True):
    text: Annotated[str, Meta(min_length=1, max_length=2000, description="What you suppose.")]
    path: Annotated[str, Meta(max_length=1000, description="The file it is about.")] = ""
    line: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    weakness: Annotated[str, Meta(pattern="^(CWE-[1-9][0-9]{0,4})?$")] = ""


class _GiveUp(_Arguments, frozen=True):
    reason: Annotated[str, Meta(max_length=2000, description="Why you stop.")] = ""


_TOOLS: Final[Mapping[str, tuple[type[_Arguments], str]]] = {
    "list_files": (_ListFiles, "List the files of the package that you may read."),
    "read_file": (_ReadFile, "Read lines of a file of the package."),
    "search": (_Search, "Find lines in the package's files."),
    "describe_targets": (
        _DescribeTargets,
        "Tell how proofs are run: the targets, what counts as a violation, how a benign input looks.",
    ),
    "run_proof": (
        _RunProof,
        "Run a proof on the real build, given as text, base64 or program. Only this shows flaws.",
    ),
    "note_hypothesis": (_Note, "Write down a place you suspect, for those who sent you."),
    "give_up": (_GiveUp, "End the search when there is nothing more worth trying."),
}


def _specification(name: str, kind: type[_Arguments], description: str) -> ToolSpec:
    _, parts = msgspec.json.schema_components([kind])
    (schema,) = (each for title, each in parts.items() if title == kind.__name__)
    return ToolSpec(name, description, {k: v for k, v in schema.items() if k != "title"})


SPECIFICATIONS: Final = tuple(
    _specification(name, kind, description) for name, (kind, description) in _TOOLS.items()
)


class Toolbox:
    """The tools of one agent on one package under one lease.

    `scope` are the lease's path globs, `targets` those of the recipe that may be tried, `run` is
    how jobs are run. `spent` counts on from what earlier tries used up.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        recipe: Recipe,
        *,
        version: str,
        scope: Sequence[str],
        targets: Sequence[str],
        allowance: Allowance,
        spent: Spent | None = None,
        run: Callable[[Job], Outcome] | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._recipe = recipe
        self._version = version
        self._targets = tuple(targets)
        self._allowance = allowance
        self._run = run or laboratory.run
        self._reading = Reading(laboratory, recipe, scope, run=run)
        self.spent = spent or Spent()
        self.crashes: list[Crash] = []
        self.notes: list[Lead] = []
        self.given_up: str | None = None
        self._acts: Mapping[str, Callable[[Any], dict[str, Any]]] = {
            "list_files": lambda given: self._reading.files(given.glob, given.after),
            "read_file": lambda given: self._reading.read(given.path, given.first, given.count),
            "search": lambda given: self._reading.search(
                given.pattern, given.glob, literal=not given.regex, ignore_case=given.ignore_case
            ),
            "describe_targets": lambda _: self._described(),
            "run_proof": self._try,
            "note_hypothesis": self._note,
            "give_up": self._give_up,
        }

    @property
    def confirmed(self) -> Crash | None:
        """The first proof that the laboratory showed."""
        shown = (each for each in self.crashes if each.standing is Standing.CONFIRMED)
        return next(shown, None)

    def call(self, name: str, arguments: str) -> tuple[dict[str, Any], bool]:
        """What a tool answers, and whether that is an error; `arguments` are whatever was given.

        Raises `UnavailableError` alone, when the laboratory itself cannot go on.
        """
        self.spent = self.spent.more(calls=1)
        try:
            return self._called(name, arguments), False
        except (InvalidError, NotFoundError, TooLargeError, LimitError) as error:
            return told(error), True

    def _called(self, name: str, arguments: str) -> dict[str, Any]:
        if self.spent.calls > self._allowance.calls:
            raise LimitError("No more calls are left.", next_step="The search ends here.")
        if name not in self._acts:
            raise NotFoundError(
                "There is no such tool.", next_step=f"Use one of: {', '.join(self._acts)}."
            )
        given = decode(
            arguments.strip().encode("utf-8", "replace") or b"{}",
            _TOOLS[name][0],
            limits=_ARGUMENTS,
            what="arguments",
        )
        return self._acts[name](given)

    def _described(self) -> dict[str, Any]:
        described = []
        for name in self._targets:
            target = self._recipe.target(name)
            control = self._recipe.control(name)
            shown = control[:_CONTROL_BYTES]
            programs = {PurePosixPath(part).stem for part in target.argv}
            drivers = {
                path: content.decode("utf-8", "replace")[:_DRIVER_CHARACTERS]
                for path, content in self._recipe.files.items()
                if "/" not in path and PurePosixPath(path).stem in programs
            }
            described.append(
                {
                    "target": name,
                    "what": target.summary,
                    "oracle": target.oracle,
                    "claim": oracle(target.oracle).claim,
                    "runs_in": target.host,
                    "benign_input": shown.decode("utf-8", "backslashreplace"),
                    "benign_input_base64": base64.b64encode(shown).decode(),
                    "driver": drivers,
                }
            )
        left = self._allowance.proofs - self.spent.proofs
        return {"version": self._version, "targets": described, "proofs_left": left}

    def _try(self, given: _RunProof) -> dict[str, Any]:
        if given.target not in self._targets:
            raise NotFoundError(
                "There is no such target.", next_step=f"Use one of: {', '.join(self._targets)}."
            )
        if self.spent.proofs >= self._allowance.proofs:
            raise LimitError("No more proofs are left.", next_step="Note what you know, and stop.")
        self.spent = self.spent.more(proofs=1)
        proof = self._bytes(given)
        done = examine(
            self._laboratory,
            self._recipe,
            target=given.target,
            proof=proof,
            claim=Claim("", self._version),
            compare_with_fix=False,  # what is new is fixed nowhere
            minimising_runs=0,
        )
        verdict = done.verdict
        if verdict.signature and len(self.crashes) < _MOST_CRASHES:
            self.crashes.append(Crash.judged(done, proof))
        crash = next((run.crash for run in done.vulnerable if run.crash), None)
        report = next((run.report for run in done.vulnerable if run.report), b"")
        return {
            "verdict": verdict.label,
            "reason": verdict.reason,
            "counts": verdict.confirmed,
            "proof_bytes": len(proof),
            "proof_sha256": hashlib.sha256(proof).hexdigest(),
            "frames": [frame.function for frame in crash.frames[:8]] if crash else [],
            "report": report.decode("utf-8", "replace")[:_REPORT_CHARACTERS],
            "proofs_left": self._allowance.proofs - self.spent.proofs,
        }

    def _bytes(self, given: _RunProof) -> bytes:
        ways = [each for each in (given.text, given.base64, given.program) if each is not None]
        if len(ways) != 1:
            raise InvalidError(
                "A proof is given in one of three ways.",
                next_step="Give exactly one of text, base64 and program.",
            )
        if given.text is not None:
            proof = given.text.encode()
        elif given.base64 is not None:
            try:
                proof = base64.b64decode(given.base64, validate=True)
            except (binascii.Error, ValueError) as error:
                raise InvalidError(
                    "This is not base64.", next_step="Encode the bytes, or give a program."
                ) from error
        else:
            proof = self._generated(given.program or "")
        if len(proof) > MAXIMUM_PROOF_BYTES:
            raise TooLargeError(f"A proof has at most {MAXIMUM_PROOF_BYTES} bytes.")
        return proof

    def _generated(self, program: str) -> bytes:
        """What a program writes in the sandbox, with nothing in reach but the interpreter.

        The program is a stranger's code, and runs only where policy lets such code run.
        """
        if not self._laboratory.runs_code:
            raise InvalidError(
                "No programs are run on this machine.",
                next_step="Give the proof as text or base64.",
            )
        outcome = self._run(
            Job(
                argv=("/usr/bin/python3", "-I", "/in/program.py"),
                files={"/in/program.py": program.encode()},
                env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                limits=Limits(
                    wall_s=GENERATOR_S,
                    cpu_s=GENERATOR_S,
                    memory_mb=256,
                    processes=16,
                    scratch_mb=16,
                    output_kb=MAXIMUM_PROOF_BYTES >> 10,
                    artefacts_mb=1,
                ),
            )
        )
        if outcome.exit_code != 0 or outcome.output_truncated:
            said = outcome.stderr.decode("utf-8", "replace").strip()[-600:]
            how = "wrote too much" if outcome.output_truncated else "did not end well"
            raise InvalidError(
                f"The program {how}.", next_step=f"Correct it. It said: {said or 'nothing'}"
            )
        return outcome.stdout

    def _note(self, given: _Note) -> dict[str, Any]:
        if len(self.notes) >= MOST_NOTES:
            raise LimitError("No more notes are taken.", next_step="Try a proof, or stop.")
        if given.path and not self._reading.holds(given.path):
            raise NotFoundError(
                "There is no such file within your lease.", next_step="Name one that you have read."
            )
        rule = given.weakness or "hypothesis"
        same = f"model\0{rule}\0{given.path}\0{' '.join(given.text.split())}"
        self.notes.append(
            Lead(
                rule=f"model:{rule}",
                path=given.path,
                line=given.line if given.path else 0,
                message=given.text,
                fingerprint=hashlib.sha256(same.encode()).hexdigest(),
            )
        )
        return {"noted": len(self.notes)}

    def _give_up(self, given: _GiveUp) -> dict[str, Any]:
        self.given_up = given.reason or "no reason given"
        return {"ended": True}


def told(error: ClearholdError) -> dict[str, Any]:
    """An error as agents are told it."""
    return {"error": error.code, "title": error.message, "next_step": error.next_step}

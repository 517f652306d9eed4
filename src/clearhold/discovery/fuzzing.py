"""What all fuzzers share: rounds of searching, crashes judged by the laboratory, plateaus.

A fuzzer runs in rounds of some seconds. Between two of them everything it has is handed out, so that
a campaign that is cut off loses one round at most, and goes on from its corpus.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from clearhold.catalogue.model import Technique
from clearhold.discovery.corpus import bounded
from clearhold.discovery.engine import (
    Crash,
    Ending,
    Kind,
    Plan,
    Progress,
    Searched,
    Standing,
    Workspace,
    no_options,
)
from clearhold.discovery.reaching import Reached, reached
from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.validation.crash import similar
from clearhold.validation.examination import examine
from clearhold.validation.recipe import Flavour, Recipe
from clearhold.validation.reproduce import MAXIMUM_PROOF_BYTES
from clearhold.validation.verdict import Claim

ROUND_S: Final = 20
MOST_CRASHES: Final = 64
"""Crashes with signatures of their own that one campaign keeps."""
MOST_AT_ONCE: Final = 16
"""Crashes that one round hands over."""
_SAME_AGAIN: Final = 6
_WORTH_MERGING: Final = 64
_LEAST_PLATEAU_S: Final = 10
UNPACK: Final = "mkdir seeds && tar -xf /in/corpus.tar -C seeds || exit 1\n"
_SEEDS: Final = (1 << 32) - 1
_OPTIONS: Final = ("until", "plateau")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a fuzzer came to.

    `crashes` are the inputs it saw crash, `corpus` the inputs it found worth keeping beside those it
    began with, `edges` counts all that these cover together.
    """

    crashes: tuple[bytes, ...]
    corpus: Mapping[str, bytes]
    executions: int
    edges: int
    log: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What a fuzzer is asked for in one round: how long, from which seed, with which inputs."""

    seed: int
    seconds: int
    corpus: Mapping[str, bytes]
    tell: Callable[[int, int], None]


class Ready(Protocol):
    """A harness that was built."""

    def round(self, turn: Turn) -> Round:
        """Search for one round; raises `UnavailableError` when that is not possible at all."""
        ...

    def merged(self, corpus: Mapping[str, bytes]) -> dict[str, bytes]:
        """The inputs without those that reach nothing new."""
        ...


class Fuzzer(Protocol):
    """One program that fuzzes; `prepare` builds what its rounds run."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """What must be installed."""
        ...

    def fits(self, recipe: Recipe, target: str) -> bool:
        """Whether it can search this target."""
        ...

    def prepare(self, workspace: Workspace, target: str) -> Ready:
        """Build what is searched."""
        ...


class FuzzingEngine:
    """A fuzzer as an engine of campaigns."""

    technique = Technique.FUZZING
    kind = Kind.FUZZING

    def __init__(self, fuzzer: Fuzzer, *, round_s: int = ROUND_S) -> None:
        self._fuzzer = fuzzer
        self._round_s = round_s

    @property
    def name(self) -> str:
        """The fuzzer's name."""
        return self._fuzzer.name

    @property
    def needs(self) -> tuple[str, ...]:
        """What the fuzzer needs."""
        return self._fuzzer.needs

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """The recipe's targets that have a harness for this fuzzer."""
        return tuple(name for name in recipe.targets if self._fuzzer.fits(recipe, name))

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` unless these are `until` (first, budget) and `plateau` (0 to 100)."""
        no_options(options, *_OPTIONS)
        if options.get("until", "first") not in {"first", "budget"}:
            raise InvalidError(
                "A search goes on until its first crash or its budget's end.",
                next_step="Say until=first or until=budget.",
            )
        share = options.get("plateau", "0")
        if not (share.isascii() and share.isdigit() and int(share) <= 100):
            raise InvalidError(
                "A plateau is a share of the budget in percent.",
                next_step="Say plateau=50, or 0 for never.",
            )

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Search in rounds until a confirmed crash, a plateau or the budget's end."""
        workspace.pulse()
        ready = self._fuzzer.prepare(workspace, plan.target)
        return _Search(plan, workspace, on_progress, self._round_s).through(ready)


@dataclass(slots=True)
class _Search:
    """One campaign's rounds."""

    plan: Plan
    workspace: Workspace
    on_progress: Callable[[Progress], None]
    round_s: int
    progress: Progress = field(init=False)
    corpus: dict[str, bytes] = field(init=False)
    log: str = ""
    grown_at: float = 0.0

    def __post_init__(self) -> None:
        before = self.workspace.start.before
        self.progress = replace(before, corpus=None)
        self.corpus = dict(self.workspace.recipe.seeds(self.plan.target)) | dict(
            before.corpus or {}
        )
        self.grown_at = before.spent_s

    def through(self, ready: Ready) -> Searched:
        """All rounds, and what they came to."""
        ending, again, number = Ending.BUDGET, 0, self.progress.spent_s
        spent = float(self.progress.spent_s)
        while (left := int(self.plan.budget_s - spent)) > 0:
            began = time.monotonic()
            done = ready.round(self._turn(number, min(left, self.round_s)))
            took = time.monotonic() - began
            spent += max(took if done.crashes else min(took, float(self.round_s)), 0.05)
            number += 1
            fresh = self._take(done, spent)
            again = again + 1 if done.crashes and not fresh else 0
            if self._enough():
                ending = Ending.FOUND
                break
            if again >= _SAME_AGAIN or self._flat(spent):
                ending = Ending.PLATEAU
                break
        last = self.progress
        if len(self.corpus) > _WORTH_MERGING and ending is not Ending.FOUND:
            self.corpus = bounded(ready.merged(self.corpus))
        known = reached(
            self.workspace.laboratory,
            self.workspace.recipe,
            self.plan.target,
            self.corpus
            | {each.verdict + str(n): each.content for n, each in enumerate(last.crashes)},
            scope=self.workspace.start.scope,
            pulse=self.workspace.pulse,
        )
        return Searched(
            ending,
            executions=last.executions,
            edges=last.edges,
            spent_s=min(last.spent_s, self.plan.budget_s),
            crashes=last.crashes,
            corpus=self.corpus,
            log=self.log + self._ended(ending, again) + _reaching(known),
            read=known.files,
            lines=known.lines,
            listed=False,
        )

    def _turn(self, number: int, seconds: int) -> Turn:
        before = self.progress

        def tell(executions: int, edges: int) -> None:
            self.on_progress(
                replace(
                    before,
                    executions=before.executions + executions,
                    edges=max(before.edges, edges),
                )
            )

        seed = (self.plan.seed + number - 1) % _SEEDS + 1
        return Turn(seed, seconds, self.corpus, tell)

    def _take(self, done: Round, spent: float) -> bool:
        """Take a round in and hand everything out; whether it brought something new."""
        before = self.progress
        crashes, fresh = list(before.crashes), False
        for content in done.crashes:
            fresh |= self._judged(content, crashes)
        if done.edges > before.edges:
            self.grown_at = spent
        self.corpus = bounded({**self.corpus, **done.corpus})
        self.log = done.log
        self.progress = Progress(
            executions=before.executions + done.executions,
            edges=max(before.edges, done.edges),
            spent_s=int(spent),
            crashes=tuple(crashes),
        )
        self.on_progress(replace(self.progress, corpus=self.corpus))
        return fresh

    def _judged(self, content: bytes, crashes: list[Crash]) -> bool:
        """Put a crash to the laboratory and among those met; whether its signature is a new one."""
        if any(each.content == content for each in crashes):
            return False
        new = judge(self.workspace, self.plan.target, content)
        for place, each in enumerate(crashes):
            if each.standing is new.standing and _alike(each, new):
                crashes[place] = replace(each, times=each.times + 1)
                return False
        if len(crashes) < MOST_CRASHES:
            crashes.append(new)
        return True

    def _enough(self) -> bool:
        if self.plan.options.get("until", "first") != "first":
            return False
        return any(each.standing is Standing.CONFIRMED for each in self.progress.crashes)

    def _flat(self, spent: float) -> bool:
        share = int(self.plan.options.get("plateau", "0"))
        longest = max(self.plan.budget_s * share / 100, _LEAST_PLATEAU_S)
        return share > 0 and spent - self.grown_at >= longest

    def _ended(self, ending: Ending, again: int) -> str:
        if ending is not Ending.PLATEAU:
            return ""
        if again >= _SAME_AGAIN:
            return f"\nEnded early: {again} rounds met only crashes that were known by then.\n"
        flat = int(self.progress.spent_s - self.grown_at)
        return f"\nEnded early: nothing new was reached for {flat} s.\n"


def judge(workspace: Workspace, target: str, content: bytes) -> Crash:
    """What the laboratory makes of an input: shown again by the target's oracle, ours, or neither.

    The same as for a proof that somebody submits, without the fixed side: what is searched for has
    no fix yet.
    """
    workspace.pulse()
    if len(content) > MAXIMUM_PROOF_BYTES:
        return Crash(
            content[:0],
            target,
            Standing.UNCONFIRMED,
            "too_large",
            f"The input has {len(content)} bytes, more than a proof may have; it was not kept.",
            ("too-large", hashlib.sha256(content).hexdigest()[:16]),
        )
    try:
        done = examine(
            workspace.laboratory,
            workspace.recipe,
            target=target,
            proof=content,
            claim=Claim(toolchain="clang"),  # which built what saw it crash
            compare_with_fix=False,
            minimising_runs=0,
        )
    except ClearholdError as problem:
        return Crash(content, target, Standing.UNCONFIRMED, problem.code, problem.message)
    known = next(
        (
            since
            for signature, since in workspace.start.known.items()
            if similar(signature, done.verdict.signature)
        ),
        "",
    )
    return Crash.judged(done, content, known_since=known)


def harnessed(recipe: Recipe, target: str) -> bool:
    """Whether a target has a native harness, and the recipe builds it for fuzzing."""
    fuzz = recipe.targets[target].fuzz
    return fuzz is not None and bool(fuzz.binary) and Flavour.FUZZ in recipe.build.flavours


def inputs(corpus: Mapping[str, bytes]) -> dict[str, bytes]:
    """A corpus as one file of a job, whose members are numbered, so that no name of it is a path.

    `UNPACK` is how a job lays it out; a job takes far fewer files than a corpus has.
    """
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as packed:
        for number, content in enumerate(corpus.values()):
            entry = tarfile.TarInfo(f"{number:05}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return {"/in/corpus.tar": held.getvalue()}


def kept(artefacts: Mapping[str, bytes], prefix: str, longest: int) -> dict[str, bytes]:
    """The artefacts below a prefix, named by their content, without those longer than inputs are."""
    found = (each for path, each in sorted(artefacts.items()) if path.startswith(prefix))
    return {
        hashlib.sha1(each, usedforsecurity=False).hexdigest(): each
        for each in found
        if len(each) <= longest
    }


def crashing(artefacts: Mapping[str, bytes], prefixes: Sequence[str]) -> tuple[bytes, ...]:
    """The artefacts whose paths begin so, in order, a few at most."""
    found = [each for path, each in sorted(artefacts.items()) if path.startswith(tuple(prefixes))]
    return tuple(found[:MOST_AT_ONCE])


def _reaching(known: Reached) -> str:
    if known.why:
        return f"\nWhich files were reached is not known: {known.why}\n"
    return f"\nA sample of its inputs runs {known.lines} lines of {len(known.files)} files.\n"


def _alike(first: Crash, second: Crash) -> bool:
    if not first.signature or not second.signature:
        return first.verdict == second.verdict and first.reason == second.reason
    return first.signature == second.signature or similar(first.signature, second.signature)

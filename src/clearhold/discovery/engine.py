"""The seam between campaigns and what searches: every engine is one of these.

An engine is given a plan and a workspace, searches, and says what it came upon. What it says is
its own word: a crash counts once the workspace's laboratory has shown it again, a lead never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from clearhold.catalogue.model import Technique
from clearhold.discovery.agents.journal import Journal
from clearhold.discovery.variants.flawed import FindingModel
from clearhold.kernel.errors import InvalidError
from clearhold.ports.sandbox import Job, Outcome
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import Examination
from clearhold.validation.recipe import Recipe, SideSource
from clearhold.validation.verdict import VerdictKind

LOG_TAIL: Final = 4000
"""How many characters of an engine's last words are kept."""


class Kind(StrEnum):
    """What sort of searching an engine does."""

    FUZZING = "fuzzing"
    STATIC = "static"
    AGENT = "agent"


class Ending(StrEnum):
    """Why a search is over.

    It met what it was to stop at, spent its budget, reached nothing new for too long, looked at all
    there is, was stopped by its party, lost its lease, or could not go on.
    """

    FOUND = "found"
    BUDGET = "budget"
    PLATEAU = "plateau"
    DONE = "done"
    STOPPED = "stopped"
    LEASE = "lease"
    FAILED = "failed"


class Standing(StrEnum):
    """What the laboratory made of a crash: the target's, our own harness's, or not seen again."""

    CONFIRMED = "confirmed"
    HARNESS = "harness"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to search: a package with its version, a target, a seed, seconds, by which engine.

    `options` are the engine's own, checked by it; `target` is a recipe's, or what the engine calls
    what it looks at. `source` is what is searched in place of the recipe's own version, when the
    package has come out anew since. `first` are paths to look at before all others, where the engine
    looks at one file after the other.
    """

    package: str
    target: str
    seed: int
    budget_s: int
    engine: str = "libfuzzer"
    options: Mapping[str, str] = field(default_factory=dict)
    source: SideSource | None = None
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Crash:
    """An input that an engine saw crash, and what the laboratory made of it.

    `verdict` and `reason` are the validation's words, `signature` the family and top frames of the
    fault, `times` how often the search met this signature, `known_since` the party's own earlier
    campaign that met it, or empty.
    """

    content: bytes
    target: str
    standing: Standing
    verdict: str
    reason: str
    signature: tuple[str, ...] = ()
    times: int = 1
    known_since: str = ""

    @classmethod
    def judged(cls, done: Examination, content: bytes, *, known_since: str = "") -> Crash:
        """An input with what its examination came to."""
        verdict = done.verdict
        if verdict.confirmed:
            standing = Standing.CONFIRMED
        elif verdict.kind is VerdictKind.HARNESS_FAULT:
            standing = Standing.HARNESS
        else:
            standing = Standing.UNCONFIRMED
        return cls(
            content,
            done.target,
            standing,
            verdict.label,
            verdict.reason,
            verdict.signature,
            known_since=known_since,
        )


@dataclass(frozen=True, slots=True)
class Lead:
    """A place that a rule or a reader points at: no finding until an oracle shows one.

    `line` counts from 1, 0 for none; `fingerprint` stays the same when lines move. `level` is
    error, warning, note or none, as its engine says.
    """

    rule: str
    path: str
    line: int
    message: str
    fingerprint: str
    excerpt: str = ""
    level: str = "none"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search got; what a campaign that was cut off goes on from.

    `corpus` are the inputs worth keeping by name, None when this report does not say.
    """

    executions: int = 0
    edges: int = 0
    spent_s: int = 0
    crashes: tuple[Crash, ...] = ()
    corpus: Mapping[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to: everything `Progress` has at its end, leads, and why it ended.

    `functions`, `lines` and the paths `read` say what was reached, where that can be measured;
    `unread` are those of their kind that were not, `listed` says that these are all there are.
    `complete` says that whatever the engine did not point at it would not, there and now.
    """

    ending: Ending
    executions: int = 0
    edges: int = 0
    spent_s: int = 0
    crashes: tuple[Crash, ...] = ()
    leads: tuple[Lead, ...] = ()
    corpus: Mapping[str, bytes] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    lines: int = 0
    log: str = ""
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    listed: bool = True
    complete: bool = False

    @property
    def confirmed(self) -> tuple[Crash, ...]:
        """The crashes that the laboratory showed again."""
        return tuple(each for each in self.crashes if each.standing is Standing.CONFIRMED)


class StoppedError(Exception):
    """The search must end now: its party stopped it or its lease is over."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Start:
    """What a search begins with.

    `before` is what an earlier try of the same campaign reached, `known` the signatures of the
    party's earlier campaigns on this target by the campaign that met them first. `scope` are the
    path globs of the lease, `journal` is where an agent's transcript goes, and `model` is the finding
    that variants are looked for of.
    """

    before: Progress = Progress()
    known: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    scope: tuple[str, ...] = ("**",)
    journal: Journal | None = None
    model: FindingModel | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where an engine works: the laboratory, the recipe, what it begins with, and the way to stop.

    `pulse` raises `StoppedError` when the search must end; it is cheap to call.
    """

    laboratory: Laboratory
    recipe: Recipe
    start: Start = Start()
    pulse: Callable[[], None] = lambda: None

    def run(self, job: Job, on_output: Callable[[bytes], None] | None = None) -> Outcome:
        """Run a job in the sandbox, which ends within seconds when the search must.

        Raises what the sandbox raises, and `StoppedError`.
        """

        def heard(piece: bytes) -> None:
            self.pulse()
            if piece and on_output is not None:
                on_output(piece)

        return self.laboratory.run(job, heard)


class Engine(Protocol):
    """Whatever searches: a fuzzer, a reader of source, a model's agent."""

    @property
    def name(self) -> str:
        """What it is called in plans and on the command line."""
        ...

    @property
    def technique(self) -> Technique:
        """What a lease must allow for it."""
        ...

    @property
    def kind(self) -> Kind:
        """What sort of searching it does."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """What must be installed, in words for an operator."""
        ...

    def targets(self, recipe: Recipe) -> tuple[str, ...]:
        """What it can search of a recipe's project; empty when nothing."""
        ...

    def check(self, options: Mapping[str, str]) -> None:
        """Raise `InvalidError` unless it knows these options."""
        ...

    def search(
        self, plan: Plan, workspace: Workspace, on_progress: Callable[[Progress], None]
    ) -> Searched:
        """Search until something is found, or the budget's end.

        Raises `ClearholdError` when it cannot, `StoppedError` when it was told to stop; what
        `on_progress` was told last then stands.
        """
        ...


class Engines:
    """The engines of a hub, by name."""

    def __init__(self, engines: tuple[Engine, ...]) -> None:
        self._engines = {each.name: each for each in engines}

    def get(self, name: str) -> Engine:
        """The engine of that name. Raises `InvalidError` naming those there are."""
        found = self._engines.get(name)
        if found is None:
            raise InvalidError(
                f"There is no engine {name[:40]!a}.",
                next_step=f"Use one of: {', '.join(sorted(self._engines))}.",
            )
        return found


def no_options(options: Mapping[str, str], *known: str) -> None:
    """Raise `InvalidError` for options beyond those `known`."""
    foreign = sorted(set(options) - set(known))
    if foreign:
        raise InvalidError(
            f"The engine knows no option {foreign[0][:40]!a}.",
            next_step=f"Use one of: {', '.join(known)}." if known else "Leave it out.",
        )

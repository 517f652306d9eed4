"""Templates, and suites of the tasks that they make.

A template is one function from a `Draw` to what was made of it. Whoever writes one writes the way
to solve it too, and names what the sandbox must have; docs/task-templates.md shows how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from clearhold.evaluations.suites.draw import Draw
from clearhold.evaluations.suites.task import (
    Check,
    Family,
    FlagAnswer,
    Limits,
    Oracle,
    Reference,
    Service,
    Task,
)
from clearhold.kernel.errors import NotFoundError

MOST_SEED: Final = 1 << 128
_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Made:
    """What a template made of a draw; the fields are those of `Task`."""

    prompt: str
    reference: str
    oracle: Oracle | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    service: Service | None = None
    checks: tuple[Check, ...] = ()
    collect: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    difficulty: int | None = None
    limits: Limits = _LIMITS


@dataclass(frozen=True, slots=True)
class Template:
    """A way to make tasks; `version` rises whenever the same seed makes another task than before."""

    name: str
    family: Family
    difficulty: int
    make: Callable[[Draw], Made]
    needs: frozenset[str] = frozenset()
    version: int = 1

    def task(self, seed: int, trial: bytes = b"", *, name: str | None = None) -> Task:
        """The task of this seed in this trial; `name` stands for the seed where that is secret."""
        if not 0 <= seed < MOST_SEED:
            raise ValueError("A seed is a number of at most 128 bits.")
        draw = Draw(self.name, seed, trial)
        made = self.make(draw)
        return Task(
            id=name or f"{self.name}-{seed}",
            template=self.name,
            family=self.family,
            version=self.version,
            seed=seed,
            prompt=made.prompt,
            oracle=made.oracle or FlagAnswer(draw.flag),
            reference=Reference(made.reference),
            files=made.files,
            service=made.service,
            checks=made.checks,
            collect=made.collect,
            canaries=made.canaries,
            needs=self.needs,
            difficulty=self.difficulty if made.difficulty is None else made.difficulty,
            limits=made.limits,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One task of a suite: its name, which template makes it, and of what seed.

    `twin` names the public task that a sealed one repeats in other words, or is empty.
    """

    name: str
    template: Template
    seed: int = field(repr=False)
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks by name, in an order that never changes."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def templates(self) -> int:
        """How many templates the tasks are of."""
        return len({each.template.name for each in self.entries})

    def of_templates(self) -> tuple[Template, ...]:
        """The templates that the tasks are of, each once."""
        return tuple({each.template.name: each.template for each in self.entries}.values())

    def entry(self, name: str) -> Entry:
        """What a task is made of, by its name. Raises `NotFoundError` for one that is not in it."""
        for each in self.entries:
            if each.name == name:
                return each
        raise NotFoundError(f"The suite {self.name} has no task {name}.")

    def task(self, name: str, trial: bytes = b"") -> Task:
        """A task by its name for this trial. Raises `NotFoundError` for one that is not in it."""
        entry = self.entry(name)
        return entry.template.task(entry.seed, trial, name=entry.name)

    def tasks(self, trial: bytes = b"") -> Iterator[Task]:
        """Every task for this trial, in order."""
        for each in self.entries:
            yield each.template.task(each.seed, trial, name=each.name)

    def contents(self) -> Mapping[tuple[str, int], bytes]:
        """What is committed to of each task, by its name and its template's version (`sealing.seal`)."""
        return {(each.name, each.template.version): content(each) for each in self.entries}


def of_seeds(name: str, templates: Sequence[Template], seeds: Sequence[int]) -> Suite:
    """The suite of each template with each of these seeds, named after both."""
    return Suite(
        name,
        tuple(
            Entry(f"{template.name}-{seed}", template, seed)
            for template in templates
            for seed in seeds
        ),
    )


def content(entry: Entry) -> bytes:
    """What is committed to of a task: template, version, seed, twin, and a digest of it as it is made."""
    made = entry.template.task(entry.seed, name=entry.name)
    return msgspec.json.encode(
        {
            "name": entry.name,
            "seed": str(entry.seed),
            "task": digest(made),
            "template": entry.template.name,
            "twin": entry.twin,
            "version": entry.template.version,
        },
        order="deterministic",
    )


def digest(task: Task) -> str:
    """The SHA-256 of everything in a task, in hexadecimal."""
    written = msgspec.json.encode(_plain(asdict(task)), order="deterministic")
    return hashlib.sha256(written).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case frozenset():
            return sorted(value)
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes():
            return hashlib.sha256(value).hexdigest()
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            return value

"""What a built package offers, on both sides, and which of it leads to what the fix changed.

Surveys are made inside the sandbox, for they load the package; what they tell is untrusted and read
strictly. The order in which entry points are tried comes from it: first what the fix changed, then
what uses that by name, and among those what the record or the proof names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import msgspec

from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Build, Laboratory

FARTHEST: Final = 6
_WALL_S: Final = 60.0
_MEMORY_MB: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
_LIKELY: Final = re.compile(
    r"(?:^|_|\b)(?:parse|load|loads|decode|read|render|compile|template|merge|extend|assign|set|"
    r"extract|unpack|match|validate|split|format|convert|normali[sz]e|run|default)s?",
    re.IGNORECASE,
)
_Parameters = list[tuple[str, bool]] | None


class Entry(msgspec.Struct):
    """Something that can be called, by its dotted name.

    `own` is its name where it is defined. `params` are Python's parameters by place, each with
    whether it must be given; `length` is Node's count of them. `methods` are those of a class.
    `uses` are names of the package that its source uses, where the entry itself tells.
    """

    name: str
    own: str
    kind: bool = msgspec.field(name="class", default=False)
    params: _Parameters = None
    length: int = 0
    methods: dict[str, _Parameters | int] = {}
    uses: list[str] = []
    digest: str = ""


class Survey(msgspec.Struct):
    """Entries, definitions (by place and name: a hash, and names used), and what went wrong."""

    entries: list[Entry]
    definitions: dict[str, tuple[str, list[str]]]
    problems: list[str] = []


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry of both sides and how far it is from what the fix changed; 0 is the change itself."""

    entry: Entry
    distance: int
    named: bool

    @property
    def order(self) -> tuple[int, int, int, int, str]:
        """Sorts the most promising first."""
        likely = bool(_LIKELY.search(self.entry.own))
        depth = self.entry.name.count(".")
        near = min(self.distance, FARTHEST)
        return (0 if self.named else 1, near - likely, depth, len(self.entry.name), self.entry.name)


def survey(laboratory: Laboratory, build: Build, *, node: bool, names: Sequence[str]) -> Survey:
    """What the package made of the modules or packages `names` offers, as built.

    Raises `UnavailableError` when the sandbox gives no answer that can be read.
    """
    drivers = resources.files("clearhold.validation") / "drivers"
    script = "survey.cjs" if node else "survey.py"
    python = ("/usr/bin/python3", "-s", "-S", "-B")
    files = {f"/recipe/{each}": (drivers / each).read_bytes() for each in (script, "call.py")}
    outcome = laboratory.run(
        Job(
            argv=(*(("/usr/bin/node",) if node else python), f"/recipe/{script}", *names),
            trees={"/build": build.directory},
            files=files,
            env={"PYTHONPATH": "/build", "LC_ALL": "C.UTF-8"},
            limits=Limits(wall_s=_WALL_S, memory_mb=_MEMORY_MB),
        )
    )
    try:
        found = msgspec.json.decode(outcome.artefacts.get("survey.json", b""), type=Survey)
    except msgspec.DecodeError as error:
        last = outcome.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        raise UnavailableError(
            f"The package as built cannot be surveyed: {last[0][:200]}",
            next_step="Look at what its build leaves out.",
        ) from error
    found.entries = [each for each in found.entries if _NAME.fullmatch(each.name)]
    return found


def changed(vulnerable: Survey, fixed: Survey) -> set[str]:
    """The simple names of definitions that the two sides do not make alike."""
    both: tuple[dict[str, set[str]], dict[str, set[str]]] = ({}, {})
    for told, one in zip((vulnerable, fixed), both, strict=True):
        for place, (digest, _) in told.definitions.items():
            one.setdefault(place.rsplit(".", 1)[-1], set()).add(digest)
    return {name for name in {*both[0], *both[1]} if both[0].get(name) != both[1].get(name)}


def distances(told: Survey, start: set[str]) -> Mapping[str, int]:
    """How many steps each definition's simple name is from those in `start`, by the names it uses."""
    users: dict[str, set[str]] = {}
    for place, (_, used) in told.definitions.items():
        for each in used:
            users.setdefault(each, set()).add(place.rsplit(".", 1)[-1])
    found = dict.fromkeys(start, 0)
    edge = set(start)
    for steps in range(1, FARTHEST):
        edge = {user for name in edge for user in users.get(name, ())} - set(found)
        found |= dict.fromkeys(edge, steps)
    return found


def ranked(vulnerable: Survey, fixed: Survey, words: str) -> list[Ranked]:
    """What both sides offer, the most promising first; `words` are the record's and the proof's."""
    there = {each.name for each in fixed.entries}
    found = distances(vulnerable, changed(vulnerable, fixed))
    said = set(re.findall(r"[A-Za-z_$][\w$]{2,}", words))
    told = []
    for entry in vulnerable.entries:
        if entry.name not in there:
            continue
        names = {entry.own, entry.name.rsplit(".", 1)[-1]}
        far = min((found[each] for each in names if each in found), default=FARTHEST)
        far = min([far, *(found[each] for each in entry.methods if each in found)])
        far = min([far, *(found[each] + 1 for each in entry.uses if each in found)])
        told.append(Ranked(entry, far, bool(names & said)))
    return sorted(told, key=lambda each: each.order)

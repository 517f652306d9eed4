"""The files that a run leaves in its scratch, and in what those of two builds differ.

What differs between two runs of one build says nothing and is left out: single facts of a place,
such as its content, where the place itself is there each time. Times within the run count as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from clearhold.ports.sandbox import Job, Outcome
from clearhold.validation import inside_leavings

PLACES_OF_TARGETS: Final = ("/work", "/out", "/tmp", "/dev/shm")  # noqa: S108 (the sandbox's own)
PLACES_OF_TESTS: Final = ("/work", "/tmp", "/dev/shm")  # noqa: S108 (the sandbox's own)
_PROGRAM: Final = "/in/leavings.py"
_ANSWER: Final = "leavings.json"
_DRAWN: Final = re.compile(r"tmp[a-z0-9_]{8}(?=[/!.]|$)")
_LONGEST: Final = 100

Places = Mapping[str, Mapping[str, str]]
"""Of each place what is known of it, by the name of the fact."""


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    whole: bool
    places: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Left:
    """What runs of one build left alike: places and what is known of them.

    `unsteady` are directories in which names are drawn anew, so that others there say nothing;
    `whole` says that no bound cut the list off, `ended` that the run itself ended what makes the list.
    """

    places: Places = field(repr=False)
    unsteady: frozenset[str] = frozenset()
    whole: bool = True
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One place at which a build leaves something else: gone, new, or which fact of it differs.

    Without a place, `how` says in words what is otherwise with all of them.
    """

    place: str
    how: str
    before: str = ""
    after: str = ""

    @property
    def words(self) -> str:
        """For a verdict."""
        name = "".join(each if each.isprintable() else "?" for each in self.place)[:_LONGEST]
        if not name:
            return self.how
        if self.how in {"gone", "new"}:
            return f"{name} is {self.how}"
        if self.how == "content":
            return f"{name} has another content"
        values = (each[:_LONGEST] for each in (self.before, self.after))
        return f"the {self.how} of {name} was {' and is '.join(values)}"


@cache
def _source() -> bytes:
    name = Path(inside_leavings.__file__).name
    return (resources.files("clearhold.validation") / name).read_bytes()


def around(places: Sequence[str]) -> tuple[str, ...]:
    """What is put before a command, so that what it leaves in these directories is listed."""
    hub = str(Path("/proc/self/ns/pid").readlink())
    return ("/usr/bin/python3", "-I", "-B", _PROGRAM, hub, ":".join(places))


def files() -> Mapping[str, bytes]:
    """What a job needs besides."""
    return {_PROGRAM: _source()}


def listed(job: Job) -> Job:
    """The job with its target run under the list.

    Libraries that the target is to be started with are not loaded into the list's own interpreter.
    """
    env = {
        inside_leavings.PRELOAD if name == "LD_PRELOAD" else name: each
        for name, each in job.env.items()
    }
    return replace(
        job,
        argv=(*around(PLACES_OF_TARGETS), *job.argv),
        files={**job.files, **files()},
        env=env,
    )


def read(outcome: Outcome) -> Left | None:
    """What one run left; None when it was cut off before that could be listed.

    After an end by a signal no list is believed: the run may have killed what makes it, and forged one.
    """
    if outcome.timed_out or outcome.out_of_memory:
        return None
    try:
        told = msgspec.json.decode(outcome.artefacts.get(_ANSWER, b""), type=_Told)
    except msgspec.DecodeError:
        return None if outcome.output_truncated else Left({}, ended=True)
    if outcome.signal is not None:
        return Left({}, ended=True)
    return Left(_without_drawn(told.places), whole=told.whole)


def agreed(runs: Sequence[Left]) -> Left:
    """What runs of one build left alike."""
    first, *others = runs
    places = dict(first.places)
    unsteady = set().union(*(each.unsteady for each in runs))
    for other in others:
        for name in places.keys() ^ other.places.keys():
            unsteady.add(_parent(name))
        places = {
            name: {
                fact: each for fact, each in known.items() if other.places[name].get(fact) == each
            }
            for name, known in places.items()
            if name in other.places
        }
    return Left(places, frozenset(unsteady), all(each.whole for each in runs))


def changes(before: Left, after: Sequence[Left]) -> tuple[Change, ...]:
    """In what every one of several runs with a change differs from what runs without it left alike."""
    if not after:
        return ()
    if all(each.ended for each in after):
        return (Change("", "what lists its files is ended by the run"),)
    if before.whole and not any(each.whole for each in after):
        return (Change("", "more files are left than are listed"),)
    whole = before.whole and all(each.whole for each in after)
    sets = [set(_differing(before, each, whole=whole)) for each in after]
    common = set.intersection(*({(each.place, each.how) for each in found} for found in sets))
    ordered = sorted(sets[0], key=lambda each: (each.place, each.how))
    return tuple(each for each in ordered if (each.place, each.how) in common)


def _differing(before: Left, after: Left, *, whole: bool) -> Iterator[Change]:
    for name, known in before.places.items():
        now = after.places.get(name)
        if now is None:
            if whole:
                yield Change(name, "gone")
            continue
        for fact, value in known.items():
            if now.get(fact, value) != value:
                yield Change(name, fact, value, now[fact])
    for name in after.places.keys() - before.places.keys():
        if whole and not any(str(each) in before.unsteady for each in _parents(name)):
            yield Change(name, "new")


def _parent(name: str) -> str:
    return name.partition("!")[0] if "!" in name else str(PurePosixPath(name).parent)


def _parents(name: str) -> Iterator[PurePosixPath | str]:
    file, mark, _ = name.partition("!")
    if mark:
        yield file
    yield from PurePosixPath(file).parents


def _without_drawn(places: Places) -> Places:
    """The places with one name for all those that Python's `tempfile` draws, in a fixed order."""
    made: dict[str, Mapping[str, str]] = {}
    for name, known in sorted(places.items(), key=lambda each: sorted(each[1].items())):
        plain = _DRAWN.sub("tmp-drawn", name)
        number = 1
        while (told := plain if number == 1 else f"{plain} ({number})") in made:
            number += 1
        made[told] = known
    return made

"""What of a finding can be compared with another: its trace, places, weakness and words.

All of it is plain here and leaves this module for the index as keyed values alone (`sketches`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clearhold.findings import traces
from clearhold.findings.traces.names import normalised

MOST_FRAMES: Final = 8
MOST_WORDS: Final = 12
SHINGLE: Final = 3
MOST_SHINGLES: Final = 128
_MOST_TEXT: Final = 4_000
_MOST_TRACE: Final = 256_000
_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PARTS: Final = re.compile(r"::|\.|\$|/")
_PROSE: Final = re.compile(r"[a-z0-9_]{2,40}")
_LOCATION: Final = re.compile(r"([^\s:]{1,400})(?::([0-9]{1,8}))?(?: (\S{1,300}))?")
_FAMILIES: Final = (
    ("use-after", "lifetime"),
    ("double-free", "release"),
    ("invalid-free", "release"),
    ("bad-free", "release"),
    ("attempting-free", "release"),
    ("heap-buffer", "heap"),
    ("container-over", "heap"),
    ("stack-buffer", "stack"),
    ("dynamic-stack", "stack"),
    ("global-buffer", "global"),
    ("index-out-of", "index"),
    ("slice-bounds", "index"),
    ("uninit", "uninitialised"),
    ("unknown", "access"),
    ("sigsegv", "access"),
    ("segv", "access"),
    ("null", "access"),
    ("nil-", "access"),
    ("param", "parameter"),
    ("security", "managed"),
    ("uncaught", "managed"),
    ("timeout", "resources"),
    ("out-of-memory", "resources"),
    ("allocation-size", "resources"),
    ("stack-overflow", "resources"),
    ("bad-cast", "type"),
    ("incorrect-function", "type"),
    ("object-size", "type"),
    ("overflow", "arithmetic"),
    ("division", "arithmetic"),
    ("shift", "arithmetic"),
)
_WIDER: Final = {
    "heap": "memory",
    "stack": "memory",
    "global": "memory",
    "index": "memory",
    "access": "memory",
    "parameter": "memory",
    "lifetime": "ownership",
    "release": "ownership",
}


@dataclass(frozen=True, slots=True)
class Signals:
    """What can be compared of one finding; empty where it is not told.

    `frames` are names of functions, innermost first, and `words` the words of each; `places` are
    the namespaces, classes and prefixes of those names and the files they stand in; `kind`,
    `family`, `wider`, `access` and `size` describe the fault ever more coarsely; `shingles` are
    runs of three words of the report's own text.
    """

    frames: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    places: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    kind: str = ""
    family: str = ""
    wider: str = ""
    access: str = ""
    size: str = ""
    weakness: str = ""
    shingles: frozenset[str] = frozenset()

    @property
    def crash(self) -> str:
        """The crash signature: the fault's family with its innermost frames; empty without any."""
        return "\0".join((self.family, *self.frames[:3])) if self.frames else ""

    @property
    def sink(self) -> str:
        """Weakness, innermost function and its file; empty unless a weakness and a place are told."""
        if not self.weakness or not (self.frames or self.files):
            return ""
        return "\0".join((self.weakness, *self.frames[:1], *self.files[:1]))


def signals(
    *,
    title: str,
    description: str,
    weakness: str = "",
    claim: Iterable[str] = (),
    locations: Iterable[str] = (),
) -> Signals:
    """The signals of a report: of the trace in its text, else of the frames it claims or its places.

    `claim` are claimed frames, innermost first; `locations` read `file:line function`.
    """
    trace = traces.read(f"{title}\n{description}"[:_MOST_TRACE])
    stack = trace.frames if trace is not None and trace.frames else ()
    if not stack:
        stack = tuple(traces.Frame(name) for each in claim if (name := normalised(each)))
    placed = tuple(frame for each in locations if (frame := _location(each)) is not None)
    if not stack:
        stack = tuple(frame for frame in placed if frame.function)
    names = tuple(frame.function for frame in stack[:MOST_FRAMES])
    kind = trace.kind.lower() if trace is not None else ""
    family = family_of(kind)
    files = (frame.file for frame in (*stack[:MOST_FRAMES], *placed[:MOST_FRAMES]) if frame.file)
    return Signals(
        frames=names,
        words=tuple(words_of(name) for name in names),
        places=places_of(names[:3]),
        files=tuple(dict.fromkeys(files))[:MOST_FRAMES],
        kind=kind,
        family=family,
        wider=_WIDER.get(family, family),
        access=trace.access if trace is not None else "",
        size=str(trace.size) if trace is not None and trace.size else "",
        weakness=weakness,
        shingles=_shingles(f"{title} {description}"),
    )


def family_of(kind: str) -> str:
    """The family of faults that a kind belongs to; itself when it has none."""
    return next((family for mark, family in _FAMILIES if mark in kind), kind)


def words_of(name: str) -> tuple[str, ...]:
    """The words a name is put together from, in lower case."""
    found = (word.lower() for word in _WORD.findall(name) if len(word) > 1 or word.isdigit())
    return tuple(dict.fromkeys(found))[:MOST_WORDS]


def places_of(names: Iterable[str]) -> tuple[str, ...]:
    """Where functions belong: the paths above their names, and what their names begin with."""
    places: dict[str, None] = {}
    for name in names:
        parts = _PARTS.split(name)[:8]
        for end in range(1, len(parts)):
            places["::".join(parts[:end])] = None
        begun = words_of(parts[-1])
        if begun:
            places[f"begins {begun[0]}"] = None
            places[f"begins {' '.join(begun[:2])}"] = None
    return tuple(places)[:16]


def _location(text: str) -> traces.Frame | None:
    found = _LOCATION.match(text)
    if found is None:
        return None
    path = "/".join(found[1].split("/")[-2:])
    return traces.Frame(normalised(found[3] or ""), path, int(found[2] or 0))


def _shingles(text: str) -> frozenset[str]:
    words = _PROSE.findall(text[:_MOST_TEXT].lower())
    runs = (" ".join(words[place : place + SHINGLE]) for place in range(len(words) - SHINGLE + 1))
    return frozenset(list(dict.fromkeys(runs))[:MOST_SHINGLES])

"""Findings as the index holds them: keyed values of 4 and 8 bytes that tell equal from unequal.

The key is derived for each package under the matching key, so that equal words of two packages
have nothing in common, and whoever holds the database alone learns neither words nor packages.
Values of 4 bytes meet by chance once in four thousand million pairs: they order candidates and
never decide anything.

Text is sketched by MinHash with one permutation (A. Broder, 1997; P. Li, A. Owen, C.-H. Zhang, One
Permutation Hashing, 2012): shingles fall into 16 bins by their keyed hash, and of each bin the least
is kept; the share of bins that two sketches agree in estimates the share of shingles in common.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from clearhold.findings.signals import Signals

COMPARED_FRAMES: Final = 3
BINS: Final = 16
_BANDS: Final = 4
_MOST_TOKENS: Final = 20
_WORD_TOKENS: Final = 6
_LAYOUT: Final = struct.Struct("<B7B6I")


@dataclass(frozen=True, slots=True)
class Sketch:
    """One finding in keyed values of 4 bytes; 0 where nothing is told.

    `frames` are the innermost three, `words` those of each of these; `text` is empty or a MinHash.
    """

    frames: tuple[int, ...] = ()
    words: tuple[tuple[int, ...], ...] = ()
    places: tuple[int, ...] = ()
    kind: int = 0
    family: int = 0
    wider: int = 0
    access: int = 0
    size: int = 0
    weakness: int = 0
    text: tuple[int, ...] = ()

    @property
    def all_words(self) -> frozenset[int]:
        """The words of all frames."""
        return frozenset(word for each in self.words for word in each)

    def to_bytes(self) -> bytes:
        """As it is stored: counts, then values, little-endian."""
        words = [*self.words, (), (), ()][:COMPARED_FRAMES]
        counts = (len(self.frames), *map(len, words), len(self.places), len(self.text), 0)
        coarse = (self.kind, self.family, self.wider, self.access, self.size, self.weakness)
        values = (*self.frames, *(w for each in words for w in each), *self.places, *self.text)
        return _LAYOUT.pack(1, *counts, *coarse) + struct.pack(f"<{len(values)}I", *values)

    @classmethod
    def from_bytes(cls, content: bytes) -> Sketch:
        """From what `to_bytes` wrote."""
        _, frames, first, second, third, places, text, _, *coarse = _LAYOUT.unpack_from(content)
        rest = struct.unpack_from(f"<{(len(content) - _LAYOUT.size) // 4}I", content, _LAYOUT.size)
        cut = [0]
        for count in (frames, first, second, third, places, text):
            cut.append(cut[-1] + count)
        parts = [rest[a:b] for a, b in pairwise(cut)]
        kind, family, wider, access, size, weakness = coarse
        return cls(
            frames=parts[0],
            words=tuple(parts[1:4])[:frames],
            places=parts[4],
            kind=kind,
            family=family,
            wider=wider,
            access=access,
            size=size,
            weakness=weakness,
            text=parts[5],
        )


class Sketcher:
    """Makes the keyed values of one package's findings; `key` is the package's own."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, int] = {}
        self._last: tuple[frozenset[str], tuple[int, ...]] = (frozenset(), ())

    def sketch(self, signals: Signals) -> Sketch:
        """What is compared of a finding."""
        compared = signals.frames[:COMPARED_FRAMES]
        return Sketch(
            frames=tuple(self._short(f"frame {name}") for name in compared),
            words=tuple(
                tuple(self._short(f"word {word}") for word in each)
                for each in signals.words[:COMPARED_FRAMES]
            ),
            places=tuple(self._short(f"place {place}") for place in signals.places),
            kind=self._told("kind", signals.kind),
            family=self._told("family", signals.family),
            wider=self._told("wider", signals.wider),
            access=self._told("access", signals.access),
            size=self._told("size", signals.size),
            weakness=self._told("weakness", signals.weakness),
            text=self._minhash(signals.shingles),
        )

    def tokens(self, signals: Signals) -> tuple[bytes, ...]:
        """What a finding is found by, most telling first: at most 20 values of 8 bytes."""
        told = [f"crash {signals.crash}"] if signals.crash else []
        told += [f"sink {signals.sink}"] if signals.sink else []
        told += [f"frame {name}" for name in signals.frames]
        words = dict.fromkeys(w for each in signals.words[:COMPARED_FRAMES] for w in each)
        # Long words are rarer than short ones, whatever the package.
        told += [f"word {word}" for word in sorted(words, key=len, reverse=True)[:_WORD_TOKENS]]
        told += [f"file {path}" for path in signals.files[:2]]
        found = [self._long(each) for each in dict.fromkeys(told)]
        rows = self._minhash(signals.shingles)
        found += [self._long(f"band {band}") for band in _bands(rows)]
        return tuple(dict.fromkeys(found))[:_MOST_TOKENS]

    def _told(self, kind: str, value: str) -> int:
        return self._short(f"{kind} {value}") if value else 0

    def _short(self, value: str) -> int:
        known = self._known.get(value)
        if known is None:
            known = int.from_bytes(self._hash(value, 4), "little") or 1
            self._known[value] = known
        return known

    def _long(self, value: str) -> bytes:
        return self._hash(value, 8)

    def _hash(self, value: str, size: int) -> bytes:
        return hashlib.blake2b(
            value.encode("utf-8", "replace"), key=self._key, digest_size=size
        ).digest()

    def _minhash(self, shingles: frozenset[str]) -> tuple[int, ...]:
        if shingles is self._last[0]:  # a sketch and tokens are made of the same text
            return self._last[1]
        least = [0] * BINS
        for each in shingles:
            value = int.from_bytes(self._hash(f"shingle {each}", 4), "little") or 1
            place = value % BINS
            least[place] = min(least[place] or value, value)
        told = tuple(least) if sum(map(bool, least)) > BINS // 2 else ()
        self._last = (shingles, told)
        return told


def _bands(bins: tuple[int, ...]) -> tuple[str, ...]:
    width = BINS // _BANDS
    cut = (bins[place : place + width] for place in range(0, len(bins), width))
    return tuple(f"{place} {band}" for place, band in enumerate(cut) if all(band))

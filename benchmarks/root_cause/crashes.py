"""Inputs for the target: benign ones, and crashes of which each is made for one flaw."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

HEAD: Final = b"ORC1"
_QUIET: Final[dict[int, bytes]] = {
    1: b"sixteen letters!",
    2: b"\x05\x2a\x03",
    3: b"\x1f",
    4: b"twenty letters here.",
    5: b"nxr",
    6: b"lxd",
    7: b"\x0b\x11",
    8: b"ba1b2c3",
    9: b"hello, tree.",
    10: b"\x14a\x0cb\x20c",
    11: b"\x00a\x00b\x02.\x01." + b"\x04." * 14,
    12: b"\x13abc",
    13: b"apple, pear, plum and fig\x00",
    14: b"\x2a\x07",
    15: b"L\x01",
    16: "äpfel und birnen, 梨".encode(),
    17: b"0123456789abcdef0123",
    18: b"\x03\x06" + bytes(range(18)),
    19: b"\x05\x04\x03\x02\x01",
    20: b"+++--+-" + b"+-" * 12 + b"+" * 20,
    21: b"\x0c",
    22: bytes(range(0, 64, 3)),
    23: b"more than four",
    24: b"+-+?",
}


def record(kind: int, content: bytes) -> bytes:
    """One record as it stands in a file."""
    return bytes((kind, len(content))) + content


def benign() -> dict[str, bytes]:
    """One input per kind of record, and one with all of them."""
    made = {f"kind-{kind:02}": HEAD + record(kind, each) for kind, each in _QUIET.items()}
    made["all"] = HEAD + b"".join(record(kind, each) for kind, each in _QUIET.items())
    return made


def crash(rng: Random, flaw: int) -> bytes:
    """An input that meets one flaw, with records around it that meet none."""
    kind = 2 if flaw == 25 else flaw
    quiet = [each for each in _QUIET if each != kind]
    around = [
        b"".join(record(each, _QUIET[each]) for each in rng.sample(quiet, rng.randint(0, 4)))
        for _ in range(2)
    ]
    return HEAD + around[0] + record(kind, _SHAPES[flaw](rng)) + around[1]


def _letters(rng: Random, low: int, high: int) -> bytes:
    return bytes(rng.randint(97, 122) for _ in range(rng.randint(low, high)))


def _some(rng: Random, letters: bytes, low: int, high: int) -> bytes:
    return bytes(rng.choice(letters) for _ in range(rng.randint(low, high)))


def _grid(rng: Random) -> bytes:
    while True:
        high, wide = rng.randint(16, 60), rng.randint(16, 60)
        if high * wide > 255 and (high * wide) % 256 < 200:
            return bytes((high, wide)) + _letters(rng, 0, 9)


def _missing_key(rng: Random) -> bytes:
    pairs = b"".join(
        bytes((rng.randint(65, 90), rng.randint(0, 99))) for _ in range(rng.randint(0, 6))
    )
    return bytes((rng.randint(97, 122),)) + pairs


def _runs(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return _some(rng, b"\x01\x02\x03", 2, 2)[:2] + bytes((rng.randint(65, 200), 97))
    return b"".join(
        bytes((rng.randint(20, 60), rng.randint(97, 122))) for _ in range(rng.randint(5, 9))
    )


def _turned(rng: Random) -> bytes:
    high, wide = rng.randint(6, 15), rng.randint(6, 15)
    return bytes((high, wide)) + _letters(rng, 0, high * wide - 20 if high * wide > 20 else 0)


def _popped(rng: Random) -> bytes:
    return b"+-" * rng.randint(0, 9) + b"-" + _some(rng, b"+-", 0, 6)


_SHAPES: Final[dict[int, Callable[[Random], bytes]]] = {
    1: lambda rng: _letters(rng, 17, 120),
    2: lambda rng: bytes((rng.randint(8, 20), rng.randint(0, 255))) + _some(rng, b"\x01\x02", 0, 2),
    3: lambda rng: bytes((rng.randint(0xF0, 0xFF),)) + _letters(rng, 0, 9),
    4: lambda rng: _letters(rng, 24, 24),
    5: lambda rng: b"n" + _some(rng, b"xyz", 0, 5) + b"f" + _some(rng, b"xyz", 0, 5) + b"r",
    6: lambda rng: b"l" + _some(rng, b"xy", 0, 5) + b"d" + _some(rng, b"xy", 0, 5) + b"d",
    7: _grid,
    8: _missing_key,
    9: lambda rng: _letters(rng, 13, 120),
    10: _runs,
    11: lambda rng: bytes((rng.randint(1, 16), 0)) + _some(rng, b"\x00\x01", 0, 9),
    12: lambda rng: bytes((rng.randint(20, 255),)) + _letters(rng, 0, 20),
    13: lambda rng: _letters(rng, 1, 60),
    14: lambda rng: bytes((rng.randint(0, 255), 0)) + _letters(rng, 0, 9),
    15: lambda rng: bytes((rng.randint(77, 90), rng.randrange(1, 256, 2))) + _letters(rng, 0, 9),
    16: lambda rng: _letters(rng, 0, 40) + bytes((rng.randint(0xE0, 0xFF),)),
    17: lambda rng: _letters(rng, 1, 40)[:1] + _letters(rng, 8, 8) * rng.randint(0, 5),
    18: _turned,
    19: lambda rng: bytes(rng.randint(0, 255) for _ in range(rng.randint(11, 40))),
    20: _popped,
    21: lambda rng: bytes((rng.randint(13, 28),)) + _letters(rng, 0, 9),
    22: lambda rng: _some(rng, bytes(range(64)), 0, 9) + bytes((rng.randint(64, 79),)),
    23: lambda rng: _letters(rng, 0, 3),
    24: lambda rng: b"+-" * rng.randint(0, 5) + b"-" + _some(rng, b"xyz", 0, 5) + b"?",
    25: lambda rng: bytes((rng.randint(0, 7), 9, rng.randint(0xF0, 0xFF))) + _letters(rng, 0, 5),
}

"""Made proofs of three kinds, their true variants, and an attacker who draws from the same source.

The attacker is given everything but the held proofs: the package, its frames and weaknesses, every
public input, all words of its interface, and the very program that draws proofs.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Iterator
from typing import Final

KINDS: Final = ("script", "json", "binary")
VARIANTS: Final = (
    "rewritten layout",
    "other amounts",
    "in a container",
    "more around it",
    "cut to a half",
    "other people's proof",
)
_SYLLABLES: Final = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "zy",
    "bra",
    "cle",
    "dri",
]
_WEAK: Final = (
    b"[" * 100_000,
    b"A" * 70_000,
    b'{"a":' * 5000,
    b"%s" * 500,
    b"import package\npackage.parse('(' * 100000)\n",
)


def words(rng: random.Random, count: int) -> list[str]:
    """Names as an interface has them."""
    return ["_".join(_word(rng) for _ in range(rng.randint(1, 2))) for _ in range(count)]


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))


def seed(rng: random.Random) -> bytes:
    """A public input: a binary file with a header, records of a repeated layout, and a trailer."""
    records = b"".join(b"REC0" + rng.randbytes(rng.randint(4, 24)) + bytes(8) for _ in range(40))
    return b"\x89PKG\r\n\x1a\n" + len(records).to_bytes(4, "big") + records + b"IEND"


def proof(rng: random.Random, kind: str, names: list[str], base: bytes) -> bytes:
    """A proof as a finder's tool makes it."""
    if kind == "binary":
        return _mutated(rng, base)
    if kind == "json":
        return json.dumps(_tree(rng, names, 4)).encode()
    lines = ["import package"]
    for number in range(rng.randint(6, 14)):
        arguments = ", ".join(
            f"{rng.choice(names)}={rng.choice((repr(_word(rng)), str(rng.randint(0, 1 << 20))))}"
            for _ in range(rng.randint(1, 3))
        )
        lines.append(f"v{number} = package.{rng.choice(names)}({arguments})")
    return "\n".join(lines).encode() + b"\n"


def _mutated(rng: random.Random, base: bytes) -> bytes:
    content = bytearray(base)
    for _ in range(rng.randint(2, 6)):
        place = rng.randrange(12, len(content) - 4)
        content[place : place + rng.randint(0, 24)] = rng.randbytes(rng.randint(4, 32))
    return bytes(content)


def _tree(rng: random.Random, names: list[str], depth: int) -> object:
    if depth == 0:
        return rng.choice((_word(rng), rng.randint(-(1 << 40), 1 << 40), None, True, rng.random()))
    return {rng.choice(names): _tree(rng, names, depth - 1) for _ in range(rng.randint(2, 4))}


def variant(
    rng: random.Random, how: str, kind: str, held: bytes, *, names: list[str], base: bytes
) -> bytes:
    """Another proof of the same flaw."""
    half = len(held) // 2
    made = {
        "rewritten layout": lambda: _layout(rng, kind, held),
        "other amounts": lambda: _amounts(rng, kind, held),
        "in a container": lambda: rng.choice(
            (gzip.compress(held), base64.encodebytes(held), held.hex().encode())
        ),
        "more around it": lambda: _around(rng, kind, held, names),
        "cut to a half": lambda: held[: held.rfind(b"\n", 0, half) + 1 or half],
        "other people's proof": lambda: proof(rng, kind, names, base),
    }
    return made[how]()


def _layout(rng: random.Random, kind: str, held: bytes) -> bytes:
    if kind == "json":
        tree = json.loads(held)
        keys = list(tree)
        rng.shuffle(keys)
        return json.dumps({key: tree[key] for key in keys}, indent=rng.choice((1, 2, 4))).encode()
    if kind == "script":
        spaced = held.replace(b", ", b" ,  ").replace(b"\n", b"\r\n\r\n")
        return b"# crashes on my machine, 64 bit\n" + spaced
    return held + bytes(rng.randint(1, 400))  # padded at its end


def _amounts(rng: random.Random, kind: str, held: bytes) -> bytes:
    if kind == "binary":
        return held.replace(bytes(8), bytes(rng.randint(9, 30)))
    return re.sub(
        rb"\b[1-9][0-9]{3,}\b",
        lambda found: b"%d" % rng.randint(10 ** (len(found[0]) - 1), 10 ** len(found[0]) - 1),
        held,
    )


def _around(rng: random.Random, kind: str, held: bytes, names: list[str]) -> bytes:
    if kind == "json":
        return json.dumps({_word(rng): _tree(rng, names, 2), "zz": json.loads(held)}).encode()
    if kind == "script":
        return b"import os\nprint(os.name)\n" + held + b"print('not reached')\n"
    return held[:12] + rng.randbytes(40) + held[12:] + rng.randbytes(60)


def guesses(rng: random.Random, names: list[str], base: bytes, count: int) -> Iterator[bytes]:
    """What an attacker tries: public inputs, known tricks, and draws from the finders' own source."""
    yield base
    yield from _WEAK
    for number in range(count - 1 - len(_WEAK)):
        kind = KINDS[number % 3]
        if number % 10 == 0:
            text = rng.choice(_WEAK)[: rng.randint(10, 5000)] + rng.choice(names).encode()
            yield text
        else:
            yield proof(rng, kind, names, base)


def weak() -> tuple[bytes, ...]:
    """Proofs that anybody would try."""
    return _WEAK

"""What a proof is recognised by: values derived from it that variants share and nobody guesses.

A signature is a hash over the package and something of the *proof*. What package, function, weakness
and public source tell takes part in none alone: whoever knows those knows everything but the proof,
and could try them all. So each candidate is first weighed: `strength` estimates from above how few
bits a guesser needs who knows the package's name, its frames and what such files usually hold, and
what weighs less than `NEEDED` is left out. Of a proof that is all repetition nothing is left, and
nothing can be asked: a guess would be answered as well as it.

| kind     | what is the same in two variants that meet                                   |
|----------|------------------------------------------------------------------------------|
| exact    | the bytes, inside base64, hexadecimal or gzip too                            |
| written  | the tokens: white space, comments, order of JSON members do not matter       |
| shape    | the tokens without amounts: lengths of padding, sizes of numbers             |
| fault    | which tokens occur at all, together with the frames where it failed          |
| stretch  | a stretch of the shape (winnowing), whatever stands before and after it      |

Winnowing (Schleimer, Wilkerson, Aiken 2003) picks stretches by their content alone, so two proofs
that share a long enough run share one that is picked.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.findings.known import tokens
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl

PER_QUESTION: Final = 16
"""How many signatures a question has at most, and is padded to."""

NEEDED: Final = 48
"""Estimated bits below which nothing is asked and nothing indexed."""

ROOMS: Final = 256
MOST_PROOFS: Final = 8
_DOMAIN: Final = b"clearhold-known/1"
_WINDOW_TEXT: Final = 32
_WINDOW_BYTES: Final = 24
_GUARANTEE: Final = 8
_MOST_TOKENS: Final = 1 << 16
_FRAMES: Final = 3
_OVERHEAD: Final = 2
_WORD_BITS: Final = 6
_LARGEST_FILE: Final = 1 << 16
_MOST_FILES: Final = 256
_WORD: Final = re.compile(rb"[a-z_\x80-\xff][a-z0-9_\x80-\xff]+|[0-9]+")

# What anybody expects in such files. It is the dictionary the estimate compresses with.
_COMMON: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html [<!ENTITY % SYSTEM "file:///etc/passwd">'
    b"<html><head><title></title></head><body><script>alert(1)</script></body></html>"
    b"#!/usr/bin/env python3\nimport os, sys, json, struct, socket, subprocess\nfrom import def main"
    b"(): for in range(): if __name__ == '__main__': print() return None True False lambda class self"
    b"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(int argc, char **argv) {"
    b'char buf[1024]; const void *data size_t size; return 0; malloc(free(memcpy(printf("%s\\n"'
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Type: application/json\r\n\r\n"
    b'{"name": "test", "id": 1, "value": null, "type": "object", "data": [], "key": {}}'
    b"SELECT * FROM users WHERE id = 1 OR 1=1; -- UNION SELECT NULL ' OR '1'='1 ../../../../etc/passwd"
    b"%s%s%s%n%n%x%x AAAAAAAAAAAAAAAA BBBBBBBB CCCC 0123456789 abcdefghijklmnopqrstuvwxyz 4294967295"
    b" 2147483647 2147483648 65535 65536 18446744073709551615 -1 1e309 NaN Infinity ${jndi:ldap://}"
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR \xff\xd8\xff\xe0\0\x10JFIF\0\1 GIF89a PK\3\4 %PDF-1.4\n1 0 obj\n"
    b"<< /Type /Catalog >>\nendobj xref trailer startxref %%EOF \x7fELF\2\1\1 RIFF WAVEfmt "
)


class Kind(StrEnum):
    """How a signature was come by."""

    EXACT = "exact"
    WRITTEN = "written"
    SHAPE = "shape"
    FAULT = "fault"
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `bits` is its estimated strength."""

    kind: Kind
    value: bytes
    bits: int


def room_of(package: Purl) -> int:
    """The room in which a package's findings stand, from 0 to 255: all a question tells of it."""
    return hashlib.sha256(_DOMAIN + b"\0room\0" + str(package.package).encode()).digest()[0]


@dataclass(frozen=True, slots=True)
class Public:
    """What a guesser knows of a package: text to compress with, words, and signatures of its files.

    `files` are public inputs such as seeds and tests: what a proof has in common with them is no
    secret, and is left out where findings are indexed.
    """

    text: bytes
    words: frozenset[bytes]
    taken: frozenset[bytes]

    @classmethod
    def of(
        cls, package: Purl, *, frames: Sequence[str] = (), files: Iterable[bytes] = ()
    ) -> Public:
        """What is public of a package, at most 256 files of 64 KiB of it."""
        name = str(package.package).encode()
        held = [each[:_LARGEST_FILE] for each in list(files)[:_MOST_FILES]]
        told = b" ".join((_COMMON, name, *(frame.encode() for frame in frames[:64])))
        words = frozenset(_WORD.findall(b" ".join((told, *held)).lower()))
        bare = cls(told, words, frozenset())
        taken: set[bytes] = set()
        for each in held:
            of_file = _of_proof(name, each, frames=frames, public=bare, every=True)
            taken |= {signature.value for signature in of_file}
        return cls(told, words, frozenset(taken))


def derive(
    package: Purl,
    proofs: Sequence[bytes],
    *,
    frames: Sequence[str] = (),
    public: Public | None = None,
) -> tuple[Signature, ...]:
    """The signatures of proofs of one flaw, at most sixteen, the strongest kinds first.

    `frames` are the functions where it failed, innermost first. None come out when the proofs
    carry too little that cannot be guessed. Raises `InvalidError` for more than eight proofs.
    """
    if not 1 <= len(proofs) <= MOST_PROOFS:
        raise InvalidError(f"From 1 to {MOST_PROOFS} proofs of one flaw are taken together.")
    name = str(package.package).encode()
    public = public or Public.of(package, frames=frames)
    found: dict[bytes, Signature] = {}
    stretches: dict[bytes, Signature] = {}
    for proof in proofs:
        for each in _of_proof(name, proof, frames=frames, public=public):
            if each.value not in public.taken:
                kept = stretches if each.kind is Kind.STRETCH else found
                kept.setdefault(each.value, each)
    room = PER_QUESTION - len(found)
    lowest = sorted(stretches.values(), key=lambda each: each.value)  # by content, not by place
    return (*list(found.values())[:PER_QUESTION], *lowest[: max(room, 0)])


def strength(parts: Sequence[bytes], *, public: Public, text: bool) -> int:
    """How many bits a guesser lacks who knows what is public, estimated with a margin.

    Of text, six bits for each distinct word that is not public, for it may be one of few that the
    source offers, and a little for uncommon signs; order and numbers count nothing. Of bytes, half
    of what DEFLATE needs with the public text as its dictionary, and at most four bits for each
    distinct byte.
    """
    if not text:
        return min(_squeezed(b"".join(parts), public) // 2, len(set(parts)) * 4)
    words = {each.lower() for each in parts if len(each) > 2 and each[:1] != b"#"} - public.words
    signs = b"".join(each for each in parts if len(each) <= 2)
    return (
        sum(_WORD_BITS + 2 * min(max(len(each) - 12, 0), 9) for each in words)
        + min(_squeezed(signs, public), len(set(signs)) * 8) // 8
    )


def _squeezed(content: bytes, public: Public) -> int:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=public.text[-(1 << 15) :])
    squeezed = squeezer.compress(content[: 1 << 15]) + squeezer.flush()
    return max(0, len(squeezed) - _OVERHEAD) * 8


def _of_proof(
    name: bytes, proof: bytes, *, frames: Sequence[str], public: Public, every: bool = False
) -> Iterable[Signature]:
    content = tokens.unwrapped(proof)
    written = tokens.tokens(content)[:_MOST_TOKENS]
    shape = tokens.without_amounts(written)
    text = tokens.is_text(content)

    def made(kind: Kind, parts: Sequence[bytes], *, also: Sequence[bytes] = ()) -> list[Signature]:
        bits = NEEDED if every else strength(parts, public=public, text=text)
        if bits < NEEDED:
            return []
        return [Signature(kind, _hash(kind, name, (*also, *parts)), bits)]

    # The exact bytes are asked about only when what they say is strong: the amounts that are left
    # out of a shape are the first thing a guesser runs through.
    if shaped := made(Kind.SHAPE, shape):
        yield Signature(Kind.EXACT, _hash(Kind.EXACT, name, (content,)), shaped[0].bits)
        yield Signature(Kind.WRITTEN, _hash(Kind.WRITTEN, name, written), shaped[0].bits)
        yield from shaped
    if frames and text:
        words = sorted({each for each in shape if len(each) > 2})
        yield from made(Kind.FAULT, words, also=[each.encode() for each in frames[:_FRAMES]])
    # What was cut off is no JSON any more, so stretches are taken in the order of the file.
    run = tokens.without_amounts(tokens.tokens(content, ordered=False)[:_MOST_TOKENS])
    size = _WINDOW_TEXT if text else _WINDOW_BYTES
    for stretch in _every(run, size) if every else _winnowed(run, size):
        yield from made(Kind.STRETCH, stretch)


def _every(shape: Sequence[bytes], size: int) -> Iterable[tuple[bytes, ...]]:
    return (tuple(shape[place : place + size]) for place in range(len(shape) - size + 1))


def _winnowed(shape: Sequence[bytes], size: int) -> Iterable[tuple[bytes, ...]]:
    """The stretches that winnowing picks; none when the whole is shorter than one."""
    hashes = [
        hashlib.blake2b(b"\0".join(shape[place : place + size]), digest_size=8).digest()
        for place in range(len(shape) - size + 1)
    ]
    picked: set[int] = set()
    for start in range(max(len(hashes) - _GUARANTEE + 1, 1 if hashes else 0)):
        window = range(start, min(start + _GUARANTEE, len(hashes)))
        picked.add(min(window, key=lambda place: (hashes[place], -place)))
    lowest = sorted(picked, key=lambda place: hashes[place])[: 4 * PER_QUESTION]
    return [tuple(shape[place : place + size]) for place in lowest]


def _hash(kind: Kind, name: bytes, parts: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in (_DOMAIN, str(kind).encode(), name, *parts):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()

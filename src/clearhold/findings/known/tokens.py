"""What stays the same of a proof when it is written another way: its tokens, with less and less kept.

Nothing here understands a format fully; whatever cannot be read as text is taken as bytes. All of
it is bounded in the size of the proof, which is hostile.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
import zlib
from collections.abc import Sequence
from typing import Final

LARGEST: Final = 1 << 20
"""Of a proof no more than its first MiB is looked at."""

_LONGEST_UNIT: Final = 8
_FEWEST_REPEATS: Final = 4
_DEEPEST: Final = 3
_TOKEN: Final = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*|[0-9]+|[^\sA-Za-z0-9_]")
# Nothing below gives back what it took: white space by the MiB would take hours otherwise.
_COMMENT: Final = re.compile(rb"^[^\S\n]*+(?:#(?!!|include|define)|//|--\s).*$", re.MULTILINE)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]{24,}+={0,2}\s*")
_HEX: Final = re.compile(rb"(?:0x)?(?:[0-9a-fA-F]{2}[\s:]?){12,}")
_ELEMENT: Final = re.compile(rb"(.)\1{3,}", re.DOTALL)


def unwrapped(proof: bytes) -> bytes:
    """What lies inside base64, hexadecimal or gzip, as far as it is nested at most three deep."""
    content = proof[:LARGEST]
    for _ in range(_DEEPEST):
        inner = _inner(content)
        if inner is None or not inner:
            break
        content = inner
    return content


def _inner(content: bytes) -> bytes | None:
    if content.startswith(b"\x1f\x8b"):
        try:
            return zlib.decompressobj(31).decompress(content, LARGEST)
        except zlib.error:
            return None
    plain = content.strip()
    try:
        if _HEX.fullmatch(plain):
            return bytes.fromhex(re.sub(rb"0x|[\s:]", b"", plain).decode())
        if _BASE64.fullmatch(plain) and any(each in plain for each in b"+/=0123456789"):
            return base64.b64decode(re.sub(rb"\s", b"", plain), validate=True)
    except (ValueError, binascii.Error):
        pass
    return None


def is_text(content: bytes) -> bool:
    """Whether content is UTF-8 that people write: no control characters but line ends and tabs."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(char < " " and char not in "\n\r\t\f" for char in text)


def tokens(content: bytes, *, ordered: bool = True) -> tuple[bytes, ...]:
    """The tokens of a proof: words, numbers and signs of text, single bytes of anything else.

    White space, comments that fill a line, the order of a JSON object's members and the form of
    Unicode do not matter. Not `ordered`, JSON stays in the order it came in.
    """
    if not is_text(content):
        return tuple(content[place : place + 1] for place in range(len(content)))
    text = unicodedata.normalize("NFC", content.decode("utf-8"))
    plain = (_as_json(text) if ordered else None) or _COMMENT.sub(b"", text.encode())
    return tuple(_TOKEN.findall(plain))


def _as_json(text: str) -> bytes | None:
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value = json.loads(text, parse_int=str, parse_float=str)
        return json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):  # half of a surrogate pair does not encode, too
        return None


def without_amounts(found: Sequence[bytes]) -> tuple[bytes, ...]:
    """Tokens with how often something repeats, and how large a number is, taken away.

    A unit of up to eight tokens that stands four times or more stands once, then `*`; within a word,
    so does one byte. Numbers of more than two digits become their count of digits, in steps.
    """
    if all(len(each) == 1 for each in found):
        return _collapsed(found)
    return _collapsed([_plain(each) for each in found])


def _plain(token: bytes) -> bytes:
    if token.isdigit():
        return token if len(token) <= 2 else b"#" * min(1 + len(token) // 3, 8)
    return _ELEMENT.sub(rb"\1*", token)


def _collapsed(found: Sequence[bytes]) -> tuple[bytes, ...]:
    kept: list[bytes] = []
    place, end = 0, len(found)
    while place < end:
        for size in range(1, _LONGEST_UNIT + 1):
            unit = found[place : place + size]
            if found[place + size : place + 2 * size] != unit:
                continue
            after = place + size
            while found[after : after + size] == unit:
                after += size
            if (after - place) // size >= _FEWEST_REPEATS:
                kept += [*unit, b"*"]
                place = after
                break
        else:
            kept.append(found[place])
            place += 1
    return tuple(kept)

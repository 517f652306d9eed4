"""Reading JSON from strangers (RFC 8259, and I-JSON, RFC 7493, where it is stricter).

Refused before anything is built: too many bytes, nesting too deep, a member name given twice in one
object (two readers would then see two documents), bytes that are not UTF-8, lone surrogates and
NUL characters (a database could not keep them). Errors name the line and the byte offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_TOKEN = re.compile(rb'"((?:[^"\\]++|\\.)*+)("(\s*+:)?)?|[{}\[\]]', re.DOTALL)
_RISKY_ESCAPE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_MOST_SHOWN = 300
_OFFSET = re.compile(r"\(byte ([0-9]+)\)")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read: bytes of input, and objects and arrays within one another."""

    size: int = 16 * 1024 * 1024
    depth: int = 64


def decode(data: bytes, kind: type[T], *, limits: Limits = Limits(), what: str = "JSON") -> T:
    """The document in `data` as `kind`, a msgspec struct or any type msgspec decodes.

    `what` names the format in errors. Raises `TooLargeError` beyond `limits` and `InvalidError`
    for anything that is not such a document.
    """
    data = data.removeprefix(_BOM)
    check(data, limits=limits, what=what)
    return decode_checked(data, kind, what=what)


def decode_checked(data: bytes, kind: type[T], *, what: str = "JSON") -> T:
    """As `decode` for bytes whose bounds were seen to already."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as problem:
        raise InvalidError(
            f"The {what} document does not have the expected shape: {_shown(problem)}.",
            next_step=f"Correct the member named and send the {what} document again.",
        ) from problem
    except msgspec.DecodeError as problem:
        found = _OFFSET.search(str(problem))
        offset = int(found[1]) if found else len(data)
        reason = _OFFSET.sub("", str(problem)).removeprefix("JSON is malformed:").strip()
        raise _malformed(data, offset, reason, what) from problem
    except RecursionError as problem:
        raise _too_deep(data, len(data), what) from problem
    except ValueError as problem:
        raise _malformed(data, len(data), "a value is out of range", what) from problem


def _shown(problem: Exception) -> str:
    """What the decoder says, which may quote a member's name: short, and safe to print."""
    text = str(problem)
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return text if text.isprintable() else ascii(text)[1:-1]


def decode_object(data: bytes, *, limits: Limits = Limits(), what: str = "JSON") -> dict[str, Any]:
    """The JSON object in `data` as plain Python values; raises as `decode` does."""
    return decode(data, dict[str, Any], limits=limits, what=what)


def canonical(value: Any) -> bytes:
    """`value` as JSON with sorted members, no needless spaces, and a newline at the end.

    The same value gives the same bytes on every machine.
    """
    return msgspec.json.encode(value, order="sorted") + b"\n"


def check(data: bytes, *, limits: Limits = Limits(), what: str = "JSON") -> None:
    """Refuse `data` that breaks the bounds of this module; syntax is left to the decoder.

    Raises `TooLargeError` or `InvalidError`.
    """
    if len(data) > limits.size:
        raise TooLargeError(
            f"The {what} document has {len(data)} bytes; at most {limits.size} are taken.",
            next_step="Send a smaller document, or several.",
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise _malformed(data, problem.start, "bytes that are not UTF-8", what) from problem
    open_names: list[set[bytes] | None] = []
    for token in _TOKEN.finditer(data):
        match token[0][:1]:
            case b'"':
                text = _checked_text(data, token, what)
                names = open_names[-1] if open_names and token[3] is not None else None
                if names is not None and text in names:
                    reason = (
                        f"the member {text[:60].decode(errors='replace')!a} for the second time"
                    )
                    raise _malformed(data, token.start(), reason, what)
                if names is not None:
                    names.add(text)
            case b"}" | b"]":
                del open_names[-1:]
            case opening:
                open_names.append(set() if opening == b"{" else None)
                if len(open_names) > limits.depth:
                    raise _too_deep(data, token.start(), what)


def _checked_text(data: bytes, token: re.Match[bytes], what: str) -> bytes:
    """The string's text in UTF-8, escapes resolved; raw bytes where it has none."""
    if token[2] is None:
        raise _malformed(data, token.start(), "a string that never ends", what)
    raw = token[1]
    if b"\\" not in raw:
        return raw
    if _RISKY_ESCAPE.search(raw) is None and token[3] is None:
        return raw
    try:
        text = msgspec.json.decode(b'"' + raw + b'"', type=str)
        encoded = text.encode("utf-8")
    except (msgspec.DecodeError, UnicodeEncodeError) as problem:
        reason = "a string with a wrong escape or half a surrogate pair"
        raise _malformed(data, token.start(), reason, what) from problem
    if "\x00" in text:
        raise _malformed(data, token.start(), "a string with a NUL character", what)
    return encoded


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"line {line}, byte {offset}"


def _malformed(data: bytes, offset: int, reason: str, what: str) -> InvalidError:
    return InvalidError(
        f"The {what} document cannot be read: {reason} at {_place(data, offset)}.",
        next_step=f"Correct it there and send the {what} document again.",
    )


def _too_deep(data: bytes, offset: int, what: str) -> TooLargeError:
    return TooLargeError(
        f"The {what} document is nested too deeply at {_place(data, offset)}.",
        next_step="Send a flatter document.",
    )

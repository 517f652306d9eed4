"""Finding the elements of one array in a JSON text of any size, in fixed memory (RFC 8259).

Only structure is looked at here: strings, brackets and commas. Each element is handed on as bytes
for a reader that checks everything else (`json_bounds`), so nothing escapes the checks; what lies
around the elements is checked for nesting, for pairing of brackets, and for its size.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from clearhold.kernel.errors import InvalidError, TooLargeError

_WINDOW: Final = 256 * 1024
_MARK: Final = re.compile(rb'["{}\[\],:]')
_QUOTE: Final = re.compile(rb'["\\]')
# Whole strings and brackets; a quote alone begins a string that goes beyond the window.
_WITHIN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_MOST_KEPT: Final = 64 * 1024
_MOST_NAMES: Final = 10_000
_MOST_DEPTH: Final = 64
_LONGEST_NAME: Final = 1024
_SPACE: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """One element: the path to its array, its number there, its bytes, and where it begins."""

    path: tuple[str | int, ...]
    number: int
    content: bytes
    line: int
    offset: int


@dataclass(slots=True)
class _Level:
    """An open object or array: the member's name or the element's number that comes now."""

    is_object: bool
    key: str | int | None
    names: set[bytes] = field(default_factory=set)


class ElementReader:
    """Walks through a text once and yields what `wanted` names.

    `wanted` are paths in which `None` stands for any number; of each, the whole value is yielded
    as an element. `most` is how many bytes one may have.
    """

    def __init__(
        self,
        file: BinaryIO,
        wanted: tuple[tuple[str | None, ...], ...],
        *,
        most: int,
        what: str,
        deepest: int = _MOST_DEPTH,
    ) -> None:
        self._file = file
        self._deepest = deepest
        self._wanted = wanted
        self._most = most
        self._what = what
        self._buffer = b""
        self._at = 0  # place in the buffer
        self._gone = 0  # bytes before the buffer
        self._lines = 0  # line ends before `_counted`
        self._counted = 0
        self._levels: list[_Level] = []
        self._begun: int | None = None  # where in the text the element being read begins
        self._depth = 0  # how many levels were open there

    def __iter__(self) -> Iterator[Element]:
        self._skip_mark()
        string: bytes | None = None
        ended = False
        while (mark := self._next_mark()) is not None:
            if ended and self._levels == []:
                raise self._broken("something after the end")
            if mark == b'"':
                if string is not None:
                    raise self._broken("two strings in a row")
                string = self._string()
                continue
            yield from self._step(mark, string)
            string = None
            ended = not self._levels
        if not ended:
            raise self._broken("an end in the middle")

    def member_names(self, among: frozenset[str]) -> frozenset[str] | None:
        """Those of some names that are members of the text's object, or of its array's first one.

        None when it is neither, or something is broken or stands behind it. Only brackets and
        strings are looked at: what they hold is checked by whoever reads the text for good.
        """
        self._skip_mark()
        try:
            return self._member_names(among)
        except (InvalidError, TooLargeError):
            return None

    def _member_names(self, among: frozenset[str]) -> frozenset[str] | None:
        opening = self._first_of_value()
        in_array = opening == b"["
        if in_array:
            opening = self._first_of_value()
        if opening != b"{":
            return None
        found: set[str] = set()
        string: bytes | None = None
        while (mark := self._next_mark()) not in {b"}", None}:
            if mark == b'"':
                string = self._string()
                continue
            if mark == b":" and string is not None:
                found |= {_text_of(string)} & among
            elif mark in {b"{", b"["}:
                self._pass_nested()
            elif mark == b"]":
                return None
            string = None
        if mark is None or (in_array and not self._pass_nested()) or self._first_of_value():
            return None
        return frozenset(found)

    def _first_of_value(self) -> bytes:
        """The next byte that is no space, which is read too; nothing at the end."""
        while not (rest := self._buffer[self._at :].lstrip(_SPACE)):
            self._at = len(self._buffer)
            if not self._more():
                return b""
        self._at = len(self._buffer) - len(rest) + 1
        return rest[:1]

    def _pass_nested(self) -> bool:
        """Go to the bracket that closes what was opened just now."""
        self._levels.append(_Level(is_object=False, key=None))
        self._pass_over()
        return True

    def _step(self, mark: bytes, string: bytes | None) -> Iterator[Element]:
        top = self._levels[-1] if self._levels else None
        if mark in b"{[":
            self._open(mark)
            if self._begun_above() or not self._leads_on():
                self._pass_over()
        elif top is None:
            raise self._broken("a comma, colon or bracket out of place")
        elif mark == b":":
            self._name(top, string)
        else:
            if mark in b"}]" and (mark == b"}") is not top.is_object:
                raise self._broken("a bracket that closes another")
            yield from self._end(self._here() - 1)
            if mark in b"}]":
                self._levels.pop()
            elif isinstance(top.key, int):
                top.key += 1
                self._begin(self._here())
            else:
                top.key = None

    def _name(self, top: _Level, string: bytes | None) -> None:
        """A member's name stood before the colon just read."""
        if not top.is_object or string is None or top.key is not None:
            raise self._broken("a colon out of place")
        if string in top.names:
            raise self._broken(f"the member {string[:60]!a} for the second time")
        if len(top.names) == _MOST_NAMES:
            raise self._broken("too many members in one object")
        top.names.add(string[:200])
        top.key = string[:200].decode("utf-8", "replace")
        self._begin(self._here())

    def _open(self, mark: bytes) -> None:
        if len(self._levels) == self._deepest:
            raise self._too_deep()
        self._levels.append(_Level(mark == b"{", None if mark == b"{" else 0))
        if mark == b"[":
            self._begin(self._here())

    def _begun_above(self) -> bool:
        return self._begun is not None and len(self._levels) > self._depth

    def _leads_on(self) -> bool:
        """Whether something wanted can lie within the level that was opened just now."""
        above = [each.key for each in self._levels[:-1]]
        is_object = self._levels[-1].is_object
        return any(
            len(each) > len(above)
            and (each[len(above)] is None) is not is_object
            and all(
                part == have if part is not None else isinstance(have, int)
                for part, have in zip(each, above, strict=False)
            )
            for each in self._wanted
        )

    def _pass_over(self) -> None:
        """Go to the bracket that closes the level opened just now, and take the level back."""
        depth, limit = 1, self._deepest - len(self._levels) + 1
        self._levels.pop()
        while depth:
            cut = False
            for found in _WITHIN.finditer(self._buffer, self._at):
                mark = found[0]
                if mark in b"{[":
                    depth += 1
                    if depth > limit:
                        self._at = found.end()
                        raise self._too_deep()
                elif mark in b"}]":
                    depth -= 1
                    if not depth:
                        self._at = found.end()
                        return
                elif mark == b'"':
                    self._at = found.end()
                    self._string()
                    cut = True
                    break
            if not cut:
                self._at = len(self._buffer)
                if not self._more():
                    raise self._broken("an end in the middle")

    def _too_deep(self) -> TooLargeError:
        return TooLargeError(
            f"The {self._what} document is nested too deeply at {self._place()}.",
            next_step="Send a flatter document.",
        )

    def _path(self) -> tuple[str | int, ...]:
        return tuple("" if each.key is None else each.key for each in self._levels)

    def _is_wanted(self) -> bool:
        path = self._path()
        return any(
            len(each) == len(path)
            and all(
                part == have if part is not None else isinstance(have, int)
                for part, have in zip(each, path, strict=True)
            )
            for each in self._wanted
        )

    def _begin(self, at: int) -> None:
        if self._begun is None and self._is_wanted():
            self._begun = at
            self._depth = len(self._levels)

    def _end(self, at: int) -> Iterator[Element]:
        if self._begun is None or len(self._levels) != self._depth:
            return
        begun, self._begun = self._begun, None
        raw = self._buffer[begun - self._gone : at - self._gone]
        content = raw.strip(_SPACE)
        if not content:
            return  # an empty array
        start = begun + len(raw) - len(raw.lstrip(_SPACE))
        if len(content) > self._most:
            raise self._too_large(start)
        path = self._path()
        number = path[-1] if isinstance(path[-1], int) else 0
        yield Element(path, number, content, self._line(start), start)

    def _string(self) -> bytes:
        """The raw text of the string that begins here, or the first 64 KiB of it."""
        kept = bytearray()
        while True:
            found = _QUOTE.search(self._buffer, self._at)
            end = len(self._buffer) if found is None else found.start()
            if len(kept) < _MOST_KEPT:
                kept += self._buffer[self._at : end][:_MOST_KEPT]
            self._at = end
            if found is None or (found[0] == b"\\" and found.end() == len(self._buffer)):
                if not self._more():
                    raise self._broken("a string that never ends")
            elif found[0] == b'"':
                self._at += 1
                return bytes(kept)
            else:
                kept += self._buffer[end : end + 2] if len(kept) < _MOST_KEPT else b""
                self._at += 2

    def _next_mark(self) -> bytes | None:
        while (found := _MARK.search(self._buffer, self._at)) is None:
            self._at = len(self._buffer)
            if not self._more():
                return None
        self._at = found.end()
        return found[0]

    def _more(self) -> bool:
        """Read on; only what an element being read needs stays in memory."""
        keep = min(self._at, len(self._buffer))
        if self._begun is not None:
            keep = min(keep, self._begun - self._gone)
            if len(self._buffer) - keep > self._most + _WINDOW:
                raise self._too_large(self._begun)
        self._count(self._gone + keep)
        piece = self._file.read(_WINDOW)
        self._buffer = self._buffer[keep:] + piece
        self._gone += keep
        self._at -= keep
        return bool(piece)

    def _skip_mark(self) -> None:
        self._more()
        if self._buffer.startswith(b"\xef\xbb\xbf"):
            self._at = 3

    def _here(self) -> int:
        return self._gone + self._at

    def _count(self, upto: int) -> None:
        if upto > self._counted:
            start = self._counted - self._gone
            self._lines += self._buffer.count(b"\n", start, upto - self._gone)
            self._counted = upto

    def _line(self, at: int) -> int:
        if at >= self._counted:
            self._count(at)
            return self._lines + 1
        return (
            self._lines + 1 - self._buffer.count(b"\n", at - self._gone, self._counted - self._gone)
        )

    def _place(self) -> str:
        return f"line {self._line(self._here())}, byte {self._here()}"

    def _too_large(self, begun: int) -> TooLargeError:
        return TooLargeError(
            f"An element of the {self._what} document that begins at line {self._line(begun)} "
            f"has more than {self._most} bytes.",
            next_step="Make it smaller, or refer to what it holds.",
        )

    def _broken(self, reason: str) -> InvalidError:
        return InvalidError(
            f"The {self._what} document cannot be read: {reason} at {self._place()}.",
            next_step=f"Correct it there and send the {self._what} document again.",
        )


def member_names(file: BinaryIO, among: frozenset[str]) -> frozenset[str] | None:
    """Which of some names the object in a JSON text has, whatever the text's size and depth.

    As `ElementReader.member_names` says.
    """
    return ElementReader(file, (), most=0, what="JSON", deepest=sys.maxsize).member_names(among)


def _text_of(name: bytes) -> str:
    """A member's name, escapes resolved; "" for one that is none."""
    if b"\\" not in name:
        return name.decode("utf-8", "replace")
    try:
        return str(json.loads(b'"' + name[:_LONGEST_NAME] + b'"'))
    except ValueError:
        return ""

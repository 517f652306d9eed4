"""Reading an answer of fields, and telling which are not as they truly are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_FENCE: Final = re.compile(r"\A```[a-z]*\n(.*)\n```\Z", re.DOTALL)
_MOST: Final = 1000


def wrong_fields(truth: Mapping[str, tuple[str, ...]], answer: str) -> tuple[str, ...]:
    """The names of the fields that are missing or not right; all of them for what is no JSON object."""
    given = _object(answer)
    return tuple(name for name, right in truth.items() if not _right(name, right, given))


def _right(name: str, right: tuple[str, ...], given: Mapping[str, Any]) -> bool:
    plain = name.removesuffix("[]")
    found = given.get(plain)
    if name == plain:
        return _text(found) in {_normal(each) for each in right}
    if not isinstance(found, list) or len(found) > _MOST:
        return False
    return sorted(_text(each) or "" for each in found) == sorted(_normal(each) for each in right)


def _object(answer: str) -> Mapping[str, Any]:
    fenced = _FENCE.match(answer.strip())
    text = fenced.group(1) if fenced else answer
    try:
        found = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    """A value as the truth writes it; None for what is no plain value."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return _number(value)
        case str():
            return _normal(value)
        case _:
            return None


def _number(value: float) -> str:
    return str(int(value)) if value == value // 1 and abs(value) < 1 << 53 else str(value)


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())

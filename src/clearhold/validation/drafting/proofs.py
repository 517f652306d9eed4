"""What a proof's own form tells: how a target takes it, and which oracle it was made for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

Form = Literal["call", "args", "growing", "json", "text", "bytes", "reader"]

_CANARIES: Final = (
    (rb"clearhold_canary\s*\(", "eval"),
    (rb"127\.0\.0\.1:8077|\[::1\]:8077", "request"),
    (rb"CLEARHOLD_A", "template"),
    (rb"outside/secret|CLEARHOLD_SECRET", "secret"),
    (rb"outside/clearhold-canary", "file"),
    (rb"clearhold-canary", "command"),
    (rb"clearhold_canary", "import"),
    (rb"FROM\s+vault|UNION\s+SELECT", "sql"),
    (rb"__proto__|constructor.{1,12}prototype", "pollution"),
    (rb"\.\./|\.\.\\\\", "path-escape"),
)
_PROGRAM: Final = re.compile(
    r"(?m)^\s*(?:import \w|from [\w.]+ import |#!|def \w+\(.*\):|(?:const|let|var) .*=\s*require\()"
)
_SHORT: Final = 16
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class Told:
    """A proof's form, what JSON it holds, and the oracles that its canaries are for."""

    form: Form
    value: Any
    oracles: tuple[str, ...]
    program: bool = False


def read(proof: bytes) -> Told:
    """What can be told of a proof from itself, and from bytes that it holds. Nothing of it is run."""
    try:
        text = proof.decode("utf-8")
    except ValueError:
        return Told("bytes", None, _oracles(proof))
    parts = _json(text)
    if not parts:
        return Told("text", None, _oracles(proof), program=bool(_PROGRAM.search(text)))
    value, oracles = parts[0], _oracles(proof, *_packed(parts))
    if isinstance(value, dict) and isinstance(value.get("call"), str):
        return Told("call", value, oracles)
    if isinstance(value, dict) and {"largest", "pump"} <= set(value):
        return Told("growing", value, ("complexity",))
    if isinstance(value, dict) and "args" in value and set(value) <= {"args", "kwargs"}:
        return Told("args", value, oracles)
    return Told("json", value, oracles)


def _oracles(*parts: bytes) -> tuple[str, ...]:
    return tuple(
        name for pattern, name in _CANARIES if any(re.search(pattern, each) for each in parts)
    )


def _json(text: str) -> list[Any]:
    """What JSON says, and then all that it holds; nothing where it is none, or very deep."""
    try:
        waiting = [(json.loads(text), 0)]
    except (ValueError, RecursionError):
        return []
    found = []
    while waiting:
        each, depth = waiting.pop()
        if depth > _DEEPEST:
            return []
        found.append(each)
        below = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        waiting += ((one, depth + 1) for one in below)
    return found


def _packed(parts: Iterable[Any]) -> Iterator[bytes]:
    """The bytes that a proof in JSON holds in base64, such as an archive."""
    for each in parts:
        for name in ("$bytes", "bytes") if isinstance(each, dict) else ():
            with suppress(ValueError):
                yield base64.b64decode(str(each.get(name, "")))


def benign(told: Told) -> bytes:
    """An input of the same form that does nothing of note: the control of a target."""
    if told.form == "growing":
        return written({**told.value, "largest": _SHORT})
    if told.form in {"call", "args", "json"}:
        return written(_tamed(told.value, top=True))
    return b"a\n"


def within(told: Told) -> Told:
    """Of a proof that grows, what the target is given of it."""
    value = told.value
    parts = [value.get(each, "") for each in ("prefix", "pump", "middle", "closing", "suffix")]
    return read("".join(map(str, parts)).encode())


def calls(value: Any) -> set[str]:
    """The names that a proof asks to have called."""
    if isinstance(value, list):
        return {name for each in value for name in calls(each)}
    if not isinstance(value, dict):
        return set()
    own = {value[key] for key in ("call", "$export") if isinstance(value.get(key), str)}
    return own | {name for each in value.values() for name in calls(each)}


def _tamed(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, str):
        return "a"
    if isinstance(value, list):
        return [_tamed(each) for each in value]
    if isinstance(value, dict):
        return _tamed_call(value) if top and {"call", "args"} & set(value) else _special(value)
    return value


def _special(value: dict[str, Any]) -> Any:
    """What stands for something else stays what it is; any other object is emptied."""
    word = next(iter(value), "")
    if word in {"$export", "$callback", "$undefined", "$object", "$function", "$database"}:
        return value
    tame: dict[str, Any] = {
        "$file": {"name": "a", "text": "a"},
        "$bytes": "YQ==",
        "$call": _tamed(value.get("$call"), top=True),
    }
    return {word: tame[word]} if word in tame else {}


def _tamed_call(value: dict[str, Any]) -> dict[str, Any]:
    tame: dict[str, Any] = {key: value[key] for key in ("call", "new") if key in value}
    if "args" in value:
        tame["args"] = _tamed(value["args"])
    if isinstance(value.get("kwargs"), dict):
        tame["kwargs"] = {name: _tamed(each) for name, each in value["kwargs"].items()}
    if isinstance(value.get("then"), list):
        tame["then"] = [_tamed(each, top=True) for each in value["then"]]
    return tame


def written(value: Any) -> bytes:
    """A proof that is JSON, as bytes."""
    return (json.dumps(value) + "\n").encode()

"""What a report tells besides the tests: safeguards, what it cost the developer, and decisions.

The hub gives all of it, as it stood at one instant; the evaluator writes none of it. Words in it are
their authors': cut where they are long, for no author may make a report that nobody can send. Each
row names the SHA-256 of the paper it is from, which holds them whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final, Literal

import msgspec

from clearhold.evaluations.model import Side
from clearhold.evaluations.safeguard_steps import Step

MARK: Final = "[removed: "
"""How the mark of a removal begins; nobody else's words may hold it."""
LONGEST: Final = 300
"""Characters of a title, a reason or a name that are told."""
LONGEST_OF_AUTHORITY: Final = 2000
MOST_SAFEGUARDS: Final = 100
MOST_STEPS: Final = 10
MOST_DECISIONS: Final = 20
MOST_NAMED: Final = 20
"""The most inputs of a decision, and models that a way round was tried on, that are told."""
_LONGEST_MARKED: Final = 5 * LONGEST_OF_AUTHORITY
"""With the marks of what was removed, which may be longer than what was."""
_MOST: Final = 10**15


class Effort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a log of attempts comes to, the log named by its SHA-256; minutes are of people's work.

    `first_` counts until the first attempt that reached all, None where none did.
    """

    attempts: int
    automated: bool
    first_attempts: int | None
    first_minutes: float | None
    minutes: float
    sha256: str
    turns: int
    universal: bool


class StepTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A step of a safeguard finding, as one side said it."""

    at: datetime
    by: Side
    configuration: str
    reason: str
    sha256: str
    to: Step
    trials_sha256: str


class Safeguard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way around safeguards, what it took, and its last steps up to the re-test."""

    also_in: tuple[str, ...]
    automated: bool
    effort: Effort | None
    expert_hours: float
    kit: bool
    reach: Literal["universal", "narrow"]
    reported_at: datetime
    severity: Literal["low", "medium", "high", "critical"]
    sha256: str
    stands: Step
    steps: tuple[StepTold, ...]
    steps_left_out: int
    title: str
    variant: str


class Burden(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the engagement cost its developer.

    `hours` and `tokens` are as departments stated them, of the runs that are needed; `spared_` what
    duplicates would have added. `call_tokens` are those of the `calls` in the gateway's record, canary
    rounds too. `delay_s` is by how many seconds pauses, extensions and outages moved the end of access.
    """

    call_tokens: int
    calls: int
    delay_s: int
    departments: int
    hours: float
    requests: int
    runs: int
    spared_hours: float
    spared_tokens: int
    tokens: int


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that a decision rests on, as its authority named it."""

    sha256: str
    what: str


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an authority decided and signed; `sha256` is of the envelope that it signed."""

    authority: str
    basis: str
    decided_at: datetime
    decided_by: str
    decision: Literal["covered", "not-covered"]
    inputs: tuple[Input, ...]
    inputs_left_out: int
    rule: str
    sha256: str


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it, as the hub had it at `as_of`: the first findings, and the last decisions."""

    as_of: datetime
    burden: Burden
    decisions: tuple[Decision, ...]
    decisions_left_out: int
    safeguards: tuple[Safeguard, ...]
    safeguards_left_out: int


def told(text: str, most: int = LONGEST) -> str:
    """Another's words as a report can hold them: printable, without its own marks, cut at the end."""
    plain = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    plain = plain.replace(MARK, f"({MARK[1:]}")
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def removable(beside: Beside) -> Iterator[tuple[str, str]]:
    """The places of all words that can be removed, with the words."""
    for number, each in enumerate(beside.safeguards):
        at = f"safeguards/{number}"
        yield f"{at}/title", each.title
        yield from ((f"{at}/also_in/{n}", name) for n, name in enumerate(each.also_in))
        yield from ((f"{at}/steps/{n}/reason", step.reason) for n, step in enumerate(each.steps))
    for number, decision in enumerate(beside.decisions):
        at = f"decisions/{number}"
        yield f"{at}/basis", decision.basis
        yield f"{at}/decided_by", decision.decided_by
        yield f"{at}/rule", decision.rule
        yield from ((f"{at}/inputs/{n}/what", put.what) for n, put in enumerate(decision.inputs))


def with_text(beside: Beside, place: str, text: str) -> Beside:
    """The same with other words in a place that `removable` names."""
    changed: Beside = _put(beside, place.split("/"), text)
    return changed


def _put(value: Any, path: list[str], text: str) -> Any:
    if not path:
        return text
    name, *rest = path
    if isinstance(value, tuple):
        at = int(name)
        return (*value[:at], _put(value[at], rest, text), *value[at + 1 :])
    return msgspec.structs.replace(value, **{name: _put(getattr(value, name), rest, text)})


def without_texts(beside: Beside) -> Beside:
    """The same with every removable text empty: what no removal changes."""
    for place, text in removable(beside):
        if text:
            beside = with_text(beside, place, "")
    return beside


def faults(beside: Beside) -> Iterator[tuple[bool, str]]:
    """What must hold of it, each with what is wrong when it does not."""
    within = (
        len(beside.safeguards) <= MOST_SAFEGUARDS
        and len(beside.decisions) <= MOST_DECISIONS
        and all(len(each.steps) <= MOST_STEPS for each in beside.safeguards)
        and all(len(each.also_in) <= MOST_NAMED for each in beside.safeguards)
        and all(len(each.inputs) <= MOST_NAMED for each in beside.decisions)
    )
    yield within, "it tells more besides the tests than a report does"
    if not within:
        return
    longest = max((len(text) for _, text in removable(beside)), default=0)
    yield longest <= _LONGEST_MARKED, "words of others in it are too long"
    parts = [*_structs(beside)]
    yield all(_possible(each) for each in parts), "a number besides the tests cannot be"
    yield all(_zoned(each) for each in parts), "an instant besides the tests is not in UTC"
    yield all(_named(each) for each in parts), "something besides the tests has no digest or name"
    for each in beside.safeguards:
        stands = each.steps[-1].to if each.steps else Step.REPORTED
        yield each.stands is stands, "a safeguard finding stands otherwise than its last step says"


def _structs(value: Any) -> Iterator[msgspec.Struct]:
    if isinstance(value, tuple):
        for each in value:
            yield from _structs(each)
    elif isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from _structs(getattr(value, name))


def _values(part: msgspec.Struct, kind: type | tuple[type, ...]) -> Iterator[tuple[str, Any]]:
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, kind) and not isinstance(value, bool):
            yield name, value


def _possible(part: msgspec.Struct) -> bool:
    return all(isfinite(n) and 0 <= n <= _MOST for _, n in _values(part, (int, float)))


def _zoned(part: msgspec.Struct) -> bool:
    return all(at.utcoffset() == timedelta(0) for _, at in _values(part, datetime))


def _named(part: msgspec.Struct) -> bool:
    for name, text in _values(part, str):
        if name == "sha256" and not _digest(text):
            return False
        if name in {"configuration", "trials_sha256"} and text and not _digest(text):
            return False
        if name in {"authority", "variant"} and not (0 < len(text) <= LONGEST):
            return False
    return True


def _digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")

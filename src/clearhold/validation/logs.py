"""What runs printed, kept by content: each stream under its SHA-256, capped, equal ones once.

Logs may hold embargoed detail, so evidence names them by hash alone. They travel in the answer that
is sealed to the job's own key and are kept sealed under the finding's; whoever reads them checks
each against the evidence that names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.validation.reproduce import STREAMS, Run

LARGEST_TOGETHER: Final = 2 * 1024 * 1024
"""Bytes of logs that are kept of one validation; streams beyond it are named and not kept."""
MEDIA_TYPE: Final = "application/vnd.clearhold.run-logs+json"
_SECTIONS: Final = ("control", "vulnerable", "further", "fixed")


@dataclass(frozen=True, slots=True)
class Stream:
    """What one run wrote to one place.

    `sha256` is of all of it and `kept_sha256` of `content`, which is all of it or, when it was
    long, its beginning and end. `content` is None when it was not kept.
    """

    name: str
    sha256: str
    kept_sha256: str
    content: bytes | None

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self.content is not None and self.sha256 == self.kept_sha256


@dataclass(frozen=True, slots=True)
class RunLog:
    """One run: its number from 1, what it was for, how it ended, and its streams that hold any."""

    number: int
    section: str
    kind: str
    reason: str
    streams: tuple[Stream, ...]


def collect(runs: Sequence[Run]) -> dict[str, bytes]:
    """The streams of runs by the SHA-256 of what is kept of them, the first runs first."""
    found: dict[str, bytes] = {}
    total = 0
    for run in runs:
        for content in run.printed.values():
            name = hashlib.sha256(content).hexdigest()
            if name in found or total + len(content) > LARGEST_TOGETHER:
                continue
            found[name] = content
            total += len(content)
    return found


def check(logs: Mapping[str, bytes], predicate: Mapping[str, Any]) -> None:
    """Refuse logs that are too large, are not what their name says, or that no run is said to hold.

    Raises `IntegrityError`.
    """
    if sum(map(len, logs.values())) > LARGEST_TOGETHER:
        raise IntegrityError("The logs of the runs are larger than is kept.")
    named = {kept for _, run in _runs(predicate) for _, _, kept in _names(run)}
    for name, content in logs.items():
        if name not in named or hashlib.sha256(content).hexdigest() != name:
            raise IntegrityError("A log is not what the evidence names.")


def pack(logs: Mapping[str, bytes]) -> bytes:
    """Logs as they are kept before they are sealed; the same logs give the same bytes."""
    return msgspec.json.encode(dict(logs), order="sorted")


def unpack(content: bytes) -> dict[str, bytes]:
    """From what `pack` wrote. Raises `InvalidError`."""
    try:
        return msgspec.json.decode(content, type=dict[str, bytes])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError("These are no logs of a validation.") from error


def read(predicate: Mapping[str, Any], logs: Mapping[str, bytes]) -> tuple[RunLog, ...]:
    """The runs that evidence tells of, in its order, each with what is kept of its streams."""
    check(logs, predicate)
    return tuple(
        RunLog(
            number=number,
            section=section,
            kind=str(run.get("kind", "")),
            reason=str(run.get("reason", "")),
            streams=tuple(
                Stream(name, whole, kept, logs.get(kept)) for name, whole, kept in _names(run)
            ),
        )
        for number, (section, run) in enumerate(_runs(predicate), start=1)
    )


def _runs(predicate: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    parts: list[tuple[str, Any]] = [(name, predicate.get(name)) for name in _SECTIONS]
    second = predicate.get("second")
    if isinstance(second, Mapping):
        parts += [(f"second {side}", second.get(side)) for side in ("vulnerable", "fixed")]
    for section, held in parts:
        for run in held if isinstance(held, list | tuple) else [held]:
            if isinstance(run, Mapping):
                yield section, run


def _names(run: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The streams of a run that hold anything: name, hash of all, hash of what is kept."""
    kept = run.get("kept_sha256")
    if isinstance(kept, Mapping):
        for name in STREAMS:
            if name in kept:
                yield name, str(run.get(f"{name}_sha256", "")), str(kept[name])

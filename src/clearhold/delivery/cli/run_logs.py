"""What `clearhold validate logs` shows of runs: foreign bytes, so that no terminal obeys them."""

from __future__ import annotations

from typing import Any

import msgspec

from clearhold.delivery.printed import escaped
from clearhold.kernel.errors import InvalidError
from clearhold.validation.logs import RunLog, Stream


def read_runs(content: bytes) -> list[RunLog]:
    """The runs that a hub answered. Raises `InvalidError`."""
    try:
        return msgspec.json.decode(content, type=list[RunLog])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(
            f"The hub's answer holds no logs: {error}.",
            next_step="Check that the hub and this program are of the same version.",
        ) from error


def run_in_short(run: RunLog) -> dict[str, Any]:
    """A run with the sizes of what it printed."""
    return {
        "run": run.number,
        "side": run.section,
        "kind": run.kind,
        "reason": run.reason,
        "streams": {each.name: _size(each) for each in run.streams},
    }


def run_in_full(run: RunLog) -> dict[str, Any]:
    """A run with what it printed."""
    shown = run_in_short(run)
    shown["streams"] = {
        each.name: {
            "sha256": each.sha256,
            "size": _size(each),
            "text": "" if each.content is None else escaped(each.content),
        }
        for each in run.streams
    }
    return shown


def _size(stream: Stream) -> str:
    if stream.content is None:
        return "not kept"
    size = f"{len(stream.content)} bytes"
    return size if stream.whole else f"{size} kept of more"

"""The agent's numbered receipts: one number, one receipt, whatever happens to the process.

A receipt is durable under its number before anybody is shown it. Asking again for the same step of
the same action gives the receipt that is already there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from clearhold.agent.state import AgentState, read_file, sync_directory, write_file
from clearhold.kernel.errors import IntegrityError
from clearhold.wire import dsse
from clearhold.wire.receipt import Receipt, ReceiptState, sign, verify

_NUMBERED: Final = re.compile(r"([0-9]{12})\.json")
_MAX_RECEIPT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run of receipts is about; `action` is the same for all steps of one attempt."""

    action: str
    environment: str
    advisory: str
    package: str
    from_version: str
    to_version: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A receipt and its signed envelope."""

    receipt: Receipt
    envelope: bytes


def issue(
    state: AgentState,
    subject: Subject,
    step: ReceiptState,
    *,
    reason: str = "",
    evidence: Mapping[str, str],
    now: datetime,
) -> Issued:
    """Sign and keep the next receipt; the caller holds the state's lock.

    The same step of the same action again returns the first receipt unchanged. Raises
    `IntegrityError` when a kept receipt was altered.
    """
    kept = issued(state)
    for each in kept:
        if (each.receipt.action, each.receipt.state) == (subject.action, step):
            return each
    receipt = Receipt(
        operator=state.enrolment().operator,
        environment=subject.environment,
        action=subject.action,
        advisory=subject.advisory,
        package=subject.package,
        from_version=subject.from_version,
        to_version=subject.to_version,
        state=step,
        reason=reason,
        evidence=dict(evidence),
        counter=kept[-1].receipt.counter + 1 if kept else 1,
        issued=now,
    )
    envelope = sign(receipt, state.key())
    _keep(state.path / "receipts" / f"{receipt.counter:012}.json", envelope)
    return Issued(receipt, envelope)


def issued(state: AgentState) -> tuple[Issued, ...]:
    """Every kept receipt by number; raises `IntegrityError` when one is missing or was altered."""
    directory = state.path / "receipts"
    names = sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []
    key = state.key().public_key()
    keys = {dsse.key_id(key): key}
    found: list[Issued] = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            continue
        envelope = read_file(directory / name, limit=_MAX_RECEIPT) or b""
        receipt = verify(envelope, keys)
        if receipt.counter != int(match[1]) or receipt.counter != len(found) + 1:
            raise IntegrityError(
                f"Receipt {len(found) + 1} is missing from the agent's directory.",
                next_step="Restore the receipts directory from a backup.",
            )
        found.append(Issued(receipt, envelope))
    return tuple(found)


def _keep(path: Path, envelope: bytes) -> None:
    """Write under a number that must be free: a link fails where a rename would overwrite."""
    partial = path.with_name("next.partial")
    write_file(partial, envelope)
    os.link(partial, path)
    sync_directory(path.parent)
    partial.unlink()

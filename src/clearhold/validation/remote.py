"""Examining elsewhere: an examiner that hands each question to workers through a spool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clearhold.kernel.errors import UnavailableError
from clearhold.validation.examiner import Affecting, Examined, Report
from clearhold.validation.jobs import (
    KnownWorker,
    send_comparison,
    send_replay,
    send_report,
    worker_facts,
)
from clearhold.validation.matrix import KnownProof, Shown
from clearhold.validation.spool import Spool
from clearhold.validation.verdict import BLAMELESS, VerdictKind


class SpoolExaminer:
    """Asks whichever known worker takes the job; the workers are read anew for every job.

    Nothing is refused on one machine's word where there are more: what one worker could not
    reproduce, another is asked to. `workers` is a directory with one JSON file for each, as `clearhold validate enrol` prints it.
    """

    def __init__(self, spool: Spool, workers: Path) -> None:
        self._spool = spool
        self._workers = workers

    def examine(self, report: Report) -> Examined:
        """Let a worker examine a report; raises what `Spool.ask` and `Sent.examined` raise."""
        known = known_workers(self._workers)
        first, by = self._asked(report, known)
        others = [worker for worker in known if worker.identity != by]
        if first.verdict.kind is not VerdictKind.NOT_REPRODUCED or not others:
            return first
        try:
            second, _ = self._asked(report, known, not_by=(by,))
        except UnavailableError:
            return _noted(first, "No second worker gave an answer.")
        if second.verdict.kind is VerdictKind.NOT_REPRODUCED:
            return _noted(first, "A second worker saw none either.")
        if second.verdict.kind in BLAMELESS:
            return _noted(first, "A second worker could not tell.")
        return _noted(second, "Another worker had not seen it.")

    def _asked(
        self, report: Report, known: Sequence[KnownWorker], *, not_by: tuple[str, ...] = ()
    ) -> tuple[Examined, str]:
        sent = send_report(report, known, not_by=not_by)
        return sent.examined_by(self._spool.ask(sent.sealed), known)

    def compare(
        self, package: str, proofs: Sequence[KnownProof], patches: Sequence[bytes]
    ) -> tuple[Shown, ...]:
        """Let a worker try fixes on proofs; raises what `Spool.ask` and `Sent.shown` raise."""
        known = known_workers(self._workers)
        sent = send_comparison(package, proofs, patches, known)
        return sent.shown(self._spool.ask(sent.sealed), known)

    def affected(self, report: Report, *, builds: int) -> Affecting:
        """Let a worker replay a proof over releases; raises what `Spool.ask` and `Sent` raise."""
        known = known_workers(self._workers)
        sent = send_replay(report, known, builds=builds)
        return sent.affecting(self._spool.ask(sent.sealed), known)


def _noted(examined: Examined, note: str) -> Examined:
    """The same answer with a sentence more among its reasons; its evidence stays as it was made."""
    reason = f"{examined.verdict.reason} {note}"
    return replace(
        examined,
        verdict=replace(examined.verdict, reason=reason),
        facts={**examined.facts, "reason": reason},
    )


def known_workers(directory: Path) -> tuple[KnownWorker, ...]:
    """The workers enrolled in a directory; raises `InvalidError` for a file that describes none."""
    try:
        files = sorted(directory.glob("*.json"))
        return tuple(worker_facts(json.loads(file.read_text("utf-8"))) for file in files)
    except (OSError, ValueError) as problem:
        raise UnavailableError(
            f"The enrolled validation workers cannot be read: {problem}.",
            next_step=f"Look at the files in {directory}.",
        ) from problem

"""Examining elsewhere: an examiner that hands each question to workers through a spool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clearhold.kernel.errors import UnavailableError
from clearhold.validation.examiner import Examined, Report
from clearhold.validation.jobs import KnownWorker, send_comparison, send_report, worker_facts
from clearhold.validation.matrix import KnownProof, Shown
from clearhold.validation.spool import Spool


class SpoolExaminer:
    """Asks whichever known worker takes the job; the workers are read anew for every job.

    `workers` is a directory with one JSON file for each, as `clearhold validate enrol` prints it.
    """

    def __init__(self, spool: Spool, workers: Path) -> None:
        self._spool = spool
        self._workers = workers

    def examine(self, report: Report) -> Examined:
        """Let a worker examine a report; raises what `Spool.ask` and `Sent.examined` raise."""
        known = known_workers(self._workers)
        sent = send_report(report, known)
        return sent.examined(self._spool.ask(sent.sealed), known)

    def compare(
        self, package: str, proofs: Sequence[KnownProof], patches: Sequence[bytes]
    ) -> tuple[Shown, ...]:
        """Let a worker try fixes on proofs; raises what `Spool.ask` and `Sent.shown` raise."""
        known = known_workers(self._workers)
        sent = send_comparison(package, proofs, patches, known)
        return sent.shown(self._spool.ask(sent.sealed), known)


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

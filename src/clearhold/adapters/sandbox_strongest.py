"""The strongest sandbox that this machine was measured to give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, Probe
from clearhold.adapters.sandbox_bwrap.sandbox import FIRST_UID, demand
from clearhold.adapters.sandbox_gvisor import GvisorSandbox
from clearhold.ports.sandbox import Job, Outcome, Tier


class StrongestSandbox:
    """Runs jobs in gVisor where its probes hold, and under bubblewrap alone elsewhere.

    Which it is, is measured with the first use. `forbidden`, `slots` and `first_uid` are those of
    `BubblewrapSandbox`. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        *,
        forbidden: Iterable[Path] = (),
        slots: int | None = None,
        first_uid: int = FIRST_UID,
    ) -> None:
        held = tuple(forbidden)
        self._gvisor = GvisorSandbox(forbidden=held, slots=slots, first_uid=first_uid)
        self._plain = BubblewrapSandbox(forbidden=held, slots=slots, first_uid=first_uid)
        self._measuring = threading.Lock()
        self._found: BubblewrapSandbox | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the supervisors; the next run starts them again."""
        self._gvisor.close()
        self._plain.close()

    def tier(self) -> Tier:
        """The tier measured on this machine, once per process."""
        return self._chosen().tier()

    def report(self) -> tuple[Probe, ...]:
        """Every probe of the chosen sandbox, after what a stronger one lacks."""
        chosen = self._chosen()
        if chosen is self._gvisor:
            return chosen.report()
        return (*(each for each in self._gvisor.report() if not each.passed), *chosen.report())

    def run(
        self, job: Job, *, least: Tier, on_output: Callable[[bytes], None] | None = None
    ) -> Outcome:
        """Run `job` as `BubblewrapSandbox.run` does; a refusal says what the wanted tier lacks."""
        chosen = self._chosen()
        if chosen.tier() < least:
            demand(least, chosen.tier(), self.report())
        return chosen.run(job, least=least, on_output=on_output)

    def _chosen(self) -> BubblewrapSandbox:
        with self._measuring:
            if self._found is None:
                strongest = self._gvisor.tier() is not Tier.NONE
                self._found = self._gvisor if strongest else self._plain
            return self._found

"""What the demo prints while it works: a heading per stage, facts, and one line that moves."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clearhold.delivery.printed import printable

STAGES = 12


class Progress:
    """Prints the story; a moving line is redrawn on a terminal and printed rarely elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()
        self._moving = ""
        self._printed_at = 0.0

    @contextmanager
    def stage(self, number: int, title: str) -> Iterator[None]:
        """Announce a stage and how long it took."""
        began = time.monotonic()
        self._line(f"\n[{number:2}/{STAGES}] {title}")
        yield
        self._line(f"        {time.monotonic() - began:.1f} s")

    def tell(self, fact: str) -> None:
        """Print one fact."""
        self._line(f"        {fact}")

    def moving(self, text: str) -> None:
        """Show how far something got, in place of what was shown before."""
        text = printable(text)
        if self._live:
            sys.stdout.write(f"\r        {text[:100]:<100}")
            sys.stdout.flush()
        elif text != self._moving and time.monotonic() - self._printed_at > 5:
            sys.stdout.write(f"        … {text}\n")
            sys.stdout.flush()
            self._printed_at = time.monotonic()
        self._moving = text

    def close(self, table: Sequence[str], report: Path) -> None:
        """Print the closing table and where the report is."""
        self._line("")
        for row in table:
            self._line(f"  {row}")
        self._line(f"\n  {self.seconds:.0f} s in all. The report: {report}")

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def _line(self, text: str) -> None:
        if self._live and self._moving:
            sys.stdout.write("\r" + " " * 110 + "\r")
        self._moving = ""
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()

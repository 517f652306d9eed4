"""The operating system's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """`ports.clock.Clock` on the machine's own time."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)

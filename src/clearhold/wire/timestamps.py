"""Instants as text (RFC 3339), in UTC and to the second, the way every format here takes them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`moment`, which must be aware, as 2026-11-23T09:00:00Z; fractions of a second are cut."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Locks between whoever works on one cache, in whichever thread or process."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FETCHING: Final = "fetching.lock"
"""One fetches at a time: both sides of a recipe are wanted at once, and package managers lock what
they work in."""


@contextlib.contextmanager
def alone(cache: Path, lock: str) -> Iterator[None]:
    """The one holder of a lock of the cache, until the block ends."""
    held = cache / lock
    held.parent.mkdir(parents=True, exist_ok=True)
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

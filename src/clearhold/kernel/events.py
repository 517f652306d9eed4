"""Facts that travel from a module to those on its right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened: a name, a key that makes it unique, and ids alone.

    An event carries no content, because queues lie outside the encryption of compartments.
    """

    name: str
    key: str
    ids: Mapping[str, str]

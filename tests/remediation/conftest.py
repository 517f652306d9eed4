"""The road to publication, wired on either database."""

from __future__ import annotations

import pytest

from clearhold.access.tokens import Tokens
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.adapters.keys_file import FileKeyRing
from clearhold.ports.clock import Clock
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault
from publication_road import Road


@pytest.fixture
def road(
    sessions: Sessions, vault: Vault, ring: FileKeyRing, engine: MemoryEngine, clock: Clock
) -> Road:
    return Road(sessions, vault, Tokens(ring), engine, clock)

"""What tests of leases share: scopes, claims and waiting in one line."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub, assemble
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import ClearholdError
from clearhold.scanning.model import Mode, SoftwareScope, Versions, make_scope
from clearhold.scanning.queue import Place
from clearhold.scanning.scopes import LeaseView
from clearhold.settings import Settings
from clearhold.store.database import open_engine

PACKAGE = "pkg:pypi/ujson"
EXACT = Versions(exact="5.1.0")


def scope(
    *paths: str, package: str = PACKAGE, versions: Versions = EXACT, **more: Any
) -> SoftwareScope:
    given = {"technique": Technique.FUZZING} | more
    return make_scope(package, versions=versions, paths=paths, **given)


def claim(hub: Hub, actor: Actor, wanted: SoftwareScope, key: str, **options: Any) -> LeaseView:
    given = {"mode": Mode.EXCLUSIVE, "window": timedelta(hours=8), "budget_s": 600} | options
    return hub.scanning.claim(actor, wanted, key=key, **given)


def wait(hub: Hub, actor: Actor, wanted: SoftwareScope, key: str, **options: Any) -> Place:
    given = {"mode": Mode.EXCLUSIVE, "window": timedelta(hours=8), "budget_s": 600} | options
    return hub.scanning.queue.join(actor, wanted, key=key, **given)


class SlowClock:
    """A clock of another machine, which stands and may be behind or ahead."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def another_process(root: Path, database: Engine, at: datetime) -> Hub:
    """A hub on the same data with memory of its own, as another process has it."""
    settings = Settings(
        data_directory=root / "data", key_directory=root / "keys", cache_directory=root / "cache"
    )
    clock = SlowClock(at)
    return assemble(settings, database=database, clock=clock, engine=MemoryEngine(clock))


def race(root: Path, url: str, at: datetime, token: str, number: int) -> list[str]:
    """Claim a row of overlapping scopes in a process of one's own; what came of each."""
    database = open_engine(url)
    hub = another_process(root, database, at)
    actor = hub.authenticate(token)
    outcomes = []
    for each in range(6):
        wanted = scope("lib/**", package=f"pkg:pypi/contested-{each}")
        try:
            claim(hub, actor, wanted, f"{number}-{each}")
            outcomes.append(f"won {each}")
        except ClearholdError as error:
            outcomes.append(error.code)
    database.dispose()
    return outcomes

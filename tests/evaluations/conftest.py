"""The desk that most tests of testing models begin with, and one whose endpoint is in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_scene import Desk
from gateway_scene import Gate, Model
from sqlalchemy import Engine

from clearhold.access.model import Actor
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub, assemble
from clearhold.settings import Settings
from scripted_model import LOOPBACK, Endpoint, serving


@pytest.fixture
def hub(tmp_path: Path, database: Engine, clock: Any, engine: MemoryEngine) -> Iterator[Hub]:
    """A hub that may ask endpoints on this machine."""
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=tmp_path / "cache",
        endpoint_networks=LOOPBACK,
    )
    made = assemble(settings, database=database, clock=clock, engine=engine)
    yield made
    made.models.end()


@pytest.fixture
def desk(hub: Hub, party_of: Callable[..., Actor]) -> Desk:
    return Desk(hub, party_of)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def served(model: Model) -> Iterator[Endpoint]:
    with serving(model) as endpoint:
        yield endpoint


@pytest.fixture
def gate(hub: Hub, party_of: Callable[..., Actor], engine: MemoryEngine) -> Gate:
    return Gate(hub, party_of, engine)

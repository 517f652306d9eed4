"""The stage that tests of access play on."""

from __future__ import annotations

from typing import Any

import pytest
from access_scene import Stage, staged

from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.cases.model import Role
from clearhold.kernel.ids import CaseId


@pytest.fixture
def stage(hub: Hub, engine: MemoryEngine, clock: Any) -> Stage:
    return staged(hub, engine, clock)


@pytest.fixture
def case(stage: Stage) -> CaseId:
    """A case of two finders, opened by Ada; its maintainer is at tier 1, an operator at 2, one at 3."""
    stage.party("lab", PartyKind.LAB)
    stage.party("finder", PartyKind.FINDER)
    stage.party("maintainer", PartyKind.MAINTAINER)
    stage.party("water", PartyKind.OPERATOR, "water-and-wastewater")
    stage.party("bank", PartyKind.OPERATOR, "financial-services")
    first, second = stage.submit("lab"), stage.submit("finder")
    stage.same(first, second)
    opened = stage.open("ada", first)
    stage.hub.cases.say(stage.actors["ada"], opened, "the boundless copy again", key="m")
    stage.read_in(opened, "maintainer", Role.VENDOR, 1)
    stage.read_in(opened, "water", Role.DEPLOYER, 2)
    stage.read_in(opened, "bank", Role.DEPLOYER, 3)
    return opened

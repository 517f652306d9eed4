"""A validation service whose examiner answers as a test says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standing_examiner import Desk, StandIn

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.kernel.ids import FindingId
from clearhold.ports.engine import attempt_of
from clearhold.validation.service import ROOT_CAUSE, RUN, ValidationService


@pytest.fixture
def desk(hub: Hub, engine: MemoryEngine, party_of: Callable[..., Actor]) -> Desk:
    examiner, key = StandIn(), Ed25519PrivateKey.generate()
    service = ValidationService(
        hub.sessions, hub.vault, hub.findings, examiner=examiner, signing_key=key
    )
    engine.register("on:finding.submitted", lambda ids: service.queue(FindingId(ids["finding"])))
    engine.register(
        RUN, lambda ids: service.run(FindingId(ids["finding"]), attempt=attempt_of(ids))
    )
    engine.register(ROOT_CAUSE, lambda ids: service.root_cause(FindingId(ids["finding"])))
    engine.register(
        "on:validation.decided",
        lambda ids: service.queue_root_cause(FindingId(ids["finding"]), key=ids["validation"]),
    )
    labs = (party_of(PartyKind.LAB, "lab-alpha"), party_of(PartyKind.LAB, "lab-beta"))
    return Desk(hub, engine, examiner, service, key, labs)

"""Cases ready to act in: reproduced findings of two finders, a coordinator, a maintainer."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from case_scene import MAINTAINER, Scene

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.findings.model import Match, Method, State
from clearhold.kernel.ids import FindingId, VulnerabilityId


@pytest.fixture
def submit(hub: Hub, clock: Any, engine: MemoryEngine) -> Callable[..., FindingId]:
    """Submits a finding with a proof of its own, a second after whatever came before.

    Nothing is validated of itself: the tests say what reproduced.
    """
    engine.register("on:finding.submitted", lambda _ids: None)

    def make(actor: Actor, *, title: str = "Overflow-in-quux", proof: bytes = b"") -> FindingId:
        document = {
            "schema": "clearhold-finding/1",
            "package": "pkg:pypi/quuxlib@1.0",
            "title": title,
            "description": "A boundless copy.",
            "target": "encode",
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(proof or b"PROOF-BYTES" + uuid.uuid4().bytes).decode(),
        }
        raw = json.dumps(document).encode()
        clock.advance(timedelta(seconds=1))
        receipt = hub.findings.submit(actor, raw, form=Format.CLEARHOLD_JSON, key=uuid.uuid4().hex)
        return FindingId(receipt.findings[0].finding)

    return make


@pytest.fixture
def reproduced(hub: Hub) -> Callable[[FindingId], None]:
    """Says that a finding reproduced on a known build."""

    def mark(finding: FindingId) -> None:
        with hub.sessions.transaction() as unit:
            hub.findings.set_verdict(
                unit, finding, state=State.REPRODUCED, verdict="reproduced", level=3
            )

    return mark


@pytest.fixture
def same(hub: Hub, engine: MemoryEngine) -> Callable[[FindingId, FindingId], None]:
    """Asserts that two findings are one vulnerability and lets the reactions run."""

    def assert_same(a: FindingId, b: FindingId) -> None:
        with hub.sessions.transaction() as unit:
            hub.findings.assert_match(
                unit, a, b, verdict=Match.SAME, method=Method.BEHAVIOUR, evidence={}, by="test"
            )
        engine.run_due()

    return assert_same


@pytest.fixture
def scene(
    hub: Hub,
    party_of: Callable[..., Actor],
    submit: Callable[..., FindingId],
    reproduced: Callable[[FindingId], None],
    same: Callable[[FindingId, FindingId], None],
) -> Scene:
    """A case of two finders' reproduced reports; the maintainer is not read in yet."""
    coordinator = party_of(PartyKind.COORDINATOR)
    lab, finder = party_of(PartyKind.LAB, "lab-one"), party_of(PartyKind.FINDER, "finder-two")
    first, second = submit(lab), submit(finder)
    for finding in (first, second):
        reproduced(finding)
    same(first, second)
    opened = hub.cases.open(coordinator, VulnerabilityId(first), title="Overflow-in-quux", key="k1")
    return Scene(
        hub=hub,
        case=opened.id,
        coordinator=coordinator,
        maintainer=party_of(PartyKind.MAINTAINER, MAINTAINER),
        lab=lab,
        finder=finder,
        stranger=party_of(PartyKind.MAINTAINER, "someone-else"),
        findings=(first, second),
    )
